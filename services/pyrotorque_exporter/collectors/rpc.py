"""Group `rpc`: how the exporter's own calls to rTorrent went, since the exporter began."""

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
    """Shows what the connections counted, those of one scrape only after it."""

    name = "rpc"
    uses_rtorrent = False

    def __init__(self, prefix: str, stats: Callable[[], tuple[CallStats, ...]]) -> None:
        self._prefix, self._stats = f"{prefix}rpc_", stats

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        stats = self._stats()
        requests, failures = Counter[str](dict.fromkeys(CALL_NAMES, 0)), Counter[str]()
        for one in stats:
            requests.update(_by_call(one.requests))
            failures.update(one.failures)
        yield self._durations(stats)
        yield by_label("counter", f"{self._prefix}requests_total", "Requests to rTorrent.", "call", requests)
        yield by_label(
            "counter", f"{self._prefix}failures_total", "Requests to rTorrent that failed.", "reason", failures
        )
        for name, help_text, total in (
            (
                "retries_total",
                "Reads sent again because the connection broke before an answer.",
                sum(one.retries for one in stats),
            ),
            ("request_bytes_total", "Bytes sent to rTorrent.", sum(one.request_bytes for one in stats)),
            ("response_bytes_total", "Bytes received from rTorrent.", sum(one.response_bytes for one in stats)),
        ):
            yield single("counter", self._prefix + name, help_text, float(total))

    def _durations(self, stats: tuple[CallStats, ...]) -> Metric:
        samples = {
            name: _sample(name, [one for stat in stats if (one := stat.durations.get(name))]) for name in CALL_NAMES
        }
        family = Family(
            name=f"{self._prefix}duration_seconds",
            kind="histogram",
            help="Time from connecting to rTorrent until its answer was read.",
            labels=("call",),
            bounds=BOUNDS,
            samples=tuple(samples.values()),
        )
        return histogram(family)


def _sample(name: str, durations: list[Durations]) -> Sample:
    buckets = [0.0] * (len(BOUNDS) + 1)
    for one in durations:
        buckets = [have + more for have, more in zip(buckets, one.buckets, strict=True)]
    return Sample(labels=(name,), value=sum(one.total for one in durations), buckets=tuple(buckets))


def _by_call(requests: Mapping[str, int]) -> Counter[str]:
    """RTorrentCalls without a label of ours (the list of commands, the mark of an incarnation) belong to the ping."""
    counts = Counter[str]()
    for name, count in list(requests.items()):
        counts[name if name in CALL_NAMES else "ping"] += count
    return counts
