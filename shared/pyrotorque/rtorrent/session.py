"""Reads rTorrent's session folder: whether an item is saved there completely, and with which values.

A save on rTorrent 0.16.6 and later runs in another thread after the call was answered, two saves of one item may end in
either order, and a full disk leaves empty or truncated files that nothing reports (DownloadStorer::save_stream). An
effect on rTorrent therefore counts as durable only when the session file has it, and no save that began before can
replace it by what was before (`Session.is_saving`).
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from pyrotorque.errors import MetafileError
from pyrotorque.metafile.bencode_scan import plain_values, top_level
from pyrotorque.metafile.parser import dictionary
from pyrotorque.rtorrent import save_threads
from pyrotorque.rtorrent.client import RTorrent
from pyrotorque.rtorrent.identity import Identity

_METAFILE: Final = b""
_RESUME: Final = b".libtorrent_resume"
_ATTRIBUTES: Final = b".rtorrent"
# The session folder is shared with rTorrent only, but a limit costs nothing: rTorrent takes metafiles up to 16 MiB.
_SIZE_MAX: Final = 64 * 1024 * 1024
_SIZE_FIRST: Final = 64 * 1024
_FILES: Final = (_ATTRIBUTES, _RESUME, _METAFILE)

_POLL: Final = 0.01  # seconds; a save takes rTorrent 0.16 some 10 ms
_SAVE_AGAIN: Final = 0.5
# What an earlier save may take where the threads of rTorrent cannot be seen (another container); 76 ms were measured.
_UNSEEN_SAVE: Final = 0.3

SavedValue: TypeAlias = int | bytes


@dataclass(slots=True)
class Session:
    """The session folder of the rTorrent that was seen last; `folder` is empty where it is not visible from here.

    `saves_overlap`: several saves of one item may run at once, each in a thread of the process `pid`.
    """

    folder: bytes = b""
    incarnation: str = ""
    pid: int = 0
    saves_overlap: bool = False

    def locate(self, rtorrent: RTorrent, identity: Identity) -> None:
        """Find the session folder of this rTorrent, once for each incarnation. Raises RTorrentError."""
        if self.incarnation != identity.incarnation:
            path = os.fsencode(str(rtorrent.call("session.path", "")))
            self.folder = path if _is_held_by(path, identity) else b""
            self.incarnation = identity.incarnation
            self.pid, self.saves_overlap = identity.pid, save_threads.overlap(identity.client_version)

    def holds(self, info_hash: str) -> bool | None:
        """Whether all files of the item are saved completely; None where the session cannot be seen."""
        if not self.folder:
            return None
        return all(is_complete(self._read(info_hash, suffix)) for suffix in _FILES)

    def has_none(self, info_hash: str) -> bool:
        """Whether the session provably does not have the item: its metafile is gone. An error proves nothing."""
        try:
            os.lstat(self._path(info_hash, _METAFILE))
        except FileNotFoundError:
            return bool(self.folder)
        except OSError:
            pass
        return False

    def is_saving(self, info_hash: str, at: float) -> bool:
        """Whether a save that began before `at` (`save_threads.now()`) may still replace what a later one wrote.

        To know that an effect stays, call this before its values are read; `at` is after the last request to save it.
        """
        if not self.saves_overlap:
            return False
        moment = save_threads.now()
        threads = save_threads.threads_of(self.pid)
        if save_threads.is_visible(threads, self.pid):
            return save_threads.is_saving(threads, self.pid, at, moment)
        base = self._path(info_hash, b"")
        return moment - at < _UNSEEN_SAVE or any(os.path.lexists(base + suffix + b".new") for suffix in _FILES)

    def values(self, info_hash: str) -> dict[str, SavedValue] | None:
        """The saved attributes of the item, such as `state`, `state_counter`, `tied_to_file` (integers and bytes; lists
        and dictionaries are left out); None where they cannot be seen or are not complete."""
        return _plain(self._read(info_hash, _ATTRIBUTES)) if self.folder else None

    def metafile(self, info_hash: str) -> bytes:
        """The metafile as rTorrent saved it; empty where it cannot be seen or is not complete."""
        data = self._read(info_hash, _METAFILE) if self.folder else b""
        return data if is_complete(data) else b""

    def save(self, rtorrent: RTorrent, info_hash: str, wanted: Mapping[str, SavedValue], timeout: float) -> bool | None:
        """`save_until` the saved attributes have these values."""
        return self.save_until(rtorrent, info_hash, partial(self._matches, info_hash, wanted), timeout)

    def save_until(
        self, rtorrent: RTorrent, info_hash: str, is_saved: Callable[[], bool], timeout: float
    ) -> bool | None:
        """Have rTorrent save the item until `is_saved`, and no earlier save can change that.

        False where it is not saved after `timeout` seconds; None, and one request only, where the session cannot be
        seen. Raises RTorrentError. On 0.16 two saves of one item at the same time may fail (both write HASH.torrent.new
        and the second rename fails), so a lost save is repeated.
        """
        self.locate(rtorrent, rtorrent.identity())
        end = time.monotonic() + timeout
        while True:
            rtorrent.call("d.save_full_session", info_hash)
            if not self.folder:
                return None
            requested, again = save_threads.now(), time.monotonic() + _SAVE_AGAIN
            while not is_saved() or self.is_saving(info_hash, requested) or not is_saved():
                if time.monotonic() >= end:
                    return is_saved()
                if time.monotonic() >= again:
                    break
                time.sleep(_POLL)
            else:
                return True

    def has_start(self, info_hash: str, at: float) -> bool | None:
        """Whether a restart of rTorrent would start the item, and no save that began before `at` can change that.

        None where the session cannot be seen.
        """
        if not self.folder:
            return None
        if not is_started(self.values(info_hash)) or self.is_saving(info_hash, at):
            return False
        return is_started(self.values(info_hash))

    def _matches(self, info_hash: str, wanted: Mapping[str, SavedValue]) -> bool:
        saved = self.values(info_hash)
        return saved is not None and all(saved.get(key) == value for key, value in wanted.items())

    def _path(self, info_hash: str, suffix: bytes) -> bytes:
        return os.path.join(self.folder, info_hash.encode("ascii") + b".torrent" + suffix)

    def _read(self, info_hash: str, suffix: bytes) -> bytes:
        """The content of a file; empty if it cannot be read."""
        try:
            fd = os.open(self._path(info_hash, suffix), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            data = os.read(fd, _SIZE_FIRST)
            if len(data) < _SIZE_FIRST:
                return data
            with open(fd, "rb", closefd=False) as file:
                return data + file.read(_SIZE_MAX)
        except OSError:
            return b""
        finally:
            os.close(fd)


def is_started(saved: dict[str, SavedValue] | None) -> bool:
    """Whether a restart of rTorrent would start the item."""
    return saved is not None and saved.get("state") == 1


def is_complete(data: bytes) -> bool:
    if dictionary(data) is not None:
        return True
    try:
        top_level(data)
    except MetafileError:
        return False
    return True


def _plain(data: bytes) -> dict[str, SavedValue] | None:
    found = dictionary(data)
    if found is not None:
        return {key.decode("utf-8", "replace"): value for key, value in found.items() if isinstance(value, int | bytes)}
    try:
        return plain_values(data, top_level(data))
    except MetafileError:
        return None


def _is_held_by(path: bytes, identity: Identity) -> bool:
    """Whether `path` is the folder of this very rTorrent: another container may have one of the same name."""
    try:
        with open(os.path.join(path, b"rtorrent.lock"), encoding="utf-8", errors="replace") as lock:
            return lock.read(1000).strip() == f"{identity.hostname}:+{identity.pid}"
    except OSError:
        return False
