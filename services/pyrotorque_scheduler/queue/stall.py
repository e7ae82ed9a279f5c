"""Which running items make no progress, and which of them give up their slot to waiting ones: pure functions."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyrotorque_scheduler.queue.groups import GroupRoom

HIGH_PRIORITY: Final = 3
NEVER: Final = 9e15
_EXPONENT_MAX: Final = 30


@dataclass(frozen=True, slots=True)
class StallLimits:
    """The settings `stall_*`, see docs/queue.md; durations in seconds, `after` 0: no rotation."""

    after: float = 0.0
    bytes: int = 1 << 20
    grace: float = 600.0
    retry: float = 1800.0
    retry_max: float = 86_400.0
    strikes: int = 0
    reset: int = 50 << 20


@dataclass(frozen=True, slots=True)
class RunningItem:
    """A running item as read now; `started` is when its state changed last by rTorrent, in Unix seconds."""

    info_hash: str
    name: str
    bytes_done: int
    left: int
    started: float = 0.0
    group: str = ""
    priority: int = 2
    ignored: bool = False
    forced: bool = False
    """Started with `pyrotorque start`."""


@dataclass(frozen=True, slots=True)
class ItemProgress:
    """The bytes of an item when it last made progress, at `at`; `seen` is when it was first seen running.

    Times are seconds of a clock that is never set, and stands still while the machine is suspended.
    """

    bytes_done: int
    left: int
    at: float
    seen: float


def progress(item: RunningItem, before: ItemProgress | None, limits: StallLimits, now: float) -> ItemProgress:
    """The progress of an item after another look.

    Fewer bytes are no progress: a chunk failed its check. Less than `stall_bytes` counts where less is left of the
    files that are selected now.
    """
    if before is None:
        return ItemProgress(item.bytes_done, item.left, now, now)
    if item.bytes_done < before.bytes_done:
        return ItemProgress(item.bytes_done, item.left, before.at, before.seen)
    gained = item.bytes_done - before.bytes_done
    needed = limits.bytes if min(before.left, item.left + gained) >= limits.bytes else 1
    if gained >= max(needed, 1):
        return ItemProgress(item.bytes_done, item.left, now, before.seen)
    return before


def stalled(
    items: Iterable[RunningItem], known: Mapping[str, ItemProgress], limits: StallLimits, now: float, wall: float
) -> list[RunningItem]:
    """The items that may give up their slot, those that stand still for longest first.

    Never one that its owner forces (`pyrotorque start`, high priority) or ignores, nor one within `stall_grace` after
    its start.
    """
    found = [
        item
        for item in items
        if (seen := known.get(item.info_hash)) is not None
        and limits.after > 0
        and now - seen.at >= limits.after
        and min(now - seen.seen, _since(item.started, wall)) >= limits.grace
        and item.priority < HIGH_PRIORITY
        and not (item.ignored or item.forced)
    ]
    return sorted(found, key=lambda item: (known[item.info_hash].at, item.info_hash))


def _since(started: float, wall: float) -> float:
    return wall - started if 0 < started <= wall else float("inf")


def swap(
    candidates: Sequence[RunningItem], waiting: Iterable[str], room: GroupRoom, free: int, starts: int
) -> list[RunningItem]:
    """Those of `candidates` that give up their slot, each for a waiting item that can start only then.

    `waiting` are the groups of the items that could start, in their order. `free` slots are left (less than 0: more
    run than may), and at most `starts` items are started.
    """
    room, usable = room.copy(), list(candidates)
    given: list[RunningItem] = []
    for group in waiting:
        if starts <= 0:
            break
        mine = [item for item in usable if item.group == group] if room.is_full(group) else []
        if room.is_full(group) and not mine:
            continue
        needed = max(1 - free, 1 if mine else 0)
        chosen = [*mine, *(item for item in usable if item not in mine)][:needed]
        if len(chosen) < needed:
            break  # all groups after it need as many
        for item in chosen:
            room.stop(item.group)
        if room.is_full(group):  # more run in the group than may
            for item in chosen:
                room.running[item.group] += 1
            continue
        usable = [item for item in usable if item not in chosen]
        given += chosen
        free += len(chosen) - 1
        starts -= 1
        room.start(group)
    return given


def retry_delay(strikes: int, limits: StallLimits, announce_interval: float) -> float:
    """Seconds until an item with this many strikes is tried again; never before the next announce is due."""
    if limits.strikes and strikes >= limits.strikes:
        return NEVER
    doubled = limits.retry * 2.0 ** min(max(strikes - 1, 0), _EXPONENT_MAX)
    return max(min(doubled, limits.retry_max), announce_interval)


def is_forgiven(bytes_then: int, item: RunningItem, limits: StallLimits) -> bool:
    """Whether the item made enough progress since it was parked, or as much as a small one can."""
    done = item.bytes_done - bytes_then
    return done > 0 and (done >= limits.reset or done >= item.left)


def line_is_up(moved_at: float, answered: Collection[float], window: float, now: float, wall: float) -> bool:
    """Whether a byte moved (on the clock of `now`) or a tracker answered (on that of `wall`) within the window."""
    return now - moved_at <= window or any(0 <= wall - at <= window for at in answered)
