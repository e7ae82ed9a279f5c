"""Disposes of metafiles that are loaded or failed: renames, moves or deletes them, as the ledger's todo list requires.

What is interrupted is repeated later. Each file keeps a name that exists while an item is tied to it: see `ties`.
"""

import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.errors import UserError
from pyrotorque.linux.filesystems import is_within
from pyrotorque.settings.schema import Disposal, WatchSettings
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.prepare import LoadJob
from pyrotorque_watcher.rows import Row, Todo
from pyrotorque_watcher.scan.files import look
from pyrotorque_watcher.settle.ties import Ties

log = logging.getLogger(__name__)

_ROWS: Final = 100  # handled in one step


@dataclass(frozen=True)
class Disposer:
    """Disposes of the metafiles of all jobs; files of jobs that are not active stay where they are."""

    ledger: Ledger
    jobs: Mapping[str, LoadJob]
    ties: Ties
    as_user: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """Gives new folders and files the owner's permissions."""

    def step(self) -> None:
        """Do a part of what is still to be done about files."""
        for todo, row in self.ledger.todo(_ROWS):
            if job := self.jobs.get(row.job):
                self._do(todo, row, job)
            with self.ledger.transaction():
                self.ledger.mark_done(row)

    def loaded(self, row: Row) -> None:
        """Dispose of a metafile whose item is in rTorrent's session."""
        if job := self.jobs.get(row.job):
            self._loaded(row, job)

    def _do(self, todo: Todo, row: Row, job: LoadJob) -> None:
        match todo:
            case "retie":
                self.ties.follow_rename(row, job.settings)
            case "loaded":
                self._loaded(row, job)
            case "failed":
                folder = _folder(job.settings.failed_path)
                self._dispose(row, job.settings, job.settings.on_failed, b".failed", folder)
            case "":
                pass

    def _loaded(self, row: Row, job: LoadJob) -> None:
        try:
            how = job.recipes.of(row).on_loaded
        except UserError as error:
            log.warning("%s: %s stays where it is: %s", row.job, printable(row.path), error)
            return
        self._dispose(row, job.settings, how, b".loaded", _folder(job.settings.loaded_path))

    def _dispose(self, row: Row, settings: WatchSettings, how: Disposal, suffix: bytes, folder: bytes | None) -> None:
        """Only the file that was loaded: nothing is done if another one is at its path."""
        found = look(row.path)
        if how == "keep" or found is None or found.version != row.file.version:
            return
        try:
            if how == "delete":
                self._delete(row, settings)
            elif how == "rename" and not row.path.endswith(suffix):
                self._move(row, free_name(row.path + suffix, row.path), settings)
            elif how == "move" and folder is not None and not is_within(row.path, folder):
                target = os.path.join(folder, os.path.relpath(row.path, row.root))
                self._move(row, free_name(target, row.path), settings)
        except OSError as error:
            log.warning("%s: cannot %s %s: %s", row.job, how, printable(row.path), error.strerror)

    def _delete(self, row: Row, settings: WatchSettings) -> None:
        if self.ties.is_tied(row, settings):
            self.ties.cut(row.load.info_hash)
        os.unlink(row.path)
        with self.ledger.transaction():
            self.ledger.mark_gone(row.job, [row.path], time.time())

    def _move(self, row: Row, target: bytes, settings: WatchSettings) -> None:
        if target == row.path:
            return
        with self.as_user():
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _link(row.path, target)
        if self.ties.is_tied(row, settings):
            self.ties.tie(row, target, settings)
        # If this process ends before the ledger has it, a walk finds the file as one that its owner renamed.
        os.unlink(row.path)
        found = look(target)
        if found is not None:
            with self.ledger.transaction():
                self.ledger.move(row.job, row.path, row.root, found, retie=False)


def _folder(path: Path | None) -> bytes | None:
    return os.fsencode(path) if path else None


def free_name(wanted: bytes, source: bytes) -> bytes:
    """`wanted`, with a number if a file other than `source` has that name."""
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
    """A second name for `source`; a copy if no link can be made (another filesystem, or one without links)."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        _copy(source, target)


def _copy(source: bytes, target: bytes) -> None:
    """All of it or nothing, also if the disk is full; after an interruption, the next try uses the same name."""
    part = target + b".part"
    try:
        shutil.copy2(source, part, follow_symlinks=False)
        os.rename(part, target)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise
