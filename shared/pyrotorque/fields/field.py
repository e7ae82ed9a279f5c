"""What a field is: a name and a kind, the rTorrent commands it needs, and how their answers become its value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pyrotorque.fields.kinds import Kind, Value

Detail: TypeAlias = Literal["files", "trackers", "views", "custom"]
Rows: TypeAlias = Sequence[Sequence[Any]]
# Asked for one item at a time, and only for items that the cheap clauses let through.
DETAILS: Final[dict[Detail, tuple[str, tuple[str, ...]]]] = {
    "files": ("f.multicall", ("f.path=", "f.size_bytes=")),
    "trackers": ("t.multicall", ("t.url=", "t.is_enabled=")),
    "views": ("d.views", ()),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One property of an item.

    `convert` gets the answers of `commands` as texts in this order, then the rows of each of `details` (see DETAILS),
    then, with `clock` set, the present time. `local` marks what looks at the filesystem. `needs` names the fields that
    a field of a user's config.py reads; such a field has the detail "custom" and is computed elsewhere.
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

    @property
    def costly(self) -> bool:
        """Whether asking for it costs more than a column of the one packed call."""
        return bool(self.details) or self.local

    def read(self, raw: Mapping[str, str], details: Mapping[Detail, Rows] | None = None, now: float = 0) -> Value:
        """The value from rTorrent's answers by command; a command that was not answered counts as empty."""
        given: list[Any] = [raw.get(command, "") for command in self.commands]
        given += [(details or {}).get(detail, ()) for detail in self.details]
        return self.convert(*given, *((now,) if self.clock else ()))
