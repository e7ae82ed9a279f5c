"""Scans bencoded bytes before they are decoded, to bound size, nesting and number of values."""

import re

from pyrotorque.errors import MetafileError, MetafileIncomplete
from pyrotorque.metafile.refusal import MetafileUnsupported

MAX_DEPTH = 100
MAX_KEYS = 10_000
# Each costs memory and time; long strings count twice. A file needs about seven: enough for some 55,000 files.
MAX_VALUES = 400_000

# Numbers of 19 digits may exceed 64 bits: the lenient decoder judges them.
_INT = rb"i(?:0|-?[1-9][0-9]{0,17})e"
_SHORT = b"|".join(b"%d:.{%d}" % (length, length) for length in range(10))
# Runs of small values are matched at once: a hostile file consists of a million of them.
_TOKEN = re.compile(
    rb"((?:" + _SHORT + rb"|" + _INT + rb"){1,1000})|([1-9][0-9]{1,9}):|((?:de|le){1,1000})|([dl]{1,200})|(e+)",
    re.DOTALL,
)
_BEGUN = re.compile(rb"(?:i(?:-?|0|-?[1-9][0-9]{0,18})|[1-9][0-9]{0,9}:?|0)?\Z")
_SINGLE = re.compile(_SHORT + rb"|" + _INT + rb"|de|le", re.DOTALL)
_SHORT_BEGUN = re.compile(b"|".join(b"%d:.{0,%d}\\Z" % (n, n - 1) for n in range(1, 10)), re.DOTALL)
_KEY_BEGUN = re.compile(rb"(?:[1-9][0-9]{0,9}|0)?\Z")
_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,9}):")

Span = tuple[int, int]


class MetafileTooComplex(MetafileUnsupported):
    """It exceeds a limit on nesting or on the number of keys and values."""


def top_level(data: bytes) -> dict[bytes, Span]:
    """The start and end of each value of the outermost dictionary.

    Raises MetafileIncomplete if `data` is the beginning of a longer dictionary, MetafileError if it is not bencode.
    As in rTorrent, bytes after the dictionary are ignored, its keys have any order, and the last of equal keys counts.
    """
    if not data:
        raise MetafileIncomplete("the file is empty")
    if data[:1] != b"d":
        raise MetafileError("it does not begin with a bencoded dictionary")
    spans: dict[bytes, Span] = {}
    at, values = 1, MAX_VALUES
    while data[at : at + 1] != b"e":
        begin, at = _string(data, at)
        key = data[begin:at]
        end, values = _skip(data, at, values)
        if len(spans) == MAX_KEYS:
            raise MetafileTooComplex(f"more than {MAX_KEYS} keys in the outer dictionary")
        spans[key] = (at, end)
        at = end
    return spans


def _string(data: bytes, at: int) -> Span:
    found = _LENGTH.match(data, at)
    if found is None:
        raise _broken(data, at, _KEY_BEGUN, "a key")
    end = found.end() + int(found[1])
    if end > len(data):
        raise MetafileIncomplete(f"the file ends inside the key at byte {at}")
    return found.end(), end


def _skip(data: bytes, at: int, values: int) -> tuple[int, int]:
    """The end of the value that starts at `at`, and how many values may still follow."""
    if single := _SINGLE.match(data, at):
        return single.end(), values
    if data[at : at + 1] == b"e":
        raise MetafileError(f"a key without a value at byte {at}")
    match, depth = _TOKEN.match, 0
    while token := match(data, at):
        short, length, empty, opening, closing = token.groups()
        at = token.end()
        if closing:
            depth -= len(closing)
        elif length:
            values -= 2
            at += int(length)
        elif opening:
            values -= len(opening)
            depth += len(opening)
        else:
            values -= max(1, len(short) // 8) if short else len(empty)
        if at > len(data):
            raise MetafileIncomplete(f"the file ends inside the string at byte {token.start()}")
        if depth > MAX_DEPTH:
            raise MetafileTooComplex(f"nested deeper than {MAX_DEPTH} levels before byte {at}")
        if values < 0:
            raise MetafileTooComplex(f"more than {MAX_VALUES} values, which is the limit for metafiles")
        if depth <= 0:
            return at + depth, values
    raise _broken(data, at, _BEGUN, "a value")


def _broken(data: bytes, at: int, begun: re.Pattern[bytes], wanted: str) -> MetafileError:
    if begun.match(data, at) or (wanted == "a value" and _SHORT_BEGUN.match(data, at)):
        return MetafileIncomplete(f"the file ends at byte {len(data)}, where {wanted} should be")
    return MetafileError(f"{data[at : at + 8]!r} at byte {at} is not bencode: {wanted} should be there")


def plain_values(data: bytes, spans: dict[bytes, Span]) -> dict[str, int | bytes]:
    """The integers and byte strings among the values at `spans`, by key; lists and dictionaries are left out."""
    values: dict[str, int | bytes] = {}
    for key, (begin, end) in spans.items():
        name = key.decode("utf-8", "replace")
        if data[begin : begin + 1] == b"i":
            values[name] = int(data[begin + 1 : end - 1])
        elif length := _LENGTH.match(data, begin):
            values[name] = data[length.end() : end]
    return values
