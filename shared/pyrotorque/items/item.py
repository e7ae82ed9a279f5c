"""One torrent with the fields that were read, each converted when it is first asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pyrotorque.fields.field import Detail, Field, Rows

Details: TypeAlias = Mapping[Detail, Rows]
_NO_DETAILS: Final[Details] = {}


class Item(dict[str, Any]):
    """`item["name"]` or `item.name`; a field that was not read is a KeyError or an AttributeError.

    As a mapping it holds what one column of the answer gives, and what was asked for since; `fields` names all.
    """

    __slots__ = ("_details", "_source")

    _details: Details
    _source: "tuple[Columns, tuple[str, ...]]"

    def __missing__(self, name: str) -> Any:
        columns, row = self._source
        value = self[name] = columns.readers[name](row, self._details)
        return value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the field `{name}` was not read for this item") from None

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all fields that were read."""
        return tuple(dict.fromkeys((*self._source[0].readers, *self)))

    def add(self, detail: Detail, rows: Rows) -> None:
        """Keep what was asked for this item alone."""
        kept: dict[Detail, Rows] = {detail: rows}
        self._details = {**self._details, **kept}

    def lacks(self, detail: Detail) -> bool:
        """Whether a detail was not asked for yet."""
        return detail not in self._details


class Columns:
    """Which command's answer is where in a row, and how fields are read from it.

    `resolve` gives the name that this rTorrent has for a command, or nothing: then its answer counts as empty.
    """

    def __init__(self, fields: Iterable[Field], now: float, resolve: Callable[[str], str]) -> None:
        fields = [field for field in fields if "custom" not in field.details]
        self.commands: list[str] = []
        places: dict[str, int | None] = {}
        for command in dict.fromkeys(command for field in fields for command in field.commands):
            resolved = resolve(command)
            places[command] = len(self.commands) if resolved else None
            self.commands += [resolved] if resolved else []
        self.readers = {field.name: _reader(field, places, now) for field in fields}
        self._converted: list[tuple[str, int, Callable[[str], Any]]] = [
            (field.name, place, field.convert)
            for field in fields
            if not (field.dear or field.clock) and len(field.commands) == 1
            if (place := places[field.commands[0]]) is not None
        ]
        self.plain = tuple(name for name, _, _ in self._converted)

    def items(self, rows: Sequence[tuple[str, ...]]) -> list[Item]:
        """The items that rows tell of: what one column gives is converted column by column, the rest when asked."""
        columns = list(zip(*rows, strict=True))
        converted = [
            columns[place] if convert is str else list(map(convert, columns[place]))
            for _, place, convert in self._converted
            if columns
        ]
        made: list[Item] = []
        for row, values in zip(rows, zip(*converted, strict=True), strict=True):
            item = Item(
                zip(self.plain, values, strict=True)
            )  # without a constructor of its own: it takes half the time
            item._source = (self, row)  # pyright: ignore[reportPrivateUsage]
            item._details = _NO_DETAILS  # pyright: ignore[reportPrivateUsage]
            made.append(item)
        return made


def _reader(field: Field, places: Mapping[str, int | None], now: float) -> Callable[[tuple[str, ...], Details], Any]:
    indices = [places[command] for command in field.commands]
    if None in indices or field.clock or len(indices) > 1 or len(field.details) > 1:
        return _general_reader(field, indices, now)
    convert = field.convert
    if not field.details:
        place = indices[0] if indices else None
        return (lambda row, _: convert()) if place is None else lambda row, _: convert(row[place])
    detail = field.details[0]
    if not indices:
        return lambda _, details: convert(details.get(detail, ()))
    first = indices[0] or 0
    return lambda row, details: convert(row[first], details.get(detail, ()))


def _general_reader(
    field: Field, indices: Sequence[int | None], now: float
) -> Callable[[tuple[str, ...], Details], Any]:
    convert = field.convert
    clock = (now,) if field.clock else ()

    def read(row: tuple[str, ...], details: Details) -> Any:
        given = ["" if index is None else row[index] for index in indices]
        return convert(*given, *(details.get(detail, ()) for detail in field.details), *clock)

    return read
