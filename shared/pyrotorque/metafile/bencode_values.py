"""Values of decoded bencode: what they are, and their text for messages."""

from typing import Any, TypeGuard

from pyrotorque.text import printable

Info = dict[bytes, Any]


def is_dictionary(value: object) -> TypeGuard[Info]:
    return isinstance(value, dict)


def is_path_element(value: object) -> TypeGuard[bytes]:
    return isinstance(value, bytes) and value not in (b".", b"..") and b"/" not in value and b"\0" not in value


def text_of(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def shown(value: object) -> str:
    return printable(value[:80]) if isinstance(value, bytes) else printable(repr(value)[:80])
