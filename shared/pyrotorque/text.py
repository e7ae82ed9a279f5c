"""Makes text from torrents, files and the network safe for log lines, terminals and JSON."""

from typing import Any, Final

import msgspec

_HASH_PREFIX: Final = 8


def printable(text: str | bytes) -> str:
    """`text` with every byte that is not UTF-8 shown as `\\xNN`, and control characters and surrogates escaped."""
    decoded = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    return decoded if decoded.isprintable() else "".join(map(_shown, decoded))


def counted(number: int, noun: str) -> str:
    """`1 item`, `2 items`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def encode_json(value: object) -> bytes:
    """`value` as JSON; if one of its texts contains a lone surrogate, all are made printable first."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_printables(msgspec.to_builtins(value)))


def _printables(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): _printables(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_printables(inner) for inner in value]
    return value


def one_line(text: object) -> str:
    """Several lines, one for each problem, as one; `printable` would show the ends of the others as escapes."""
    return "; ".join(line.strip() for line in str(text).splitlines() if line.strip())


def is_hash_of(info_hash: str, text: str) -> bool:
    """Whether `text` is this info-hash, or its first digits, at least eight."""
    return len(text) >= _HASH_PREFIX and info_hash.startswith(text.upper())
