"""One torrent with the fields that were read, each converted when it is first asked for."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from pyrotorque.fields.field import Detail, Field, Rows

Details: TypeAlias = Mapping[Detail, Rows]
_NO_DETAILS: Final[Details] = {}


class Item(dict[str, Any]):
    """`item["name"]` or `item.name`; a field that was not read is a KeyError or an AttributeError.

    As a mapping it holds the fields that were asked for so far; `fields` names all that can be.
    """

    __slots__ = ("_columns", "_details", "_row")

    def __init__(self, columns: "Columns", row: tuple[str, ...]) -> None:
        self._columns = columns
        self._row = row
        self._details: Details = _NO_DETAILS

    def __missing__(self, name: str) -> Any:
        value = self[name] = self._columns.readers[name](self._row, self._details)
        return value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the field `{name}` was not read for this item") from None

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all fields that were read."""
        return tuple(dict.fromkeys((*self._columns.readers, *self)))

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
        fields = list(fields)
        self.commands: list[str] = []
        places: dict[str, int | None] = {}
        for command in dict.fromkeys(command for field in fields for command in field.commands):
            resolved = resolve(command)
            places[command] = len(self.commands) if resolved else None
            self.commands += [resolved] if resolved else []
        self.readers = {field.name: _reader(field, places, now) for field in fields if "custom" not in field.details}


def _reader(field: Field, places: Mapping[str, int | None], now: float) -> Callable[[tuple[str, ...], Details], Any]:
    indices = [places[command] for command in field.commands]
    convert = field.convert
    if len(indices) == 1 and indices[0] is not None and not field.details and not field.clock:
        only = indices[0]
        return lambda row, _: convert(row[only])
    clock = (now,) if field.clock else ()

    def read(row: tuple[str, ...], details: Details) -> Any:
        given = ["" if index is None else row[index] for index in indices]
        return convert(*given, *(details.get(detail, ()) for detail in field.details), *clock)

    return read
