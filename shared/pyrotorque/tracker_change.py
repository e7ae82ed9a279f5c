"""Replaces an announce address, or a passkey in it, in all items: the new one is added and the old one disabled.

Repeating it continues after a kill. What is shown never contains more of an address than its host.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from pyrotorque.errors import RTorrentFault, UserError
from pyrotorque.metafile.parser import dictionary
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.file_values import items_in_call
from pyrotorque.rtorrent.session import Session

_ROWS: Final = ("t.url=", "t.is_enabled=", "t.group=")
_SCHEMES: Final = ("http", "https", "udp")
_OLD_MIN: Final = 8
_DELIMITERS: Final = r"([/?&=:;])"
_COMMON: Final = frozenset(("announce", "announce.php", "scrape", "scrape.php", "passkey", "torrent_pass", "authkey"))
"""Parts of addresses that are no keys."""
_SAVED_WITHIN: Final = 10.0  # seconds
_RESUME: Final = b".libtorrent_resume"


@dataclass(frozen=True, slots=True)
class TrackerChange:
    """An address of an item, under which it may have several trackers, and its new address."""

    info_hash: str
    name: str
    group: int
    old: str
    new: str
    is_added: bool
    """Whether the item has the new address already."""
    is_used: bool
    """Whether a tracker with the old address is enabled."""

    @property
    def shown(self) -> str:
        """The change without passkeys."""
        return f"{hidden(self.old)} -> {hidden(self.new)}"


def hidden(url: str) -> str:
    """An announce address without its path, user and query, which may be keys."""
    try:
        found = urlsplit(url)
        host = found.hostname or ""
    except ValueError:
        return "…"
    return f"{found.scheme}://{host}/…" if host else "…"


def check_texts(old: str, new: str) -> None:
    """Raises UserError for texts that would change more than one address or key."""
    if len(old) < _OLD_MIN:
        raise UserError(f"the old address or key has fewer than {_OLD_MIN} characters: it could be a part of others")
    if not new or any(char.isspace() or not char.isprintable() for char in new + old):
        raise UserError("an address or key is empty, or has spaces")
    if old.casefold() in _COMMON:
        raise UserError(f"{old!r} is a part of many addresses, not a key")
    if old == new or ("://" in old) != ("://" in new):
        raise UserError("both must be addresses (with ://), or both keys, and differ")


def find_changes(rtorrent: RTorrent, old: str, new: str) -> list[TrackerChange]:
    """All items whose trackers have an address that contains `old`. Raises UserError and RTorrentError.

    Where all of these are disabled, by this command or by their owner, nothing is to be changed: `is_used` is false.
    """
    check_texts(old, new)
    names = {row[0]: row[1] for row in rtorrent.rows("main", ["d.hash=", "d.name="])}
    hashes = list(names)
    found: list[TrackerChange] = []
    number = items_in_call(len(hashes))
    for at in range(0, len(hashes), number):
        batch = hashes[at : at + number]
        answers = rtorrent.multicall([("t.multicall", (each, "", *_ROWS)) for each in batch])
        for info_hash, rows in zip(batch, answers, strict=True):
            if isinstance(rows, list):
                trackers = [
                    (str(row[0]), str(row[1]) == "1", int(str(row[2]))) for row in rows if isinstance(row, list)
                ]
                found += _of_item(info_hash, names[info_hash], trackers, old, new)
    return found


def _of_item(
    info_hash: str, name: str, trackers: list[tuple[str, bool, int]], old: str, new: str
) -> Iterator[TrackerChange]:
    addresses = list(dict.fromkeys(url for url, _, _ in trackers))
    for url in addresses:
        wanted = _replaced(url, old, new)
        if wanted == url:
            continue
        if urlsplit(wanted).scheme not in _SCHEMES or not urlsplit(wanted).hostname:
            raise UserError(f"the new address is not one of a tracker ({', '.join(_SCHEMES)})")
        # The session has one state for each address, whatever the number of its trackers.
        same = [(enabled, group) for each, enabled, group in trackers if each == url]
        is_used, group = any(enabled for enabled, _ in same), same[0][1]
        yield TrackerChange(info_hash, name, group, url, wanted, wanted in addresses, is_used)


def _replaced(url: str, old: str, new: str) -> str:
    """The address with the old part replaced; an address must be equal, or be followed by a part of the path.

    A key is a whole part of the path, the query or the login: nothing of a host, and no part of another word.
    """
    if "://" not in old:
        scheme, between, rest = url.partition("://")
        end = next((at for at, char in enumerate(rest) if char in "/?"), len(rest))
        login, at, host = rest[:end].rpartition("@")
        return f"{scheme}{between}{_with_key(login, old, new)}{at}{host}{_with_key(rest[end:], old, new)}"
    is_same = url == old or url.startswith((old.rstrip("/") + "/", old + "?"))
    return new + url[len(old) :] if is_same else url


def _with_key(text: str, old: str, new: str) -> str:
    parts = re.split(_DELIMITERS, text)
    return "".join(new if part == old else part for part in parts)


def apply_change(rtorrent: RTorrent, session: Session, change: TrackerChange) -> bool | None:
    """Change all trackers with one address; whether that is saved, None where the session cannot be seen.

    The old address is disabled only when the new one is there. Raises RTorrentError.
    """
    info_hash = change.info_hash
    if not change.is_added:
        rtorrent.call("d.tracker.insert", info_hash, str(change.group), change.new)
    rows = rtorrent.call("t.multicall", info_hash, "", "t.url=")
    urls = [str(row[0]) for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    if change.new not in urls or change.old not in urls:
        raise RTorrentFault(f"rTorrent has not added the new address of {hidden(change.new)}")
    for address, is_enabled in ((change.new, 1), (change.old, 0)):
        for number in (number for number, url in enumerate(urls) if url == address):
            rtorrent.call("t.is_enabled.set", f"{info_hash}:t{number}", is_enabled)
    if rtorrent.call("d.is_active", info_hash) == 1:
        rtorrent.call("d.tracker_announce", info_hash)
    return session.save_until(rtorrent, info_hash, partial(_is_saved, session, change), _SAVED_WITHIN)


def _is_saved(session: Session, change: TrackerChange) -> bool:
    path = os.path.join(session.folder, change.info_hash.encode() + b".torrent" + _RESUME)
    try:
        with open(path, "rb") as file:
            saved = dictionary(file.read())
    except OSError:
        return False
    trackers = saved.get(b"trackers") if saved else None
    if not isinstance(trackers, dict):
        return False
    old, new = (trackers.get(url.encode("utf-8", "surrogateescape")) for url in (change.old, change.new))
    return isinstance(old, dict) and isinstance(new, dict) and (old.get(b"enabled"), new.get(b"enabled")) == (0, 1)
