"""Defines a field: its name and kind, the rTorrent commands it needs, and how their results become its value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pyrotorque.fields.kinds import Kind, Value

Detail: TypeAlias = Literal["files", "trackers", "views", "priorities", "announces", "swarm", "custom"]
Rows: TypeAlias = Sequence[Sequence[Any]]
# Requested for each item, and only for items that match the cheap clauses of a condition.
DETAILS: Final[dict[Detail, tuple[str, tuple[str, ...]]]] = {
    "files": ("f.multicall", ("f.path=", "f.size_bytes=")),
    "trackers": ("t.multicall", ("t.url=", "t.is_enabled=")),
    "views": ("d.views", ()),
    "priorities": ("f.multicall", ("f.priority=", "f.size_bytes=")),
    "announces": ("t.multicall", ("t.url=", "t.is_enabled=", "t.success_time_last=", "t.failed_time_last=")),
    "swarm": ("t.multicall", ("t.is_enabled=", "t.scrape_time_last=", "t.scrape_complete=", "t.scrape_incomplete=")),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One property of an item.

    `convert` gets the results of `commands` as texts in this order, then the rows of each of `details` (see DETAILS),
    then, if `clock` is set, the current time. `local` marks a field that reads the filesystem. `needs` names the fields
    that a field of a user's config.py reads; such a field has the detail "custom" and is computed in another process.
    With `strict`, an unknown value satisfies no comparison and no negation of one; without it, it satisfies negations,
    as in 1.0.0.
    """

    name: str
    kind: Kind
    commands: tuple[str, ...]
    convert: Callable[..., Value]
    doc: str
    details: tuple[Detail, ...] = ()
    clock: bool = False
    local: bool = False
    needs: tuple[str, ...] = ()
    strict: bool = False

    @property
    def costly(self) -> bool:
        """Whether reading it costs more than one column of the packed call."""
        return bool(self.details) or self.local

    def read(self, raw: Mapping[str, str], details: Mapping[Detail, Rows] | None = None, now: float = 0) -> Value:
        """The value from rTorrent's results by command; a missing result counts as empty."""
        given: list[Any] = [raw.get(command, "") for command in self.commands]
        given += [(details or {}).get(detail, ()) for detail in self.details]
        return self.convert(*given, *((now,) if self.clock else ()))
