"""Looks into rTorrent's session folder, where its items are written down, if that can be seen from here."""

import os
from dataclasses import dataclass
from typing import Final

from pyrotorque.rtorrent import Identity, RTorrent

# All three files of an item; names as rTorrent writes them.
_SUFFIXES: Final = (b"", b".rtorrent", b".libtorrent_resume")


@dataclass(slots=True)
class Session:
    """The session of the rTorrent that was met last; `folder` is empty where it cannot be seen."""

    folder: bytes = b""
    _of: str = ""

    def find(self, rtorrent: RTorrent, identity: Identity) -> None:
        """Learn where the session of this rTorrent is, once for each of its lives."""
        if self._of != identity.incarnation:
            path = os.fsencode(str(rtorrent.call("session.path", "")))
            self.folder = path if _is_of(path, identity) else b""
            self._of = identity.incarnation

    def has(self, info_hash: str) -> bool | None:
        """Whether the item is written down; None where that cannot be seen."""
        if not self.folder:
            return None
        base = os.path.join(self.folder, info_hash.encode("ascii") + b".torrent")
        return all(os.path.exists(base + suffix) for suffix in _SUFFIXES)


def _is_of(path: bytes, identity: Identity) -> bool:
    """Whether `path` is the folder of this very rTorrent: another container may have one of the same name."""
    try:
        with open(os.path.join(path, b"rtorrent.lock"), encoding="utf-8", errors="replace") as lock:
            return lock.read(1000).strip() == f"{identity.hostname}:+{identity.pid}"
    except OSError:
        return False
