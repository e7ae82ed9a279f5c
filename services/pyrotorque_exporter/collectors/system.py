"""Group `system`: what rTorrent is, and how much of its sockets, files and memory it uses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric

from pyrotorque.linux.processes import PROC, process_stat, runs_program
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.command_metrics import CommandMetric, number, read, text
from pyrotorque_exporter.families import by_label, labelled, single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls

TABLE: Final = (
    CommandMetric("open_sockets", "gauge", ("network.open_sockets",), "Sockets that rTorrent has open"),
    CommandMetric("open_sockets_limit", "gauge", ("network.max_open_sockets",), "Sockets that rTorrent may open"),
    CommandMetric("open_files", "gauge", ("network.open_files",), "Files of items that rTorrent has open"),
    CommandMetric("open_files_limit", "gauge", ("network.max_open_files",), "Files of items that rTorrent may open"),
    CommandMetric("http_requests_open", "gauge", ("network.http.current_open",), "HTTP requests to trackers in flight"),
    CommandMetric(
        "http_requests_open_limit",
        "gauge",
        ("network.http.max_open", "network.http.max_total_connections"),
        "HTTP requests to trackers that may be in flight at once",
    ),
    CommandMetric("handshakes", "gauge", ("network.total_handshakes",), "Peer connections in handshake"),
    CommandMetric("files_opened_total", "counter", ("system.files.opened_counter",), "Files of items opened"),
    CommandMetric("files_closed_total", "counter", ("system.files.closed_counter",), "Files of items closed"),
    CommandMetric(
        "files_open_failures_total", "counter", ("system.files.failed_counter",), "Files that could not be opened"
    ),
    CommandMetric(
        "file_status_cache_entries",
        "gauge",
        ("system.file_status_cache.size",),
        "Metafiles that rTorrent remembers to have tried",
    ),
    CommandMetric("pieces_memory_bytes", "gauge", ("pieces.memory.current",), "Memory mapped for pieces"),
    CommandMetric("pieces_memory_limit_bytes", "gauge", ("pieces.memory.max",), "Memory that may be mapped for pieces"),
    CommandMetric("pieces_memory_blocks", "gauge", ("pieces.memory.block_count",), "Blocks of piece memory in use"),
    CommandMetric("pieces_sync_queue_bytes", "gauge", ("pieces.memory.sync_queue",), "Memory that waits to be synced"),
    CommandMetric("pieces_sync_queue_blocks", "gauge", ("pieces.sync.queue_size",), "Blocks that wait to be synced"),
    CommandMetric("pieces_preloaded_total", "counter", ("pieces.stats_preloaded",), "Pieces preloaded, wraps at 2^32"),
    CommandMetric(
        "pieces_not_preloaded_total",
        "counter",
        ("pieces.stats_not_preloaded",),
        "Pieces sent without preloading, wraps at 2^32",
    ),
    CommandMetric("hash_queue_items", "gauge", ("pieces.hash.queue_size",), "Pieces that wait for hashing"),
)
VERSIONS: Final = ("client_version", "library_version", "api_version")
SOCKETS: Final = ("generic", "http", "rpc", "internal", "files")


class SystemCollector:
    """Reads rTorrent's own tables."""

    name = "system"
    uses_rtorrent = True

    def __init__(self, prefix: str, *, proc_folder: Path = PROC) -> None:
        self._prefix, self._proc = prefix, proc_folder

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        yield from self._info(context.calls)
        yield from read(context.calls, self.name, self._prefix, TABLE)
        yield from self._socket_categories(context.calls)

    def _info(self, calls: RTorrentCalls) -> Iterator[Metric]:
        started = next((name for name in ("system.startup_time", "startup_time") if calls.known(name)), None)
        asked = [f"system.{version}" for version in VERSIONS] + [started or "system.pid"]
        *versions, origin = calls.multicall(self.name, [(command, ()) for command in asked])
        values = {tuple(text(version) for version in versions): 1.0}
        yield labelled("gauge", f"{self._prefix}info", "Versions of rTorrent (system.*_version).", VERSIONS, values)
        at = number(origin)
        if started is None:
            at = _started(int(at), self._proc) if at is not None else None
        if at is not None:
            source = started or "system.pid, /proc"
            yield single("gauge", f"{self._prefix}start_time_seconds", f"When rTorrent was started ({source}).", at)

    def _socket_categories(self, calls: RTorrentCalls) -> Iterator[Metric]:
        commands = {name: f"system.sockets.{name}.size" for name in SOCKETS}
        known = [name for name, command in commands.items() if calls.known(command)]
        answers = calls.multicall(self.name, [(commands[name], ()) for name in known])
        values = {
            name: value for name, answer in zip(known, answers, strict=True) if (value := number(answer)) is not None
        }
        if values:
            help_text = "Sockets of rTorrent by use (system.sockets.*.size)."
            yield by_label("gauge", f"{self._prefix}category_sockets", help_text, "category", values)


def _started(pid: int, proc: Path) -> float | None:
    """None if the process is not an rTorrent of this host, which the pid may belong to behind a TCP address."""
    found = process_stat(pid, proc) if runs_program(pid, "rtorrent", proc) else None
    return found.started if found else None
