"""XML-RPC as implemented by rTorrent: encodes calls with any bytes, and decodes answers with any names.

Expat and lxml refuse a whole answer for one control character or one byte that is not UTF-8, and rTorrent sends both
as they are. So answers are scanned for the few forms that rTorrent writes; text between tags is taken as it comes.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pyrotorque.errors import RTorrentError, RTorrentFault
from pyrotorque.text import printable

Value: TypeAlias = str | int | bool | float | bytes | list["Value"] | dict[str, "Value"]
Param: TypeAlias = str | bytes | int | Sequence["Param"] | dict[str, "Param"]

# Deeper than anything that rTorrent sends; a bound against an answer that would exhaust the stack.
_DEPTH_MAX = 32

# What rTorrent's parsers take as text: XML 1.0 without \r (they would turn it into \n) and, for 0.9.8, without the
# characters that need four bytes. Everything else travels as base64, which they turn into a string all the same.
_PLAIN = re.compile(r"[\t\n\x20-\ud7ff\ue000-\ufffd]*")

# Possessive, so that no answer, however odd, takes more than linear time.
_SCALAR = re.compile(
    r"\s*+<value>\s*+(?:<(string|i8|i4|int|boolean|double|base64|dateTime\.iso8601)>([^<]*)</\1>\s*+</value>"
    r"|<(string|base64)\s*+/>\s*+</value>|<(?:ex:)?nil\s*+/>\s*+</value>|([^<]*)</value>)|\s*+<value\s*+/>"
)
_OPEN = re.compile(r"\s*+<value>\s*+<(?:(array)>\s*+<data>|struct>)")
_ARRAY_END = re.compile(r"\s*+</data>\s*+</array>\s*+</value>")
_EMPTY = re.compile(r"\s*+<value>\s*+(?:<(array)>\s*+<data\s*+/>\s*+</array>|<(?:array|(struct))\s*+/>)\s*+</value>")
_STRUCT_END = re.compile(r"\s*+</struct>\s*+</value>")
_MEMBER = re.compile(r"\s*+<member>\s*+<name>([^<]*)</name>")
_MEMBER_END = re.compile(r"\s*+</member>")
_ANSWER = re.compile(r"\s*+(?:<\?xml[^>]*\?>)?\s*+<methodResponse>\s*+(?:<params>\s*+<param>|<(fault)>)")
_ANSWER_END = re.compile(r"\s*+(?:</param>\s*+</params>|</fault>)\s*+</methodResponse>\s*+\Z")
_PACKED_HEAD = re.compile(
    r"\s*+(?:<\?xml[^>]*\?>)?\s*+<methodResponse>\s*+<params>\s*+<param>\s*+<value>\s*+<array>\s*+<data>"
)
_PACKED_TAIL = re.compile(r"</data>\s*+</array>\s*+</value>\s*+</param>\s*+</params>\s*+</methodResponse>\s*+\Z")
_PACKED_ROW = re.compile(
    r"\s*+<value>\s*+<array>\s*+<data>\s*+<value>\s*+<string>([^<]*)</string>\s*+</value>\s*+</data>\s*+</array>\s*+</value>"
)
_ENTITY = re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(lt|gt|amp|quot|apos));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


class Unreadable(RTorrentError):
    """Bytes that are not an XML-RPC answer."""


def encode_call(method: str, params: Sequence[Param]) -> bytes:
    """The body of a request."""
    encoded = "".join(f"<param>{_encoded(param, 0)}</param>" for param in params)
    named = f"<methodName>{_escaped(method)}</methodName><params>{encoded}</params>"
    return f"<?xml version='1.0'?><methodCall>{named}</methodCall>".encode()


def size_bound(param: Param) -> int:
    """At least as many bytes as `param` has when it is encoded."""
    match param:
        case str():
            return 6 * len(param) + 60
        case bytes():
            return 4 * len(param) // 3 + 60
        case int():
            return 60
        case dict():
            return 60 + sum(60 + 6 * len(key) + size_bound(entry) for key, entry in param.items())
        case _:
            return 60 + sum(map(size_bound, param))


def decode_answer(body: bytes) -> Value:
    """The value in the body of an answer; raises RTorrentFault for a fault, Unreadable for anything else."""
    text = body.decode("utf-8", "surrogateescape")
    head = _ANSWER.match(text)
    if head is None:
        raise Unreadable(f"an answer that is not XML-RPC: {printable(text[:80])}")
    value, at = _value(text, head.end(), 0)
    if _ANSWER_END.match(text, at) is None:
        raise Unreadable(f"an answer that does not end as XML-RPC does: {printable(text[at : at + 80])}")
    if head[1]:
        raise as_fault(value) or Unreadable("a fault without code and text")
    return value


def decode_packed(body: bytes) -> list[str]:
    """The strings of an answer that is an array of arrays of one string each; anything else as `decode_answer`."""
    text = body.decode("utf-8", "surrogateescape")
    if place := _packed_place(text):
        rows = _PACKED_ROW.findall(text, *place)
        if _are_all(len(rows), text):
            return [_unescaped(row) for row in rows] if "&" in text else rows
    value = decode_answer(body)
    if not isinstance(value, list):
        raise Unreadable(f"expected rows, the answer is {printable(repr(value)[:80])}")
    return [_only_string(row) for row in value]


def scan_packed(body: bytes) -> Iterable[str]:
    """The same, but each string is made when it is reached; may be iterated several times."""
    text = body.decode("utf-8", "surrogateescape")
    if (place := _packed_place(text)) and _are_all(sum(1 for _ in _PACKED_ROW.finditer(text, *place)), text):
        return _PackedStrings(text, *place)
    return decode_packed(body)


@dataclass(frozen=True, slots=True)
class _PackedStrings:
    """The strings between two places of an answer."""

    text: str
    begin: int
    end: int

    def __iter__(self) -> Iterator[str]:
        return (_unescaped(found[1]) for found in _PACKED_ROW.finditer(self.text, self.begin, self.end))


def _packed_place(text: str) -> tuple[int, int] | None:
    """Where the strings of a packed answer begin and end; None for an answer of another form."""
    head, tail = _PACKED_HEAD.match(text), text.rfind("</data>", max(0, len(text) - 200))
    return (head.end(), tail) if head and tail >= head.end() and _PACKED_TAIL.match(text, tail) else None


def _are_all(count: int, text: str) -> bool:
    """Whether the answer has so many strings: they cannot contain `<`, so the number of opening tags proves it."""
    return text.count("<array") == count + 1 and text.count("<value") == 2 * count + 1


def as_fault(value: Value) -> RTorrentFault | None:
    """The fault that a struct with code and text is, as it stands in a slot of system.multicall."""
    if isinstance(value, dict) and "faultCode" in value and "faultString" in value:
        code = value["faultCode"]
        return RTorrentFault(printable(str(value["faultString"])), code if isinstance(code, int) else 0)
    return None


def _only_string(row: Value) -> str:
    if isinstance(row, list) and len(row) == 1 and isinstance(row[0], str):
        return row[0]
    raise Unreadable(f"expected a row of one string, the answer is {printable(repr(row)[:80])}")


def _encoded(param: Param, depth: int) -> str:
    if depth > _DEPTH_MAX:
        raise TypeError("a parameter nested too deep for XML-RPC")
    match param:
        case int():
            kind = "i4" if -(2**31) <= param < 2**31 else "i8"
            return f"<value><{kind}>{int(param)}</{kind}></value>"
        case str() if _PLAIN.fullmatch(param):
            return f"<value><string>{_escaped(param)}</string></value>"
        case str() | bytes():
            raw = param if isinstance(param, bytes) else param.encode("utf-8", "surrogateescape")
            return f"<value><base64>{base64.b64encode(raw).decode('ascii')}</base64></value>"
        case dict():
            members = (
                f"<member><name>{_escaped(key)}</name>{_encoded(entry, depth + 1)}</member>"
                for key, entry in param.items()
            )
            return f"<value><struct>{''.join(members)}</struct></value>"
        case _:
            entries = "".join(_encoded(entry, depth + 1) for entry in param)
            return f"<value><array><data>{entries}</data></array></value>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unescaped(text: str) -> str:
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(entity: re.Match[str]) -> str:
    decimal, hexadecimal, name = entity.groups()
    if name:
        return _NAMED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(number) if number < 0x110000 else "\ufffd"


def _value(text: str, at: int, depth: int) -> tuple[Value, int]:
    """The value at `at`, and where it ends."""
    if scalar := _SCALAR.match(text, at):
        return _scalar(scalar), scalar.end()
    if empty := _EMPTY.match(text, at):
        return ({} if empty[2] else []), empty.end()
    opened = _OPEN.match(text, at)
    if opened is None or depth > _DEPTH_MAX:
        raise Unreadable(f"an answer that breaks off or is not XML-RPC: {printable(text[at : at + 80])}")
    if opened[1] == "array":
        return _array(text, opened.end(), depth)
    return _struct(text, opened.end(), depth)


def _array(text: str, at: int, depth: int) -> tuple[Value, int]:
    entries: list[Value] = []
    while (end := _ARRAY_END.match(text, at)) is None:
        entry, at = _value(text, at, depth + 1)
        entries.append(entry)
    return entries, end.end()


def _struct(text: str, at: int, depth: int) -> tuple[Value, int]:
    members: dict[str, Value] = {}
    while (end := _STRUCT_END.match(text, at)) is None:
        name = _MEMBER.match(text, at)
        if name is None:
            raise Unreadable(f"a struct that breaks off: {printable(text[at : at + 80])}")
        members[_unescaped(name[1])], at = _value(text, name.end(), depth + 1)
        closed = _MEMBER_END.match(text, at)
        if closed is None:
            raise Unreadable(f"a struct that breaks off: {printable(text[at : at + 80])}")
        at = closed.end()
    return members, end.end()


def _scalar(found: re.Match[str]) -> Value:
    kind, content, empty, bare = found.group(1, 2, 3, 4)
    if kind == "string":
        return _unescaped(content)
    if kind is None:
        return b"" if empty == "base64" else _unescaped(bare or "")
    try:
        return _typed(kind, content)
    except (ValueError, binascii.Error) as error:
        raise Unreadable(f"a value that is no {kind}: {printable(content[:80])}") from error


def _typed(kind: str, content: str) -> Value:
    match kind:
        case "boolean":
            return bool(int(content))
        case "double":
            return float(content)
        case "base64":
            return base64.b64decode(content.encode("ascii", "replace"))
        case "dateTime.iso8601":
            return content
        case _:
            return int(content)
