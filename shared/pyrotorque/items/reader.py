"""Reading the items of a view: filtered by rTorrent where that pays, by cheap clauses first, by dear ones last."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Final, Protocol

from pyrotorque import fields as known_fields
from pyrotorque.conditions import Condition
from pyrotorque.errors import ConditionError
from pyrotorque.fields.field import Detail, Field
from pyrotorque.items.details import DetailReader
from pyrotorque.items.habits import Habit
from pyrotorque.items.item import Columns, Item
from pyrotorque.text import printable

log = logging.getLogger(__name__)

_NO_FIELDS: Final[Mapping[str, Field]] = {}
_COMMANDS_OF_FILTER: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*(?==)")
_UNDERSCORES_MAX: Final = 8


class Reader(Protocol):
    """What reading items needs of rTorrent's client."""

    def rows(self, view: str, commands: Sequence[str], *, where: str = "") -> list[tuple[str, ...]]: ...
    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]: ...
    def known(self, command: str) -> bool: ...


class CustomFields(Protocol):
    """Computes the fields of a user's config.py, for many items in one go."""

    def values(self, names: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]: ...


class ItemReader:
    """Reads items of one rTorrent, and remembers what never changes for a torrent and which filters pay.

    It belongs to the thread of its client. `custom` computes the fields of a user's config.py where there are any.
    """

    def __init__(self, rtorrent: Reader, custom: CustomFields | None = None) -> None:
        self._rtorrent = rtorrent
        self._custom = custom
        self._details = DetailReader(rtorrent)
        self._habits: dict[tuple[str, Condition], Habit] = {}
        self._told: set[str] = set()

    def read(
        self,
        view: str,
        condition: Condition | None,
        fields: Iterable[str],
        now: float,
        *,
        table: Mapping[str, Field] = _NO_FIELDS,
    ) -> list[Item]:
        """The items of `view` that meet the condition, in the view's order, with the condition's fields and `fields`.

        `table` adds fields, or replaces known ones, as `custom` does for `conditions.parse`.
        """
        wanted = _with_needs({name: find(name, table) for name in ("hash", *fields)}, table)
        asked = {**wanted, **_with_needs(condition.table if condition else {}, table)}
        if any("files" in field.details for field in asked.values()):
            asked["size"] = find("size", table)
        columns = Columns(asked.values(), now, self._command)
        filters = self._filters(condition, now)
        where = self._habit(view, condition).choose(filters) if condition else ""
        items = columns.items(self._rtorrent.rows(view, columns.commands, where=where))
        if condition is not None:
            self._habit(view, condition).learn(filters, len(items))
            items = self._chosen(items, condition, _with_needs(condition.table, table), view, where, now)
        self._fetch(items, wanted, view, where)
        return items

    def _chosen(
        self, items: list[Item], condition: Condition, needed: Mapping[str, Field], view: str, where: str, now: float
    ) -> list[Item]:
        """Ask the cheap clauses first, and what is dear only for the items that they let through."""
        if any(field.details for field in condition.table.values()):
            cheap = condition.without(lambda field: bool(field.details))
            items = cheap.select(items, now) if cheap else items
            self._fetch(items, needed, view, where)
        return condition.select(items, now)

    def _fetch(self, items: list[Item], fields: Mapping[str, Field], view: str, where: str) -> None:
        details: set[Detail] = {detail for field in fields.values() for detail in field.details if detail != "custom"}
        for detail in sorted(details):
            self._details.fetch(items, detail, view, where)
        names = [name for name, field in fields.items() if "custom" in field.details]
        fresh = [item for item in items if any(name not in item for name in names)]
        if names and fresh:
            self._compute(fresh, names, fields)

    def _compute(self, items: list[Item], names: list[str], fields: Mapping[str, Field]) -> None:
        if self._custom is None:
            raise ConditionError(f"the fields {', '.join(names)} of config.py cannot be computed here")
        needed = {need for name in names for need in fields[name].needs}
        asked = [{name: item[name] for name in ("hash", *sorted(needed))} for item in items]
        for name, values in self._custom.values(names, asked).items():
            for item, value in zip(items, values, strict=True):
                item[name] = value

    def _habit(self, view: str, condition: Condition) -> Habit:
        return self._habits.setdefault((view, condition), Habit())

    def _filters(self, condition: Condition | None, now: float) -> Sequence[str]:
        """The condition's filters; none where rTorrent lacks a command of them, which it would take for false."""
        filters = condition.filters(now) if condition else ()
        needed = {"d.multicall.filtered"}.union(*map(_COMMANDS_OF_FILTER.findall, filters))
        return filters if all(map(self._rtorrent.known, needed)) else ()

    def _command(self, command: str) -> str:
        """The command as this rTorrent knows it; empty, and told once, when it does not."""
        if self._rtorrent.known(command):
            return command
        name, equals, argument = command.partition("=")
        for other in _dotted(name):
            if self._rtorrent.known(other):
                return other + equals + argument
        if command not in self._told:
            self._told.add(command)
            log.info("This rTorrent has no command %s: what depends on it counts as empty.", printable(name))
        return ""


def find(name: str, table: Mapping[str, Field]) -> Field:
    """The field of this name; ConditionError when there is none."""
    found = table.get(name) or known_fields.field(name)
    if found is None:
        raise ConditionError(f"there is no field `{printable(name)}`; all fields are listed in docs/conditions.md")
    return found


def read_items(
    rtorrent: Reader,
    view: str,
    condition: Condition | None,
    fields: Iterable[str],
    now: float,
    *,
    table: Mapping[str, Field] = _NO_FIELDS,
) -> list[Item]:
    """The items of `view` that meet the condition; who asks again and again keeps an `ItemReader` instead."""
    return ItemReader(rtorrent).read(view, condition, fields, now, table=table)


def _with_needs(fields: Mapping[str, Field], table: Mapping[str, Field]) -> dict[str, Field]:
    """The fields, and those that they are computed from."""
    return {**{need: find(need, table) for field in fields.values() for need in field.needs}, **fields}


def _dotted(name: str) -> Iterable[str]:
    """`d.up_rate` and `d.up.rate`: the name of a field cannot hold dots, so each underscore may stand for one."""
    parts = name.split("_")
    if len(parts) > _UNDERSCORES_MAX:
        return ()
    ways = product("._", repeat=len(parts) - 1)
    return ("".join(part + mark for part, mark in zip(parts, (*way, ""), strict=True)) for way in ways)
