"""Removes what may be a passkey from all texts that enter the panel: no page, answer or stream shows one."""

import re
from typing import Any, Final
from urllib.parse import unquote

from pyrotorque.text import printable

_URL: Final = re.compile(
    r"\b((?:https?|udp|wss?)://)(?:[^/\s\"'<>@]*@)?([^/\s\"'<>?#]+)([/?#][^\s\"'<>]*)?", re.IGNORECASE
)
_NAMES: Final = "passkey|pass_key|authkey|torrent_pass|rsskey|secret|token"
_NAMED: Final = re.compile(rf"\b(?:({_NAMES})[ \t]*[=:][ \t]*|(auth|pid|key|uk|apikey)=)[^\s&\"'<>]+", re.IGNORECASE)
# The word before the last part of an announce address, also where the scheme or the host is missing.
_ANNOUNCE: Final = re.compile(r"/[^/\s\"'<>&?]{8,}/(announce|scrape)\b", re.IGNORECASE)
# Info-hashes have 40 digits, or 64.
_DIGITS: Final = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{32}(?![0-9a-fA-F])")
_WORD: Final = re.compile(r"[^\s\"'<>&]+")
_DECODINGS_MAX: Final = 3


def cleaned_text(text: str) -> str:
    """`text` with shortened addresses, and without keys: what has such a name, or 32 hexadecimal digits."""
    return _shortened(_WORD.sub(_decoded, text) if "%" in text else text)


def _decoded(found: re.Match[str]) -> str:
    """A percent-encoded word as it is, unless it hides what is to be removed."""
    word = found[0]
    if "%" not in word:
        return word
    for _ in range(_DECODINGS_MAX):
        inner = unquote(word, errors="replace")
        if inner == word:
            break
        word = inner
    shortened = _shortened(word)
    return found[0] if shortened == word else printable(shortened)


def _shortened(text: str) -> str:
    text = _URL.sub(
        lambda found: f"{found[1]}{_host(found[2])}/…" if found[3] else f"{found[1]}{_host(found[2])}", text
    )
    text = _ANNOUNCE.sub(r"/…/\1", text)
    return _DIGITS.sub("…", _NAMED.sub(lambda found: f"{found[1] or found[2]}=…", text))


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
