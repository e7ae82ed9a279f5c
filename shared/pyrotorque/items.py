"""Items of rTorrent with the fields that were asked for: one packed call, and few more for what is dear."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Final, Protocol

from pyrotorque import fields as known_fields
from pyrotorque.conditions import Condition
from pyrotorque.errors import ConditionError
from pyrotorque.fields.field import DETAILS, Detail, Field, Rows
from pyrotorque.text import printable

log = logging.getLogger(__name__)

_NO_FIELDS: Final[Mapping[str, Field]] = {}
_COMMANDS_OF_FILTER: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*(?==)")
_CACHE_MAX: Final = 50_000
_UNDERSCORES_MAX: Final = 8


class Reader(Protocol):
    """What reading items needs of rTorrent's client."""

    def rows(self, view: str, commands: Sequence[str], *, where: str = "") -> list[tuple[str, ...]]: ...
    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]: ...
    def known(self, command: str) -> bool: ...


class CustomFields(Protocol):
    """Computes the fields of a user's config.py, for many items in one go."""

    def values(self, names: Sequence[str], items: Sequence["Item"]) -> Mapping[str, Sequence[Any]]: ...


class Item(dict[str, Any]):
    """One torrent: `item["name"]` or `item.name`; a field is converted when it is first asked for.

    Only fields that were read are there; any other is a KeyError or an AttributeError.
    """

    __slots__ = ("_columns", "_details", "_row")

    def __init__(self, columns: "_Columns", row: tuple[str, ...]) -> None:
        super().__init__()
        self._columns = columns
        self._row = row
        self._details: dict[Detail, Rows] = {}

    def __missing__(self, name: str) -> Any:
        value = self[name] = self._columns.readers[name](self._row, self._details)
        return value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the field `{name}` was not read for this item") from None

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self["hash"])

    def add(self, detail: Detail, rows: Rows) -> None:
        """Keep what was asked for this item alone."""
        self._details[detail] = rows

    def missing(self, detail: Detail) -> bool:
        return detail not in self._details


class ItemReader:
    """Reads items of one rTorrent, and remembers what never changes for a torrent: its files.

    It belongs to the thread of its client. `custom` computes the fields of a user's config.py where there are any.
    """

    def __init__(self, rtorrent: Reader, custom: CustomFields | None = None) -> None:
        self._rtorrent = rtorrent
        self._custom = custom
        self._files: dict[tuple[str, str], Rows] = {}
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
        wanted = {name: find(name, table) for name in ("hash", "size", *fields)}
        asked = {**wanted, **(condition.table if condition else {})}
        asked |= {need: find(need, table) for each in list(asked.values()) for need in each.needs}
        columns = _Columns(asked.values(), now, self._command)
        where = self._where(condition, now)
        items = [Item(columns, row) for row in self._rtorrent.rows(view, columns.commands, where=where)]
        if condition is not None:
            items = self._chosen(items, condition, now)
        self._fetch(items, wanted.values())
        return items

    def _chosen(self, items: list[Item], condition: Condition, now: float) -> list[Item]:
        """Ask the cheap clauses first, and what is dear only for the items that they let through."""
        dear = [field for field in condition.table.values() if field.details]
        cheap = condition.without(lambda field: bool(field.details)) if dear else None
        if cheap is not None:
            items = cheap.select(items, now)
        self._fetch(items, dear)
        return condition.select(items, now)

    def _fetch(self, items: list[Item], fields: Iterable[Field]) -> None:
        fields = list(fields)
        needed = {need for field in fields for need in field.needs}
        details = {detail for field in fields for detail in field.details}
        details |= {detail for name in needed for detail in find(name, _NO_FIELDS).details}
        for detail in sorted(details - {"custom"}):
            self._fetch_detail([item for item in items if item.missing(detail)], detail)
        names = [field.name for field in fields if "custom" in field.details]
        fresh = [item for item in items if any(name not in item for name in names)]
        if names and fresh and self._custom is not None:
            for name, values in self._custom.values(names, fresh).items():
                for item, value in zip(fresh, values, strict=True):
                    item[name] = value

    def _fetch_detail(self, items: list[Item], detail: Detail) -> None:
        if detail == "files":
            items = [item for item in items if not self._remembered(item)]
        method, commands = DETAILS[detail]
        arguments = ("", *commands) if commands else ()
        answers = self._rtorrent.multicall([(method, (item["hash"], *arguments)) for item in items])
        for item, answer in zip(items, answers, strict=True):
            rows: Rows = answer if isinstance(answer, list) else ()
            item.add(detail, rows)
            if detail == "files" and rows:
                self._remember(item, rows)

    def _remember(self, item: Item, rows: Rows) -> None:
        if len(self._files) >= _CACHE_MAX:
            self._files.clear()
        self._files[item["hash"], item["size"]] = rows

    def _remembered(self, item: Item) -> bool:
        """Files are the same as long as hash and size are: a magnet link has another size before it is resolved."""
        rows = self._files.get((item["hash"], item["size"]))
        if rows is not None:
            item.add("files", rows)
        return rows is not None

    def _where(self, condition: Condition | None, now: float) -> str:
        """The condition's filter; none where rTorrent lacks a command of it, which it would take for false."""
        where = condition.prefilter(now) if condition else ""
        needed = ("d.multicall.filtered", *_COMMANDS_OF_FILTER.findall(where)) if where else ()
        return where if all(map(self._rtorrent.known, needed)) else ""

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


class _Columns:
    """Which command's answer is where in a row, and how fields are read from it."""

    def __init__(self, fields: Iterable[Field], now: float, resolve: Callable[[str], str]) -> None:
        fields = list(fields)
        self.commands: list[str] = []
        places: dict[str, int | None] = {}
        for command in dict.fromkeys(command for field in fields for command in field.commands):
            resolved = resolve(command)
            places[command] = len(self.commands) if resolved else None
            self.commands += [resolved] if resolved else []
        self.readers = {field.name: _reader(field, places, now) for field in fields}


def find(name: str, table: Mapping[str, Field]) -> Field:
    """The field of this name; ConditionError when there is none."""
    found = table.get(name) or known_fields.field(name)
    if found is None:
        raise ConditionError(f"there is no field `{name}`; all fields are listed in docs/conditions.md")
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


def _dotted(name: str) -> Iterable[str]:
    """`d.up_rate` and `d.up.rate`: the name of a field cannot hold dots, so each underscore may stand for one."""
    parts = name.split("_")
    if len(parts) > _UNDERSCORES_MAX:
        return ()
    return (
        "".join(map("".join, zip(parts, (*marks, ""), strict=True))) for marks in product("._", repeat=len(parts) - 1)
    )


def _reader(
    field: Field, places: Mapping[str, int | None], now: float
) -> Callable[[tuple[str, ...], Mapping[Detail, Rows]], Any]:
    indices = [places[command] for command in field.commands]
    convert = field.convert
    if len(indices) == 1 and indices[0] is not None and not field.details and not field.clock:
        only = indices[0]
        return lambda row, _: convert(row[only])
    clock = (now,) if field.clock else ()

    def read(row: tuple[str, ...], details: Mapping[Detail, Rows]) -> Any:
        given = ["" if index is None else row[index] for index in indices]
        return convert(*given, *(details.get(detail, ()) for detail in field.details), *clock)

    return read
