"""Group `throttle`: traffic, its limits, named throttles, and the DHT."""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.command_metrics import CommandMetric, number, read
from pyrotorque_exporter.families import Kind, by_label, single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls

TABLE: Final = (
    CommandMetric(
        "downloaded_bytes_total", "counter", ("throttle.global_down.total",), "Bytes received since rTorrent began"
    ),
    CommandMetric("uploaded_bytes_total", "counter", ("throttle.global_up.total",), "Bytes sent since rTorrent began"),
    CommandMetric("download_rate_bytes_per_second", "gauge", ("throttle.global_down.rate",), "Present download rate"),
    CommandMetric("upload_rate_bytes_per_second", "gauge", ("throttle.global_up.rate",), "Present upload rate"),
    CommandMetric(
        "download_rate_limit_bytes_per_second",
        "gauge",
        ("throttle.global_down.max_rate",),
        "Highest download rate, 0 is unlimited",
    ),
    CommandMetric(
        "upload_rate_limit_bytes_per_second",
        "gauge",
        ("throttle.global_up.max_rate",),
        "Highest upload rate, 0 is unlimited",
    ),
    CommandMetric("unchoked_downloads", "gauge", ("throttle.unchoked_downloads",), "Download slots in use"),
    CommandMetric("unchoked_uploads", "gauge", ("throttle.unchoked_uploads",), "Upload slots in use"),
    CommandMetric(
        "unchoked_downloads_limit",
        "gauge",
        ("throttle.max_unchoked_downloads", "throttle.max_downloads.global"),
        "Download slots, 0 is unlimited",
    ),
    CommandMetric(
        "unchoked_uploads_limit",
        "gauge",
        ("throttle.max_unchoked_uploads", "throttle.max_uploads.global"),
        "Upload slots, 0 is unlimited",
    ),
    CommandMetric("listen_port", "gauge", ("network.listen.port",), "Port for peers, 0 is not listening"),
)
# (metric, command, what it is) for each named throttle; the limits come first, they tell which throttles there are.
NAMED: Final = (
    ("throttle_upload_rate_limit_bytes_per_second", "throttle.up.max", "Highest upload rate of a named throttle"),
    ("throttle_upload_rate_bytes_per_second", "throttle.up.rate", "Present upload rate of a named throttle"),
    ("throttle_download_rate_limit_bytes_per_second", "throttle.down.max", "Highest download rate of a named throttle"),
    ("throttle_download_rate_bytes_per_second", "throttle.down.rate", "Present download rate of a named throttle"),
)
# (metric, kind, keys of dht.statistics that are summed up, what it is); only while the DHT is active.
DHT: Final[tuple[tuple[str, Kind, tuple[str, ...], str], ...]] = (
    ("dht_nodes", "gauge", ("nodes",), "Nodes in the routing table"),
    ("dht_buckets", "gauge", ("buckets",), "Buckets of the routing table"),
    ("dht_peers", "gauge", ("peers",), "Peers that others announced to us"),
    ("dht_torrents", "gauge", ("torrents",), "Torrents that others announced to us"),
    ("dht_queries_sent_total", "counter", ("queries_sent",), "Queries sent"),
    ("dht_queries_received_total", "counter", ("queries_received",), "Queries received"),
    ("dht_replies_received_total", "counter", ("replies_received",), "Replies received"),
    ("dht_errors_total", "counter", ("errors_received", "errors_caught"), "Errors received or caught"),
)


class ThrottleCollector:
    """Reads rTorrent's global throttles, those of `names`, and the statistics of the DHT."""

    name = "throttle"
    uses_rtorrent = True

    def __init__(self, prefix: str, names: Sequence[str] = ()) -> None:
        self._prefix, self._names = prefix, tuple(names)

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        yield from read(context.calls, self.name, self._prefix, TABLE, restricted=True)
        yield from self._named(context.calls)
        yield from self._dht(context.calls)

    def _named(self, calls: RTorrentCalls) -> Iterator[Metric]:
        asked = [(command, ("", name)) for _, command, _ in NAMED for name in self._names]
        answers = iter(calls.multicall(self.name, asked, restricted=True))
        there: set[str] = set()
        for metric, command, help_text in NAMED if self._names else ():
            numbers = {name: value for name in self._names if (value := number(next(answers))) is not None}
            if command.endswith(".max"):
                # rTorrent answers -1 for a throttle that it does not have, but 0 for its rate.
                there = {name for name, value in numbers.items() if value >= 0}
            if values := {name: value for name, value in numbers.items() if name in there}:
                yield by_label("gauge", self._prefix + metric, f"{help_text} ({command}).", "throttle", values)

    def _dht(self, calls: RTorrentCalls) -> Iterator[Metric]:
        if not calls.known("dht.statistics"):
            return
        (answer,) = calls.multicall(self.name, [("dht.statistics", ())], restricted=True)
        if not isinstance(answer, dict):
            return
        active = number(answer.get("active")) or 0.0
        yield single("gauge", f"{self._prefix}dht_active", "Whether the DHT runs (dht.statistics).", float(active > 0))
        for metric, kind, keys, help_text in DHT if active else ():
            numbers = [value for key in keys if (value := number(answer.get(key))) is not None]
            if numbers:
                yield single(kind, self._prefix + metric, f"{help_text} (dht.statistics).", sum(numbers))
