"""Which groups an exporter job shows, by its settings, and in which order: what is cheap comes first."""

from collections.abc import Sequence
from typing import Final

from pyrotorque.item_stats import DEFAULT_LABELS, DEFAULT_STATS, parse_labels, parse_stats
from pyrotorque.settings.schema import METRIC_GROUPS, ExporterSettings
from pyrotorque_exporter.collectors import Group
from pyrotorque_exporter.collectors.exporter import Own
from pyrotorque_exporter.collectors.items import Items
from pyrotorque_exporter.collectors.rpc import Rpc
from pyrotorque_exporter.collectors.services import FromServices
from pyrotorque_exporter.collectors.summary import Summary
from pyrotorque_exporter.collectors.system import System
from pyrotorque_exporter.collectors.throttle import Throttle
from pyrotorque_exporter.collectors.trackers import Trackers
from pyrotorque_exporter.collectors.views import Views
from pyrotorque_exporter.rtorrent_calls import Calls
from pyrotorque_exporter.service_states import Told
from pyrotorque_exporter.tracker_names import TrackerNames
from pyrotorque_exporter.tracker_totals import TrackerTotals

# The word `system` means these, as it meant everything but trackers and items to users of the earlier exporter.
DEFAULT: Final = tuple(name for name in METRIC_GROUPS if name not in ("trackers", "items"))


def chosen(words: Sequence[str]) -> tuple[str, ...]:
    """The groups that `job.NAME.jobs` names: `system` is the default set, `-NAME` leaves one out again."""
    wanted: set[str] = set()
    for word in words:
        wanted |= set(DEFAULT) if word == "system" else {word}
    wanted -= {word.removeprefix("-") for word in words if word.startswith("-")}
    return tuple(name for name in METRIC_GROUPS if name in wanted)


def groups_for(
    settings: ExporterSettings,
    calls: Calls,
    told: Told,
    processes: Group,
    trackers: TrackerTotals,
    names: TrackerNames,
) -> list[Group]:
    """The groups of one exporter job, in the order in which they are collected."""
    prefix = settings.prefix
    exclude = tuple(word.strip() for word in settings.views_exclude.split(",") if word.strip())
    stats = parse_stats(settings.item_stats or DEFAULT_STATS)
    labels = parse_labels(settings.item_labels or DEFAULT_LABELS)
    available: tuple[Group, ...] = (
        Own(),
        processes,
        *(FromServices(name, told) for name in ("queue", "watch", "jobs")),
        System(prefix),
        Throttle(prefix, settings.throttles),
        Views(prefix, exclude),
        Summary(prefix),
        Trackers(prefix, names, trackers),
        Items(prefix, stats, labels, names, limit=settings.items_max),
        Rpc(prefix, lambda: calls.stats),
    )
    wanted = chosen(settings.jobs)
    return [group for group in available if group.name in wanted]
