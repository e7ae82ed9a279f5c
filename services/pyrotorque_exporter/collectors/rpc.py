"""Group `rpc`: the exporter's own calls to rTorrent since the exporter started."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import Metric

from pyrotorque.events import Family, Sample
from pyrotorque.rtorrent import CallStats, Durations
from pyrotorque.rtorrent.stats import BOUNDS
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.families import by_label, histogram, single
from pyrotorque_exporter.rtorrent_calls import CALL_NAMES


class RpcCollector:
    """The statistics of the connections; this group is collected last, so calls of the same scrape count."""

    name = "rpc"
    uses_rtorrent = False

    def __init__(self, stats: Callable[[], tuple[CallStats, ...]]) -> None:
        self._stats = stats

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        stats = self._stats()
        requests, failures = Counter[str](dict.fromkeys(CALL_NAMES, 0)), Counter[str]()
        for one in stats:
            requests.update(_by_call(one.requests))
            failures.update(one.failures)
        yield _durations(stats)
        yield by_label("counter", "rtorrent_rpc_requests_total", "Requests to rTorrent.", "call", requests)
        yield by_label(
            "counter", "rtorrent_rpc_failures_total", "Requests to rTorrent that failed.", "reason", failures
        )
        yield single(
            "counter",
            "rtorrent_rpc_retries_total",
            "Reads sent again because the connection broke before the response.",
            float(sum(one.retries for one in stats)),
        )
        sent = float(sum(one.request_bytes for one in stats))
        yield single("counter", "rtorrent_rpc_request_bytes_total", "Bytes sent to rTorrent.", sent)
        received = float(sum(one.response_bytes for one in stats))
        yield single("counter", "rtorrent_rpc_response_bytes_total", "Bytes received from rTorrent.", received)


def _durations(stats: tuple[CallStats, ...]) -> Metric:
    found = {name: [one for stat in stats if (one := stat.durations.get(name))] for name in CALL_NAMES}
    family = Family(
        name="rtorrent_rpc_duration_seconds",
        kind="histogram",
        help="Time from connecting to rTorrent until its response was read.",
        labels=("call",),
        bounds=BOUNDS,
        samples=tuple(_sample(name, durations) for name, durations in found.items()),
    )
    return histogram(family)


def _sample(name: str, durations: list[Durations]) -> Sample:
    buckets = [0.0] * (len(BOUNDS) + 1)
    for one in durations:
        buckets = [have + more for have, more in zip(buckets, one.buckets, strict=True)]
    return Sample(labels=(name,), value=sum(one.total for one in durations), buckets=tuple(buckets))


def _by_call(requests: Mapping[str, int]) -> Counter[str]:
    """Requests by call; those without one of our labels (list of commands, identity) count as `ping`."""
    counts = Counter[str]()
    for name, count in list(requests.items()):
        counts[name if name in CALL_NAMES else "ping"] += count
    return counts
