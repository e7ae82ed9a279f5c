"""One torrent with the fields that were read, each converted on first access."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from pyrotorque.fields.field import Detail, Field, Rows

Details: TypeAlias = Mapping[Detail, Rows]
_NO_DETAILS: Final[Details] = {}
_MANY: Final = 256
_SAMPLE: Final = 64
_NOTHING: Final[Mapping[str, Any]] = {}


class Item(dict[str, Any]):
    """`item["name"]` or `item.name`; a field that was not read raises KeyError or AttributeError.

    As a mapping it contains the fields that were accessed before; `fields` names all.
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
        """Store the rows of one detail."""
        kept: dict[Detail, Rows] = {detail: rows}
        self._details = {**self._details, **kept}

    def lacks(self, detail: Detail) -> bool:
        """Whether a detail was not read yet."""
        return detail not in self._details


class Columns:
    """The position of each command's result in a row, and how fields are read from it.

    `resolve` returns the name of a command in this rTorrent, or an empty text: then its result counts as empty. The
    values of the fields in `known` are given and not read.
    """

    def __init__(
        self,
        fields: Iterable[Field],
        now: float,
        resolve: Callable[[str], str],
        known: Mapping[str, Any] = _NOTHING,
    ) -> None:
        fields = [field for field in fields if "custom" not in field.details]
        unread = [field for field in fields if field.name not in known]
        self.commands: list[str] = []
        places: dict[str, int | None] = {}
        for command in dict.fromkeys(command for field in unread for command in field.commands):
            resolved = resolve(command)
            places[command] = len(self.commands) if resolved else None
            self.commands += [resolved] if resolved else []
        self.readers = {field.name: _reader(field, places, now) for field in unread}
        self._places = {field.name: tuple(places[command] for command in field.commands) for field in unread}
        for field in fields:
            if field.name in known:
                self.readers[field.name] = _constant(known[field.name])
                self._places[field.name] = ()

    def places(self, names: Iterable[str]) -> tuple[int, ...]:
        """The positions in a row that determine the values of these fields."""
        return tuple(dict.fromkeys(place for name in names for place in self._places[name] if place is not None))

    def values(self, name: str, rows: Sequence[tuple[str, ...]]) -> list[Any]:
        """The values of a field that needs only columns; equal texts are converted once, where they are frequent."""
        read, places = self.readers[name], self._places[name]
        known = [place for place in places if place is not None]
        if not known or not _repeat(rows, text_of := itemgetter(*known)):
            return [read(row, _NO_DETAILS) for row in rows]
        texts = list(map(text_of, rows))
        examples = dict(zip(texts, rows, strict=True))
        converted = {text: read(row, _NO_DETAILS) for text, row in examples.items()}
        return list(map(converted.__getitem__, texts))

    def item(self, row: tuple[str, ...]) -> Item:
        """The item in a row."""
        made = Item()
        made._source = (self, row)  # pyright: ignore[reportPrivateUsage]
        made._details = _NO_DETAILS  # pyright: ignore[reportPrivateUsage]
        return made


def _repeat(rows: Sequence[tuple[str, ...]], text_of: Callable[[tuple[str, ...]], Any]) -> bool:
    """Whether the first of many rows have few different texts."""
    return len(rows) >= _MANY and len(set(map(text_of, rows[:_SAMPLE]))) <= _SAMPLE // 4


def _constant(value: Any) -> Callable[[tuple[str, ...], Details], Any]:
    return lambda _, __: value


def _reader(field: Field, places: Mapping[str, int | None], now: float) -> Callable[[tuple[str, ...], Details], Any]:
    indices = [places[command] for command in field.commands]
    convert = field.convert
    if len(indices) == 2 and None not in indices and not (field.clock or field.details):
        one, other = indices[0] or 0, indices[1] or 0
        return lambda row, _: convert(row[one], row[other])
    if None in indices or field.clock or len(indices) > 1 or len(field.details) > 1:
        return _general_reader(field, indices, now)
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
