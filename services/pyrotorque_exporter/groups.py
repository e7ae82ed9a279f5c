"""The groups of metrics that an exporter job shows, by its settings; groups that are cheap to collect come first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyrotorque.item_stats import DEFAULT_LABELS, DEFAULT_STATS, parse_labels, parse_stats
from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque.settings.schema import METRIC_GROUPS, ExporterSettings
from pyrotorque_exporter.collectors import Collector
from pyrotorque_exporter.collectors.disks import DisksCollector
from pyrotorque_exporter.collectors.exporter import ExporterCollector
from pyrotorque_exporter.collectors.items import ItemsCollector
from pyrotorque_exporter.collectors.rpc import RpcCollector
from pyrotorque_exporter.collectors.services import ServiceTotalsCollector
from pyrotorque_exporter.collectors.summary import SummaryCollector
from pyrotorque_exporter.collectors.system import SystemCollector
from pyrotorque_exporter.collectors.throttle import ThrottleCollector
from pyrotorque_exporter.collectors.trackers import TrackersCollector
from pyrotorque_exporter.collectors.views import ViewsCollector
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.service_states import ServiceStates
from pyrotorque_exporter.tracker_names import TrackerNames
from pyrotorque_exporter.tracker_totals import TrackerTotals

# `system` means all of these, because it did so in earlier exporters.
DEFAULT: Final = tuple(name for name in METRIC_GROUPS if name not in ("trackers", "items"))


def selected_groups(words: Sequence[str]) -> tuple[str, ...]:
    """The groups that `job.NAME.jobs` selects: `system` is the default set, `-NAME` leaves one out."""
    selected: set[str] = set()
    for word in words:
        selected |= set(DEFAULT) if word == "system" else {word}
    selected -= {word.removeprefix("-") for word in words if word.startswith("-")}
    return tuple(name for name in METRIC_GROUPS if name in selected)


def collectors_for(
    settings: ExporterSettings,
    calls: RTorrentCalls,
    states: ServiceStates,
    processes: Collector,
    trackers: TrackerTotals,
    names: TrackerNames,
    gate: SessionGate | None = None,
    roots: Sequence[str] = (),
    configuration: Path | None = None,
) -> list[Collector]:
    """The collectors of one exporter job, in the order in which they run."""
    exclude = tuple(word.strip() for word in settings.views_exclude.split(",") if word.strip())
    stats = parse_stats(settings.item_stats or DEFAULT_STATS)
    labels = parse_labels(settings.item_labels or DEFAULT_LABELS)
    available: tuple[Collector, ...] = (
        ExporterCollector(configuration),
        processes,
        *(ServiceTotalsCollector(name, states) for name in ("queue", "watch", "jobs", "fleet")),
        SystemCollector(),
        ThrottleCollector(settings.throttles),
        ViewsCollector(exclude),
        SummaryCollector(),
        DisksCollector(roots),
        TrackersCollector(names, trackers, gate),
        ItemsCollector(stats, labels, names, prefix=settings.prefix, limit=settings.items_max),
        RpcCollector(lambda: calls.stats),
    )
    selected = selected_groups(settings.jobs)
    return [collector for collector in available if collector.name in selected]
