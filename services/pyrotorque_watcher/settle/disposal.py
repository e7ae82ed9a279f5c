"""Renames, moves or deletes metafiles that are done with, so that rTorrent never takes the item for orphaned.

Users run `remove_untied`, which erases items whose metafile is not there: so a tied one gets its new name, then
the tie, and only then loses the old name; and before it is deleted, its tie is cut.
"""

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pyrotorque.errors import RTorrentFault
from pyrotorque.linux.filesystems import is_within
from pyrotorque.rtorrent import Param, Value
from pyrotorque.settings.schema import Disposal, WatchSettings
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger, Row
from pyrotorque_watcher.load.plan import mapped
from pyrotorque_watcher.scan.files import look

log = logging.getLogger(__name__)


class Ties(Protocol):
    """What disposal needs of rTorrent."""

    def call(self, method: str, *params: Param) -> Value: ...


@dataclass
class Disposer:
    """Puts away the metafiles of one job as its settings say."""

    settings: WatchSettings
    ledger: Ledger
    rtorrent: Ties
    sees: Callable[[bytes, bytes], bool]
    as_user: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext

    def loaded(self, row: Row, how: Disposal, now: float) -> None:
        """A metafile whose item is in rTorrent for good; `how` is what its job or a watch.ini says."""
        folder = os.fsencode(self.settings.loaded_path) if self.settings.loaded_path else None
        self._dispose(row, how, b".loaded", folder, now)

    def failed(self, row: Row, now: float) -> None:
        """A metafile that will not be loaded."""
        folder = os.fsencode(self.settings.failed_path) if self.settings.failed_path else None
        self._dispose(row, self.settings.on_failed, b".failed", folder, now)

    def retie(self, row: Row) -> None:
        """Its owner has renamed the metafile: the item is tied to the new name, unless its tie was cut."""
        with contextlib.suppress(RTorrentFault):
            if self.rtorrent.call("d.tied_to_file", row.info_hash):
                self._tie(row, row.path)

    def _dispose(self, row: Row, how: Disposal, suffix: bytes, folder: bytes | None, now: float) -> None:
        found = look(row.path)
        if how == "keep" or found is None or found.identity != (row.size, row.mtime_ns):
            return
        try:
            if how == "delete":
                self._delete(row, now)
            elif how == "rename" and not row.path.endswith(suffix):
                self._move(row, free_name(row.path + suffix, row.path))
            elif how == "move" and folder is not None and not is_within(row.path, folder):
                self._move(row, free_name(_below(folder, row), row.path))
        except OSError as error:
            log.warning("%s: cannot %s %s: %s", row.job, how, printable(row.path), error.strerror)

    def _delete(self, row: Row, now: float) -> None:
        if self._is_tied(row):
            self.rtorrent.call("d.tied_to_file.set", row.info_hash, "")
        os.unlink(row.path)
        with self.ledger.transaction():
            self.ledger.gone(row.job, [row.path], now)

    def _move(self, row: Row, target: bytes) -> None:
        if target == row.path:
            return
        with self.as_user():
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _link(row.path, target)
        if self._is_tied(row):
            self._tie(row, target)
        # Cut off before the ledger has it, a walk finds the file under its new name, as one that its owner renamed.
        os.unlink(row.path)
        found = look(target)
        if found is not None:
            with self.ledger.transaction():
                self.ledger.move(row.job, row.path, row.root, found, retie=False)

    def _tie(self, row: Row, path: bytes) -> None:
        """To the file at `path`; its tie is cut where rTorrent would take that file for deleted."""
        theirs = mapped(path, self.settings.path_map)
        is_seen = self.settings.tie != "auto" or self.sees(path, theirs)
        self.rtorrent.call("d.tied_to_file.set", row.info_hash, theirs if is_seen else b"")

    def _is_tied(self, row: Row) -> bool:
        """Whether rTorrent has tied the item to this file, whoever did it."""
        if not row.info_hash:
            return False
        try:
            tied = self.rtorrent.call("d.tied_to_file", row.info_hash)
        except RTorrentFault:
            return False
        # 0.9.8 cannot send every byte of a path back, so an unlike answer proves nothing where we have set the tie.
        theirs = mapped(row.path, self.settings.path_map)
        return bool(tied) and (bool(row.tied) or os.fsencode(str(tied)) == theirs)


def _below(folder: bytes, row: Row) -> bytes:
    """The same place below `folder` as the metafile has below its root."""
    return os.path.join(folder, os.path.relpath(row.path, row.root))


def free_name(wanted: bytes, source: bytes) -> bytes:
    """`wanted`, with a number if another file than `source` has that name."""
    candidate, number = wanted, 0
    while os.path.lexists(candidate) and not _is_same(candidate, source):
        number += 1
        candidate = b"%b.%d" % (wanted, number)
    return candidate


def _is_same(one: bytes, other: bytes) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _link(source: bytes, target: bytes) -> None:
    """A second name for `source`; a copy where no link can be made (another filesystem, or one without links)."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        _copy(source, target)


def _copy(source: bytes, target: bytes) -> None:
    """All of it or nothing, also when the disk is full, or when this is cut off: then another try has the same name."""
    part = target + b".part"
    try:
        shutil.copy2(source, part, follow_symlinks=False)
        os.rename(part, target)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise
