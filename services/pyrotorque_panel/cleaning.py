"""Removes what may be a passkey from all texts that enter the panel: no page, answer or stream shows one."""

import re
from typing import Any, Final

_URL: Final = re.compile(
    r"\b((?:https?|udp|wss?)://)(?:[^/\s\"'<>@]*@)?([^/\s\"'<>?#]+)([/?#][^\s\"'<>]*)?", re.IGNORECASE
)
_NAMED: Final = re.compile(r"\b(passkey|authkey|torrent_pass|auth|pid|key|token|secret)=[^\s&\"'<>]+", re.IGNORECASE)
# Info-hashes have 40 digits, or 64.
_DIGITS: Final = re.compile(r"(?<![0-9a-zA-Z])[0-9a-fA-F]{32}(?![0-9a-zA-Z])")


def cleaned_text(text: str) -> str:
    """`text` with shortened addresses, and without long hexadecimal words that are no info-hash."""
    text = _URL.sub(
        lambda found: f"{found[1]}{_host(found[2])}/…" if found[3] else f"{found[1]}{_host(found[2])}", text
    )
    return _DIGITS.sub("…", _NAMED.sub(lambda found: f"{found[1]}=…", text))


def cleaned(value: Any) -> Any:
    """The same for all texts in plain JSON values, keys included."""
    if isinstance(value, str):
        return cleaned_text(value)
    if isinstance(value, dict):
        return {cleaned(key): cleaned(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(each) for each in value]
    return value


def _host(text: str) -> str:
    """A subdomain may be a passkey: the last two labels of a long name remain."""
    host, colon, port = text.partition(":")
    labels = host.split(".")
    if any(len(label) >= 20 for label in labels):
        labels = ["…", *(label for label in labels[-2:] if len(label) < 20)]
    return ".".join(labels) + colon + port
