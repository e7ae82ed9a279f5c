"""Parses magnet links in any spelling, and writes them in the one that every rTorrent loads."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from pyrotorque.errors import MetafileError
from pyrotorque.metafile.refusal import MetafileUnsupported
from pyrotorque.text import printable

_URI_MAX: Final = 65_536
_LINKS_MAX: Final = 1_000
_SCHEME: Final = re.compile(r"magnet:(?://)?/?\?", re.IGNORECASE)
_KEY: Final = re.compile(r"([a-z]+)(?:\.[0-9]+)?", re.IGNORECASE)
_V1: Final = re.compile(r"urn:btih:(.*)", re.IGNORECASE | re.DOTALL)
_V2: Final = re.compile(r"urn:btmh:", re.IGNORECASE)
_BLANKS: Final = " \t\r\n\v\f\0\u00a0\u200b\ufeff"


@dataclass(frozen=True, slots=True)
class Magnet:
    """One magnet link, its URI as rTorrent gets it; `name` is empty if the link has none."""

    uri: str
    info_hash: str
    name: str
    announce: tuple[str, ...]

    def metafile(self) -> bytes:
        """The link as rTorrent stores it: `load.raw` accepts that, and does not expand it like a path."""
        uri = self.uri.encode("ascii")
        return b"d10:magnet-uri%d:%be" % (len(uri), uri)

    def refusal(self, version: str) -> str:
        """Why rTorrent of this version does not load it: every version loads the written form."""
        del version
        return ""


@dataclass(frozen=True, slots=True)
class MagnetLinks:
    """The links of a file, each torrent once, and what is wrong with the lines that are none."""

    links: tuple[Magnet, ...]
    problems: tuple[str, ...]


def magnet_links(data: bytes) -> MagnetLinks:
    """The links of a `.magnet` file: one a line; empty lines and lines that begin with `#` are skipped.

    Raises MetafileError if there is no good one.
    """
    lines = [line.strip(_BLANKS) for line in _decoded(data).splitlines()]
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not numbered:
        raise MetafileError("the file contains no magnet link: one URI per line is expected")
    if len(numbered) > _LINKS_MAX:
        raise MetafileUnsupported(f"the file contains {len(numbered)} links, the limit is {_LINKS_MAX}")
    links: dict[str, Magnet] = {}
    problems: list[str] = []
    for number, line in numbered:
        try:
            link = magnet(line)
        except MetafileError as error:
            problems.append(f"line {number}: {error}")
        else:
            links.setdefault(link.info_hash, link)
    if not links:
        more = f" (and {len(problems) - 1} more lines)" if len(problems) > 1 else ""
        raise MetafileError(problems[0] + more if len(numbered) > 1 else problems[0].partition(": ")[2])
    return MagnetLinks(tuple(links.values()), tuple(problems))


def magnet(text: str) -> Magnet:
    """The link in `text`; raises MetafileError if it is not a link to a v1 (or hybrid) torrent.

    Accepts what browsers and mails make of links: capitals, blanks, percent-encoding, `&amp;`, quotes around it.
    """
    given = text.strip(_BLANKS).strip("\"'<>").strip(_BLANKS)
    if len(given) > _URI_MAX:
        raise MetafileUnsupported(f"a magnet link has {len(given)} characters, the limit is {_URI_MAX}")
    if re.match(r"magnet(?::|%3a)(?:\?|%3f)", given, re.IGNORECASE) and not _SCHEME.match(given):
        given = unquote(given, errors="surrogateescape")
    found = _SCHEME.match(given)
    if found is None:
        raise MetafileError(f"{printable(given[:60])} is not a magnet link: it must begin with magnet:?")
    fields = _fields(given[found.end() :])
    topics = [value for key, value in fields if key == "xt"]
    names = [value for key, value in fields if key == "dn"]
    trackers = tuple(value for key, value in fields if key == "tr" and value)
    info_hash, name = _info_hash(topics), names[0] if names else ""
    return Magnet(_written(info_hash, name, trackers), info_hash, name, trackers)


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def _fields(query: str) -> list[tuple[str, str]]:
    if "&amp;" in query.lower() or "&#38;" in query:
        import html  # only few links need it, and it has a large table

        query = html.unescape(query)
    fields: list[tuple[str, str]] = []
    for part in query.partition("#")[0].split("&"):
        key, _, value = part.partition("=")
        if found := _KEY.fullmatch(unquote(key).strip(_BLANKS)):
            # A plus sign is a blank in names only: in the address of a tracker it may stand for itself.
            value = value.replace("+", " ") if found[1].lower() == "dn" else value
            fields.append((found[1].lower(), unquote(value, errors="surrogateescape").strip(_BLANKS)))
    return fields


def _written(info_hash: str, name: str, trackers: Sequence[str]) -> str:
    """The link with the parts that rTorrent uses; it does not load some other spellings."""
    named = [("dn", name)] if name else []
    parts = (f"&{key}={_quoted(value)}" for key, value in (*named, *(("tr", url) for url in trackers)))
    return f"magnet:?xt=urn:btih:{info_hash}{''.join(parts)}"


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "surrogateescape"), safe="/:")


def _info_hash(topics: list[str]) -> str:
    """Of several torrents the last one, as in rTorrent."""
    hashes = [_hex(found[1].strip(_BLANKS + "/")) for topic in topics if (found := _V1.fullmatch(topic))]
    if hashes:
        return hashes[-1]
    if any(_V2.match(topic) for topic in topics):
        raise MetafileUnsupported("the magnet link is for BitTorrent v2 only (urn:btmh:), which rTorrent does not load")
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
