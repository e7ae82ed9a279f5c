"""Group `system`: versions of rTorrent, and its use of sockets, files and memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric

from pyrotorque.linux.processes import PROC, process_stat, runs_program
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.command_metrics import CommandMetric, number, read_table, text
from pyrotorque_exporter.families import by_label, labelled, single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls

TABLE: Final = (
    CommandMetric("rtorrent_open_sockets", "gauge", ("network.open_sockets",), "Sockets that rTorrent has open"),
    CommandMetric(
        "rtorrent_open_sockets_limit", "gauge", ("network.max_open_sockets",), "Sockets that rTorrent may open"
    ),
    CommandMetric("rtorrent_open_files", "gauge", ("network.open_files",), "Files of items that rTorrent has open"),
    CommandMetric(
        "rtorrent_open_files_limit", "gauge", ("network.max_open_files",), "Files of items that rTorrent may open"
    ),
    CommandMetric(
        "rtorrent_http_requests_open", "gauge", ("network.http.current_open",), "HTTP requests to trackers in flight"
    ),
    CommandMetric(
        "rtorrent_http_requests_open_limit",
        "gauge",
        ("network.http.max_open", "network.http.max_total_connections"),
        "HTTP requests to trackers that may be in flight at once",
    ),
    CommandMetric("rtorrent_handshakes", "gauge", ("network.total_handshakes",), "Peer connections in handshake"),
    CommandMetric("rtorrent_files_opened_total", "counter", ("system.files.opened_counter",), "Files of items opened"),
    CommandMetric("rtorrent_files_closed_total", "counter", ("system.files.closed_counter",), "Files of items closed"),
    CommandMetric(
        "rtorrent_files_open_failures_total",
        "counter",
        ("system.files.failed_counter",),
        "Files that could not be opened",
    ),
    CommandMetric(
        "rtorrent_file_status_cache_entries",
        "gauge",
        ("system.file_status_cache.size",),
        "Metafile paths that rTorrent has tried to load",
    ),
    CommandMetric("rtorrent_pieces_memory_bytes", "gauge", ("pieces.memory.current",), "Memory mapped for pieces"),
    CommandMetric(
        "rtorrent_pieces_memory_limit_bytes", "gauge", ("pieces.memory.max",), "Memory that may be mapped for pieces"
    ),
    CommandMetric(
        "rtorrent_pieces_memory_blocks", "gauge", ("pieces.memory.block_count",), "Blocks of piece memory in use"
    ),
    CommandMetric(
        "rtorrent_pieces_sync_queue_bytes",
        "gauge",
        ("pieces.memory.sync_queue",),
        "Memory waiting for its sync to disk",
    ),
    CommandMetric(
        "rtorrent_pieces_sync_queue_blocks",
        "gauge",
        ("pieces.sync.queue_size",),
        "Blocks waiting for their sync to disk",
    ),
    CommandMetric(
        "rtorrent_pieces_preloaded_total", "counter", ("pieces.stats_preloaded",), "Pieces preloaded, wraps at 2^32"
    ),
    CommandMetric(
        "rtorrent_pieces_not_preloaded_total",
        "counter",
        ("pieces.stats_not_preloaded",),
        "Pieces sent without preloading, wraps at 2^32",
    ),
    CommandMetric("rtorrent_hash_queue_items", "gauge", ("pieces.hash.queue_size",), "Pieces waiting for hashing"),
)
VERSIONS: Final = ("client_version", "library_version", "api_version")
SOCKETS: Final = ("generic", "http", "rpc", "internal", "files")


class SystemCollector:
    """One call for the table of single numbers, one for the versions, one for sockets by use."""

    name = "system"
    uses_rtorrent = True

    def __init__(self, *, proc_folder: Path = PROC) -> None:
        self._proc = proc_folder

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        yield from self._info(context.calls)
        yield from read_table(context.calls, self.name, TABLE)
        yield from self._socket_categories(context.calls)

    def _info(self, calls: RTorrentCalls) -> Iterator[Metric]:
        started = next((name for name in ("system.startup_time", "startup_time") if calls.known(name)), None)
        commands = [f"system.{version}" for version in VERSIONS] + [started or "system.pid"]
        *versions, origin = calls.multicall(self.name, [(command, ()) for command in commands])
        values = {tuple(text(version) for version in versions): 1.0}
        yield labelled("gauge", "rtorrent_info", "Versions of rTorrent (system.*_version).", VERSIONS, values)
        at = number(origin)
        if started is None:
            at = _started(int(at), self._proc) if at is not None else None
        if at is not None:
            source = started or "system.pid, /proc"
            yield single("gauge", "rtorrent_start_time_seconds", f"When rTorrent started ({source}).", at)

    def _socket_categories(self, calls: RTorrentCalls) -> Iterator[Metric]:
        commands = {name: f"system.sockets.{name}.size" for name in SOCKETS}
        known = [name for name, command in commands.items() if calls.known(command)]
        results = calls.multicall(self.name, [(commands[name], ()) for name in known])
        values = {
            name: value for name, result in zip(known, results, strict=True) if (value := number(result)) is not None
        }
        if values:
            help_text = "Sockets of rTorrent by use (system.sockets.*.size)."
            yield by_label("gauge", "rtorrent_category_sockets", help_text, "category", values)


def _started(pid: int, proc: Path) -> float | None:
    """When process `pid` started; None if it is not an rTorrent of this host (its address may be on another)."""
    found = process_stat(pid, proc) if runs_program(pid, "rtorrent", proc) else None
    return found.started if found else None
