"""The settings of one queue job, parsed once: conditions, order, limits, schedule, hours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyrotorque.conditions import Condition, SortOrder, parse, parse_sort
from pyrotorque.errors import ConditionError
from pyrotorque.fields import Field, check_group_field, field
from pyrotorque.hours import Hours, parse_hours
from pyrotorque.items import FRESH
from pyrotorque.schedule import Schedule, parse_schedule
from pyrotorque.settings.schema import QueueSettings
from pyrotorque_scheduler.queue.groups import GroupLimits, group_named
from pyrotorque_scheduler.queue.model import Limits
from pyrotorque_scheduler.queue.stall import StallLimits

STARTED_BUT_INCOMPLETE: Final = "is_active=1 is_complete=0 is_wanted_done=0"
# The message that rTorrent's close_low_diskspace sets on items that it closes, with the flag of a failed check.
LOW_DISK: Final = "Low diskspace."
# The messages of a failed check of the data (a missing disk, an I/O error), the first from 0.16.14 on. The check also
# sets a flag, but so does a load command that fails, with another message.
CHECK_FAILED: Final = ("Hash check I/O error", "Hashing failed:")
# Items that rTorrent closed by itself, for a cause on this machine. One that its owner stopped after it was closed on a
# full disk stays stopped.
CLOSED_BY_RTORRENT: Final = (
    f'is_complete=no is_ignored=no [ is_check_failed=yes OR message="{LOW_DISK}" ]'
    f' [ is_started=yes OR message=!"{LOW_DISK}" ]'
)

# Always read for a startable item; `loaded` gives its waiting time.
_ALWAYS: Final = frozenset({"hash", "name", "loaded"})
# Read for `min_free`.
DISK_FIELDS: Final = frozenset(
    {"d_left_bytes", "d_wanted_chunks", "d_chunk_size", "d_free_diskspace", "directory", *FRESH}
)


@dataclass(frozen=True, slots=True)
class QueueRules:
    """The parsed settings of a queue job."""

    settings: QueueSettings
    limits: Limits
    schedule: Schedule
    hours: Hours
    downloading: Condition
    running: Condition
    startable: Condition
    closed_by_rtorrent: Condition
    order: SortOrder | None
    table: Mapping[str, Field]
    groups: GroupLimits
    stall: StallLimits
    adopt: Condition | None = None
    """The items that are closed if others start them above the limit."""
    reserved: tuple[Condition, ...] = ()
    """The items of other jobs, which this queue neither starts nor closes."""

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def fields(self) -> frozenset[str]:
        """The fields to read for each startable item, beside those of the condition itself."""
        wanted = _ALWAYS | (self.order.fields if self.order else frozenset())
        return wanted | (DISK_FIELDS if self.limits.min_free else frozenset())


def _ignore(_setting: str, _error: ConditionError) -> None:
    pass


def read_rules(
    settings: QueueSettings,
    base: str,
    custom: Mapping[str, Field] | None = None,
    misread: Callable[[str, ConditionError], None] = _ignore,
    reserved: Sequence[str] = (),
) -> QueueRules:
    """The rules of a job; `base` is `queue_startable_base`, `reserved` are conditions of items that it leaves alone.

    `misread` gets the name of each setting that 1.0.0 accepted, but that cannot mean what was typed, and an error.
    Raises UserError (ConditionError) if a condition, the order, the schedule or the hours cannot be parsed.
    """
    known = {} if custom is None else custom
    for setting, text in settings.conditions(base):
        errors: list[ConditionError] = []
        parse(text, custom=known, tolerate=errors.append)
        if errors:
            misread(setting, errors[0])
    accepted: list[ConditionError] = []
    parsed = partial(parse, custom=known, tolerate=accepted.append)
    counted = f"{STARTED_BUT_INCOMPLETE} [ {settings.downloading} ]" if settings.downloading.strip() else None
    return QueueRules(
        settings=settings,
        limits=Limits(
            downloading_max=settings.downloading_max,
            downloading_min=settings.downloading_min,
            start_at_once=settings.start_at_once,
            intermission=settings.intermission,
            max_down_rate=settings.max_down_rate,
            min_free=settings.min_free,
        ),
        schedule=parse_schedule(settings.schedule),
        hours=parse_hours(settings.hours),
        downloading=parsed(counted or STARTED_BUT_INCOMPLETE),
        running=parse(STARTED_BUT_INCOMPLETE),
        startable=parsed(_without(reserved, _within(base, settings.startable))),
        closed_by_rtorrent=parsed(_within(base, CLOSED_BY_RTORRENT)),
        order=parse_sort(settings.sort_fields, custom=known) if settings.sort_fields.strip() else None,
        table=known,
        groups=_group_limits(settings, known),
        stall=StallLimits(
            after=settings.stall_after,
            bytes=settings.stall_bytes,
            grace=settings.stall_grace,
            retry=settings.stall_retry,
            retry_max=settings.stall_retry_max,
            strikes=settings.stall_strikes,
            reset=settings.stall_reset,
        ),
        adopt=parsed(settings.adopt) if settings.adopt.strip() else None,
        reserved=tuple(map(parsed, reserved)),
    )


def _group_limits(settings: QueueSettings, table: Mapping[str, Field]) -> GroupLimits:
    if not settings.group_by:
        return GroupLimits()
    check_group_field(settings.group_by, table)
    found = table.get(settings.group_by) or field(settings.group_by)
    kind = found.kind if found is not None else "text"
    by_name = {group_named(name, kind): limit for name, limit in settings.group_maxima}
    return GroupLimits(settings.group_by, settings.group_max, by_name)


def _without(reserved: Sequence[str], condition: str) -> str:
    """Reserved items are left out, except those that run until rTorrent closes them by itself."""
    parts = [f"[ {condition} ]", *(f"[ is_started=yes OR [ NOT {text} ] ]" for text in reserved)]
    return " ".join(parts) if reserved else condition


def _within(base: str, condition: str) -> str:
    return f"[ {base} ] [ {condition} ]" if base.strip() else condition
