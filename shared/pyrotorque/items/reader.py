"""Reads the items of a view: filtered by rTorrent where that is cheaper, cheap clauses first, costly ones last."""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, Final, Protocol

from pyrotorque import fields as known_fields
from pyrotorque.conditions import Condition
from pyrotorque.errors import ConditionError
from pyrotorque.fields.effects import refuse_effects
from pyrotorque.fields.field import Detail, Field
from pyrotorque.items.details import FRESH, DetailReader
from pyrotorque.items.filter_choice import FilterChoice
from pyrotorque.items.item import Columns, Item
from pyrotorque.items.lazy_items import LazyItems, filtered_rows
from pyrotorque.items.view_choice import ViewChooser
from pyrotorque.text import printable

log = logging.getLogger(__name__)

_NO_FIELDS: Final[Mapping[str, Field]] = {}
_COMMANDS_OF_FILTER: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*(?==)")
_UNDERSCORES_MAX: Final = 8
_FILTER_CHOICES_MAX: Final = 100
_OURS: Final = frozenset(command for field in known_fields.FIELDS.values() for command in field.commands)


class Reader(Protocol):
    """The part of rTorrent's client that reading items needs."""

    def rows(
        self, view: str, commands: Sequence[str], *, where: str = "", meanwhile: Callable[[], None] | None = None
    ) -> list[tuple[str, ...]]: ...
    def scan_rows(self, view: str, commands: Sequence[str], *, where: str = "") -> Iterable[tuple[str, ...]]: ...
    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]: ...
    def known(self, command: str) -> bool: ...


class CustomFields(Protocol):
    """Computes the fields of a user's config.py for many items at once."""

    def values(self, names: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]: ...


class ItemReader:
    """Reads items of one rTorrent; caches what never changes for a torrent, and which filters are worth their cost.

    It belongs to the thread of its client. `custom` computes the fields of a user's config.py, if there is one.
    """

    def __init__(self, rtorrent: Reader, custom: CustomFields | None = None) -> None:
        self._rtorrent = rtorrent
        self._custom = custom
        self._details = DetailReader(rtorrent)
        self._filter_choices: dict[tuple[str, Condition], FilterChoice] = {}
        self._views = ViewChooser(rtorrent)
        self._missing: set[str] = set()

    def read(
        self,
        view: str,
        condition: Condition | None,
        fields: Iterable[str],
        now: float,
        *,
        table: Mapping[str, Field] = _NO_FIELDS,
    ) -> list[Item]:
        """The items of `view` that match the condition, in the view's order, with the condition's fields and `fields`.

        `table` adds or replaces fields, as `custom` does for `conditions.parse`.
        """
        return list(self.find(view, condition, fields, now, table=table))

    def find(
        self,
        view: str,
        condition: Condition | None,
        fields: Iterable[str],
        now: float,
        *,
        table: Mapping[str, Field] = _NO_FIELDS,
        any_order: bool = False,
        deferred: Collection[str] = (),
        meanwhile: Callable[[], None] | None = None,
    ) -> LazyItems:
        """The same, converted on access; `any_order` may make it cheaper.

        The details of the fields `deferred` are not read: `fetch` reads them for some of the items. `meanwhile` runs
        while rTorrent works on the rows.
        """
        wanted = _with_needs({name: field_of(name, table) for name in ("hash", *fields)}, table)
        if condition is None:
            columns = self._columns(wanted, now, {}, table)
            rows = self._rtorrent.rows(view, columns.commands, meanwhile=meanwhile)
            return self._found(columns, rows, wanted, (view, ""))
        every, wanted = wanted, {name: each for name, each in wanted.items() if name not in deferred}
        needed = _with_needs(condition.table, table)
        source = self._views.choose(view, condition, now, any_order=any_order)
        columns = self._columns({**every, **needed}, now, source.known, table)
        choice = self._filter_choice(source.view, condition)
        filters = self._filters(condition, now, source.known)
        # A condition on hashes is used once and matches few items.
        ask = partial(self._rtorrent.scan_rows, source.view) if source.many and "hash" not in condition.fields else None
        where = choice.choose(filters, len(columns.commands), ask)
        rows = self._rtorrent.rows(source.view, columns.commands, where=where, meanwhile=meanwhile)
        cheap = condition.cheap
        matching = filtered_rows(columns, rows, cheap, now) if cheap else rows
        choice.learn(len(rows), len(matching))
        if cheap is condition:
            return self._found(columns, matching, wanted, (source.view, where))
        chosen = list(LazyItems(columns, matching))
        for part in condition.parts:
            if part.cheap is not part:
                known = self._fetch(chosen, _with_needs(part.table, table), source.view, where)
                chosen = part.select(known, now)
        self._fetch(chosen, wanted, source.view, where)
        return LazyItems(columns, (), chosen)

    def find_among(
        self,
        rows_of: Callable[[Sequence[str]], list[tuple[str, ...]]],
        condition: Condition,
        fields: Iterable[str],
        now: float,
        *,
        table: Mapping[str, Field] = _NO_FIELDS,
    ) -> LazyItems | None:
        """Those of a few items that match; `rows_of` returns their rows for a list of commands.

        None where that needs more than their rows, such as their files.
        """
        wanted = _with_needs({name: field_of(name, table) for name in ("hash", *fields)}, table)
        needed = {**wanted, **_with_needs(condition.table, table)}
        if any(each.details for each in needed.values()):
            return None
        columns = self._columns(needed, now, {}, table)
        return LazyItems(columns, filtered_rows(columns, rows_of(columns.commands), condition, now))

    def fetch(
        self, items: Iterable[Item], names: Iterable[str], view: str, *, table: Mapping[str, Field] = _NO_FIELDS
    ) -> list[Item]:
        """Read the details of deferred fields; returns the items that still exist."""
        return self._fetch(list(items), _with_needs({name: field_of(name, table) for name in names}, table), view, "")

    def _filter_choice(self, view: str, condition: Condition) -> FilterChoice:
        if len(self._filter_choices) >= _FILTER_CHOICES_MAX:  # `explain` reads another item each time
            self._filter_choices.clear()
        return self._filter_choices.setdefault((view, condition), FilterChoice())

    def _columns(
        self, fields: Mapping[str, Field], now: float, known: Mapping[str, Any], table: Mapping[str, Field]
    ) -> Columns:
        needed = dict(fields)
        if any("files" in field.details for field in needed.values()):
            needed |= {name: field_of(name, table) for name in ("size", "fno")}
        if any("priorities" in field.details for field in needed.values()):
            needed |= {name: field_of(name, table) for name in FRESH}
        return Columns(needed.values(), now, self._command, known)

    def _found(
        self,
        columns: Columns,
        rows: Sequence[tuple[str, ...]],
        wanted: Mapping[str, Field],
        source: tuple[str, str],
    ) -> LazyItems:
        """The items of these rows, with the requested details."""
        found = LazyItems(columns, rows)
        if not any(field.details for field in wanted.values()):
            return found
        items = list(found)
        self._fetch(items, wanted, *source)
        return LazyItems(columns, (), items)

    def _fetch(self, items: list[Item], fields: Mapping[str, Field], view: str, where: str) -> list[Item]:
        """Read the details that the fields need; returns the items for which all of them were read."""
        details: set[Detail] = {detail for field in fields.values() for detail in field.details if detail != "custom"}
        for detail in sorted(details):
            self._details.fetch(items, detail, view, where)
        names = [name for name, field in fields.items() if "custom" in field.details]
        fresh = [item for item in items if any(name not in item for name in names)]
        if names and fresh:
            self._compute(fresh, names, fields)
        return [item for item in items if not any(map(item.lacks, details))]

    def _compute(self, items: list[Item], names: list[str], fields: Mapping[str, Field]) -> None:
        if self._custom is None:
            raise ConditionError(f"the fields {', '.join(names)} of config.py cannot be computed here")
        needed = {need for name in names for need in fields[name].needs}
        rows = [{name: item[name] for name in ("hash", *sorted(needed))} for item in items]
        for name, values in self._custom.values(names, rows).items():
            for item, value in zip(items, values, strict=True):
                item[name] = value

    def _filters(self, condition: Condition, now: float, known: Collection[str]) -> Sequence[str]:
        """The condition's filters; none if rTorrent lacks a command in them, which would count as false."""
        filters = condition.filters(now, known)
        needed = {"d.multicall.filtered"}.union(*map(_COMMANDS_OF_FILTER.findall, filters))
        return filters if all(map(self._rtorrent.known, needed)) else ()

    def _command(self, command: str) -> str:
        """The name of the command in this rTorrent; empty, and logged once, if it has none.

        Raises ConditionError for one that changes something.
        """
        if self._rtorrent.known(command):
            refuse_effects(command)
            return command
        name, equals, argument = command.partition("=")
        for other in _dotted(name):
            if self._rtorrent.known(other):
                refuse_effects(other)
                return other + equals + argument
        if command not in self._missing:
            self._missing.add(command)
            # An older rTorrent may lack commands of known fields; one that the user wrote is probably misspelt.
            level = logging.INFO if command in _OURS else logging.WARNING
            log.log(level, "This rTorrent has no command %s; fields that need it are empty.", printable(name))
        return ""


def field_of(name: str, table: Mapping[str, Field]) -> Field:
    """The field of this name; raises ConditionError if there is none."""
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
    """The items of `view` that match the condition; use an `ItemReader` for repeated reads."""
    return ItemReader(rtorrent).read(view, condition, fields, now, table=table)


def _with_needs(fields: Mapping[str, Field], table: Mapping[str, Field]) -> dict[str, Field]:
    """The fields and those that they are computed from."""
    return {**{need: field_of(need, table) for field in fields.values() for need in field.needs}, **fields}


def _dotted(name: str) -> Iterable[str]:
    """Variants like `d.up_rate` and `d.up.rate`: names of fields cannot contain dots, so each underscore may be one."""
    parts = name.split("_")
    if len(parts) > _UNDERSCORES_MAX:
        return ()
    ways = product("._", repeat=len(parts) - 1)
    return ("".join(part + mark for part, mark in zip(parts, (*way, ""), strict=True)) for way in ways)
