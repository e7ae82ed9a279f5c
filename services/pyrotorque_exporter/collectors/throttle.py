"""Group `throttle`: traffic and its limits, named throttles, and the DHT."""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.command_metrics import CommandMetric, number, read_table
from pyrotorque_exporter.families import Kind, by_label, single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls

TABLE: Final = (
    CommandMetric(
        "rtorrent_downloaded_bytes_total",
        "counter",
        ("throttle.global_down.total",),
        "Bytes received since rTorrent started",
    ),
    CommandMetric(
        "rtorrent_uploaded_bytes_total", "counter", ("throttle.global_up.total",), "Bytes sent since rTorrent started"
    ),
    CommandMetric(
        "rtorrent_download_rate_bytes_per_second", "gauge", ("throttle.global_down.rate",), "Current download rate"
    ),
    CommandMetric(
        "rtorrent_upload_rate_bytes_per_second", "gauge", ("throttle.global_up.rate",), "Current upload rate"
    ),
    CommandMetric(
        "rtorrent_download_rate_limit_bytes_per_second",
        "gauge",
        ("throttle.global_down.max_rate",),
        "Highest download rate, 0 is unlimited",
    ),
    CommandMetric(
        "rtorrent_upload_rate_limit_bytes_per_second",
        "gauge",
        ("throttle.global_up.max_rate",),
        "Highest upload rate, 0 is unlimited",
    ),
    CommandMetric("rtorrent_unchoked_downloads", "gauge", ("throttle.unchoked_downloads",), "Download slots in use"),
    CommandMetric("rtorrent_unchoked_uploads", "gauge", ("throttle.unchoked_uploads",), "Upload slots in use"),
    CommandMetric(
        "rtorrent_unchoked_downloads_limit",
        "gauge",
        ("throttle.max_unchoked_downloads", "throttle.max_downloads.global"),
        "Download slots, 0 is unlimited",
    ),
    CommandMetric(
        "rtorrent_unchoked_uploads_limit",
        "gauge",
        ("throttle.max_unchoked_uploads", "throttle.max_uploads.global"),
        "Upload slots, 0 is unlimited",
    ),
    CommandMetric("rtorrent_listen_port", "gauge", ("network.listen.port",), "Port for peers, 0 is not listening"),
)
# (metric, command, help) for each named throttle; the limits come first because they show which throttles exist.
NAMED: Final = (
    (
        "rtorrent_throttle_upload_rate_limit_bytes_per_second",
        "throttle.up.max",
        "Highest upload rate of a named throttle",
    ),
    ("rtorrent_throttle_upload_rate_bytes_per_second", "throttle.up.rate", "Current upload rate of a named throttle"),
    (
        "rtorrent_throttle_download_rate_limit_bytes_per_second",
        "throttle.down.max",
        "Highest download rate of a named throttle",
    ),
    (
        "rtorrent_throttle_download_rate_bytes_per_second",
        "throttle.down.rate",
        "Current download rate of a named throttle",
    ),
)
# (metric, kind, keys of dht.statistics to add up, help); only while the DHT is active.
DHT: Final[tuple[tuple[str, Kind, tuple[str, ...], str], ...]] = (
    ("rtorrent_dht_nodes", "gauge", ("nodes",), "Nodes in the routing table"),
    ("rtorrent_dht_buckets", "gauge", ("buckets",), "Buckets of the routing table"),
    ("rtorrent_dht_peers", "gauge", ("peers",), "Peers announced to this node"),
    ("rtorrent_dht_torrents", "gauge", ("torrents",), "Torrents announced to this node"),
    ("rtorrent_dht_queries_sent_total", "counter", ("queries_sent",), "Queries sent"),
    ("rtorrent_dht_queries_received_total", "counter", ("queries_received",), "Queries received"),
    ("rtorrent_dht_replies_received_total", "counter", ("replies_received",), "Replies received"),
    ("rtorrent_dht_errors_total", "counter", ("errors_received", "errors_caught"), "Errors received or caught"),
)


class ThrottleCollector:
    """The global throttles, the named throttles `names`, and the statistics of the DHT."""

    name = "throttle"
    uses_rtorrent = True

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = tuple(names)

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        yield from read_table(context.calls, self.name, TABLE, restricted=True)
        yield from self._named(context.calls)
        yield from self._dht(context.calls)

    def _named(self, calls: RTorrentCalls) -> Iterator[Metric]:
        commands = [(command, ("", name)) for _, command, _ in NAMED for name in self._names]
        results = iter(calls.multicall(self.name, commands, restricted=True))
        existing: set[str] = set()
        for metric, command, help_text in NAMED if self._names else ():
            numbers = {name: value for name in self._names if (value := number(next(results))) is not None}
            if command.endswith(".max"):
                # rTorrent returns -1 as the limit of an unknown throttle, but 0 as its rate.
                existing = {name for name, value in numbers.items() if value >= 0}
            if values := {name: value for name, value in numbers.items() if name in existing}:
                yield by_label("gauge", metric, f"{help_text} ({command}).", "throttle", values)

    def _dht(self, calls: RTorrentCalls) -> Iterator[Metric]:
        if not calls.known("dht.statistics"):
            return
        (statistics,) = calls.multicall(self.name, [("dht.statistics", ())], restricted=True)
        if not isinstance(statistics, dict):
            return
        active = number(statistics.get("active")) or 0.0
        yield single("gauge", "rtorrent_dht_active", "Whether the DHT runs (dht.statistics).", float(active > 0))
        for metric, kind, keys, help_text in DHT if active else ():
            numbers = [value for key in keys if (value := number(statistics.get(key))) is not None]
            if numbers:
                yield single(kind, metric, f"{help_text} (dht.statistics).", sum(numbers))
