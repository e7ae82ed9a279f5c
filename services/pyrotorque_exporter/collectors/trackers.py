"""Group `trackers`: items, sizes and traffic by tracker."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric

from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.families import Kind, by_label, single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.tracker_names import TrackerNames
from pyrotorque_exporter.tracker_totals import TrackerTotals, TrackerTraffic


class TrackersCollector:
    """One call over all items for totals and sizes, three that let rTorrent filter for messages and traffic."""

    name = "trackers"
    uses_rtorrent = True

    def __init__(self, names: TrackerNames, totals: TrackerTotals, gate: SessionGate | None = None) -> None:
        self._names, self._totals, self._gate = names, totals, gate

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        rows = context.calls.rows(self.name, "main", ("d.hash=", "d.up.total=", "d.down.total=", "d.size_bytes="))
        names = self._names.update(context.calls, self.name, [row[0] for row in rows], context.now)
        trackers = {info_hash: names.get(info_hash, "other") for info_hash, *_ in rows}
        numbers = [(info_hash, int(up), int(down)) for info_hash, up, down, _ in rows]
        totals = self._growth(numbers, trackers, context)
        labels = {info_hash: self._totals.label(tracker) for info_hash, tracker in trackers.items()}
        zero = dict.fromkeys(totals, 0.0)

        items, sizes = Counter[str](), Counter[str]()
        for info_hash, _, _, size in rows:
            items[labels[info_hash]] += 1
            sizes[labels[info_hash]] += int(size)
        with_message = self._summed(context.calls, labels, "d.message=", count=True)
        rates_up = self._summed(context.calls, labels, "d.up.rate=")
        rates_down = self._summed(context.calls, labels, "d.down.rate=")

        yield _family("rtorrent_tracker_items", "Items of a tracker", {**zero, **items})
        yield _family(
            "rtorrent_tracker_message_items", "Items of a tracker with a message (d.message)", {**zero, **with_message}
        )
        yield _family("rtorrent_tracker_size_bytes", "Size of a tracker's items (d.size_bytes)", {**zero, **sizes})
        yield from _traffic(totals)
        yield _family(
            "rtorrent_tracker_upload_rate_bytes_per_second",
            "Current upload rate of a tracker's items (d.up.rate)",
            {**zero, **rates_up},
        )
        yield _family(
            "rtorrent_tracker_download_rate_bytes_per_second",
            "Current download rate of a tracker's items (d.down.rate)",
            {**zero, **rates_down},
        )
        exceeded = float(self._totals.exceeded)
        yield single(
            "gauge", "rtorrent_tracker_limit_exceeded", "Whether there are more trackers than trackers_max.", exceeded
        )

    def _growth(
        self, numbers: Iterable[tuple[str, int, int]], trackers: Mapping[str, str], context: ScrapeContext
    ) -> dict[str, TrackerTraffic]:
        """The totals after this reading; those of before while it is not from the known rTorrent."""
        if self._gate is None:
            return self._totals.update(numbers, trackers, context.now)
        if self._gate.why_unknown_incarnation(context.calls.incarnation):
            return self._totals.current()
        return self._totals.update(numbers, trackers, context.now, era=self._gate.era())

    def _summed(
        self, calls: RTorrentCalls, labels: Mapping[str, str], command: str, *, count: bool = False
    ) -> dict[str, float]:
        """By tracker, the sum of `command` (or the number) of the items for which it is not 0 or empty."""
        sums = Counter[str]()
        commands = ("d.hash=",) if count else ("d.hash=", command)
        for info_hash, *values in calls.rows(self.name, "main", commands, where=command):
            sums[labels.get(info_hash, "other")] += int(values[0]) if values else 1
        return {tracker: float(value) for tracker, value in sums.items()}


def _traffic(totals: Mapping[str, TrackerTraffic]) -> Iterator[Metric]:
    uploaded = {tracker: float(traffic.up) for tracker, traffic in totals.items()}
    downloaded = {tracker: float(traffic.down) for tracker, traffic in totals.items()}
    yield _family(
        "rtorrent_tracker_uploaded_bytes_total", "Growth of d.up.total of a tracker's items", uploaded, "counter"
    )
    yield _family(
        "rtorrent_tracker_downloaded_bytes_total", "Growth of d.down.total of a tracker's items", downloaded, "counter"
    )


def _family(name: str, help_text: str, values: Mapping[str, float], kind: Kind = "gauge") -> Metric:
    return by_label(kind, name, f"{help_text}.", "tracker", values)
