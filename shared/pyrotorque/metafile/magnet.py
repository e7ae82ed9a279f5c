"""Parses magnet links, and converts them to a form that rTorrent loads without interpreting it as a path."""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from pyrotorque.errors import MetafileError
from pyrotorque.text import printable

_URI_MAX = 16_384
_LINKS_MAX = 1_000
_V1 = "urn:btih:"


@dataclass(frozen=True, slots=True)
class Magnet:
    """One magnet link; `name` is empty if the link has none."""

    uri: str
    info_hash: str
    name: str
    announce: tuple[str, ...]

    def metafile(self) -> bytes:
        """The link as rTorrent stores it: `load.raw` accepts that, and does not expand it like a path."""
        uri = self.uri.encode("ascii")
        return b"d10:magnet-uri%d:%be" % (len(uri), uri)


def magnets(text: str | bytes) -> list[Magnet]:
    """The links of a `.magnet` file: one a line; empty lines and lines that begin with `#` are skipped."""
    decoded = text.decode("utf-8-sig", "surrogateescape") if isinstance(text, bytes) else text
    lines = [line.strip() for line in decoded.splitlines()]
    links = [line for line in lines if line and not line.startswith("#")]
    if not links:
        raise MetafileError("the file contains no magnet link: one URI per line is expected")
    if len(links) > _LINKS_MAX:
        raise MetafileError(f"the file contains {len(links)} links, the limit is {_LINKS_MAX}")
    return [magnet(link) for link in links]


def magnet(text: str) -> Magnet:
    """The link in `text`; raises MetafileError if it is not a link to a v1 (or hybrid) torrent."""
    uri = text.strip()
    if len(uri) > _URI_MAX:
        raise MetafileError(f"a magnet link has {len(uri)} characters, the limit is {_URI_MAX}")
    if not uri.startswith("magnet:?"):
        raise MetafileError(f"{printable(uri[:60])} is not a magnet link: it must begin with magnet:?")
    if not re.fullmatch(r"[!-~]+", uri):
        raise MetafileError("a magnet link may only contain printable ASCII; encode spaces and other bytes with %")
    fields = parse_qsl(uri.removeprefix("magnet:?"), errors="surrogateescape")
    topics = [value for key, value in fields if key == "xt"]
    names = [value for key, value in fields if key == "dn"]
    trackers = tuple(value for key, value in fields if key == "tr")
    return Magnet(uri, _info_hash(topics), names[0] if names else "", trackers)


def _info_hash(topics: list[str]) -> str:
    found = {_hex(topic.removeprefix(_V1)) for topic in topics if topic.startswith(_V1)}
    if len(found) == 1:
        return found.pop()
    if found:
        raise MetafileError("the magnet link names several torrents")
    if any(topic.startswith("urn:btmh:") for topic in topics):
        raise MetafileError("the magnet link is for BitTorrent v2 only (urn:btmh:), which rTorrent does not load")
    raise MetafileError("the magnet link names no torrent: xt=urn:btih: is missing")


def _hex(text: str) -> str:
    if re.fullmatch("[0-9a-fA-F]{40}", text):
        return text.upper()
    try:
        return base64.b32decode(text.upper().encode("ascii") if len(text) == 32 else b"?").hex().upper()
    except (binascii.Error, UnicodeEncodeError):
        raise MetafileError(
            f"{printable(text[:60])} is not an info-hash: 40 hex digits or 32 of base32 are expected"
        ) from None
