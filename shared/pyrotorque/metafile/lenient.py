"""Decodes bencode as rTorrent does, which is more tolerant than the specification, and encodes it again in its form.

Integers may have a sign, blanks and leading zeros, lengths leading zeros, and the last of several equal keys counts.
rTorrent computes the info-hash from its own encoding of what it read, so `encoded` is what must be hashed.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from pyrotorque.errors import MetafileError, MetafileIncomplete
from pyrotorque.metafile.bencode_scan import MAX_DEPTH, MAX_KEYS, MAX_VALUES
from pyrotorque.metafile.refusal import MetafileUnsupported

_INT: Final = re.compile(rb"i[ \t\n\v\f\r]*([+-]?[0-9]{1,40})e")
_INT_BEGUN: Final = re.compile(rb"i[ \t\n\v\f\r]*[+-]?[0-9]{0,40}\Z")
_LENGTH: Final = re.compile(rb"([0-9]{1,20}):")
_LENGTH_BEGUN: Final = re.compile(rb"[0-9]{0,20}\Z")
_LENGTH_MAX: Final = 2**32
_MIN: Final = -(2**63)
_MIN_ENCODED: Final = b"i%de" % _MIN


class LenientDecoder:
    """Decodes `data`; `unordered` collects the values at the top whose dictionaries have unordered or equal keys."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._values = MAX_VALUES
        self._ordered = True
        self.unordered: set[bytes] = set()

    def outer(self) -> dict[bytes, Any]:
        """The outermost dictionary; what follows it is ignored."""
        if self._data[:1] != b"d":
            raise MetafileError("it does not begin with a bencoded dictionary")
        self._at = 1
        found: dict[bytes, Any] = {}
        while not self._closes():
            if len(found) > MAX_KEYS:
                raise MetafileUnsupported(f"more than {MAX_KEYS} keys in the outer dictionary")
            key = self._string()
            self._ordered = True
            found[key] = self._value(1)
            if not self._ordered:
                self.unordered.add(key)
        return found

    def _value(self, depth: int) -> Any:
        self._values -= 1
        if self._values < 0:
            raise MetafileUnsupported(f"more than {MAX_VALUES} values, which is the limit for metafiles")
        if depth > MAX_DEPTH:
            raise MetafileUnsupported(f"nested deeper than {MAX_DEPTH} levels before byte {self._at}")
        match self._data[self._at : self._at + 1]:
            case b"i":
                return self._integer()
            case b"l":
                self._at += 1
                items: list[Any] = []
                while not self._closes():
                    items.append(self._value(depth + 1))
                return items
            case b"d":
                self._at += 1
                return self._dictionary(depth)
            case _:
                return self._string()

    def _dictionary(self, depth: int) -> dict[bytes, Any]:
        found: dict[bytes, Any] = {}
        last = b""
        while not self._closes():
            key = self._string()
            if found and key <= last:
                self._ordered = False
            found[key], last = self._value(depth + 1), key
        return found

    def _closes(self) -> bool:
        if self._at >= len(self._data):
            raise MetafileIncomplete(f"the file ends at byte {self._at}, inside a list or dictionary")
        if self._data[self._at : self._at + 1] != b"e":
            return False
        self._at += 1
        return True

    def _integer(self) -> int:
        found = _INT.match(self._data, self._at)
        if found is None:
            raise self._broken(_INT_BEGUN, "a whole number")
        number = int(found[1])
        if not _MIN <= number < -_MIN:
            raise MetafileUnsupported(f"the number {number} at byte {self._at} has more than 64 bits")
        self._at = found.end()
        return number

    def _string(self) -> bytes:
        found = _LENGTH.match(self._data, self._at)
        if found is None:
            raise self._broken(_LENGTH_BEGUN, "a value")
        length = int(found[1])
        if length >= _LENGTH_MAX:
            raise MetafileUnsupported(f"the string at byte {self._at} has a length of more than 32 bits")
        end = found.end() + length
        if end > len(self._data):
            raise MetafileIncomplete(f"the file ends inside the string at byte {self._at}")
        self._at = end
        return self._data[found.end() : end]

    def _broken(self, begun: re.Pattern[bytes], wanted: str) -> MetafileError:
        if begun.match(self._data, self._at):
            return MetafileIncomplete(f"the file ends at byte {len(self._data)}, where {wanted} should be")
        shown = self._data[self._at : self._at + 8]
        return MetafileError(f"{shown!r} at byte {self._at} is not bencode: {wanted} should be there")


def encoded(value: Any) -> bytes:
    """`value` as rTorrent writes it."""
    match value:
        case int():
            return b"i%de" % value
        case bytes():
            return b"%d:%b" % (len(value), value)
        case dict():
            return b"d%be" % b"".join(encoded(key) + encoded(value[key]) for key in sorted(value))
        case _:
            return b"l%be" % b"".join(map(encoded, value))


def has_smallest_number(value: Any, raw: bytes) -> bool:
    """Whether a number in `value`, which is encoded as `raw`, is the smallest that has 64 bits."""
    return _MIN_ENCODED in raw and any(number == _MIN for number in _numbers(value))


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _numbers(each)
