"""Limits per group of items, and whose turn it is: pure functions over group names in the order of the queue."""

import dataclasses
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from pyrotorque.conditions.values import NO, YES
from pyrotorque.fields.kinds import Kind

NO_NAME: Final = "none"
"""Stands for the empty value: `group_max.none`."""


def group_key(value: object) -> str:
    """The group of an item with this value of the field `group_by`; capitals make no difference, as in conditions.

    Nor does the percent-encoding in which ruTorrent stores labels: `TV%20Shows` is `TV Shows`.
    """
    text = ",".join(sorted(map(str, value))) if isinstance(value, frozenset | set | list) else str(value)
    return unquote(text).casefold() or NO_NAME


def group_named(name: str, kind: Kind) -> str:
    """The group that `group_max.NAME` means, for a field of this kind: `b, a` is a set, `yes` is true."""
    if kind == "tags":
        return group_key(frozenset(filter(None, (part.strip() for part in name.casefold().split(",")))))
    if kind == "bool" and name.lower() in YES | NO:
        return group_key(name.lower() in YES)
    return group_key(name)


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """The settings `group_by`, `group_max` and `group_max.NAME`; without a field there are no groups."""

    field: str = ""
    default: int = 0
    by_name: Mapping[str, int] = dataclasses.field(default_factory=dict[str, int])

    def of(self, group: str) -> int:
        """The slots of a group, 0 for no limit."""
        return self.by_name.get(group, self.default)


class GroupRoom:
    """How many items of each group run, and whether one more may start; changed by starts.

    `latest` has the number of the latest start of each group, for fair turns; it outlives a check.
    """

    def __init__(self, limits: GroupLimits, running: Iterable[str] = (), latest: dict[str, int] | None = None) -> None:
        self.limits = limits
        self.running: Counter[str] = Counter(running)
        self.latest = {} if latest is None else latest

    def is_full(self, group: str) -> bool:
        limit = self.limits.of(group)
        return bool(limit) and self.running[group] >= limit

    def is_over(self, group: str) -> bool:
        """Whether more items of the group run than may."""
        limit = self.limits.of(group)
        return bool(limit) and self.running[group] > limit

    def start(self, group: str) -> None:
        self.running[group] += 1
        self.latest[group] = max(self.latest.values(), default=0) + 1

    def stop(self, group: str) -> None:
        self.running[group] -= 1

    def copy(self) -> "GroupRoom":
        return GroupRoom(self.limits, self.running.elements(), dict(self.latest))


class Turns:
    """The order in which items are tried: fair between groups, in the order of the queue within each.

    Next is an item of the group with the fewest running items; of several such groups, of the one that had no start for
    longest, then of the one whose item is first in the order of the queue. Items of a lower `rank` (a higher priority)
    precede all others. A group without room is left out; `full` has the index of the first item of each. The caller
    starts an item, or not, before it takes the next one.
    """

    def __init__(self, groups: Sequence[str], room: GroupRoom, ranks: Sequence[int] = ()) -> None:
        self.full: dict[str, int] = {}
        self._room = room
        self._ranks = ranks
        self._queues: dict[str, list[int]] = {group: [] for group in dict.fromkeys(groups)}
        if len(self._queues) == 1:
            self._queues = {group: list(range(len(groups))) for group in self._queues}
            return
        for index, group in enumerate(groups):
            self._queues[group].append(index)

    def __iter__(self) -> Iterator[int]:
        if not self._room.limits.field:
            yield from self._queues.get("", ())
            return
        heads = [self._head(group, 0) for group in self._queues]
        heapq.heapify(heads)
        while heads:
            *_, index, group, place = heapq.heappop(heads)
            if self._room.is_full(group):
                self.full.setdefault(group, index)
                continue
            yield index
            if place + 1 < len(self._queues[group]):
                heapq.heappush(heads, self._head(group, place + 1))

    def _head(self, group: str, place: int) -> tuple[int, int, int, int, str, int]:
        index = self._queues[group][place]
        rank = self._ranks[index] if self._ranks else 0
        return rank, self._room.running[group], self._room.latest.get(group, 0), index, group, place
