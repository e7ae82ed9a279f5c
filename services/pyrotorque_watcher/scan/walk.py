"""Walks a folder tree in small steps, so that the loop stays responsive; each folder is watched, then listed."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Final, Literal

from pyrotorque.housekeeping.quarantine_mark import is_in_quarantine
from pyrotorque.linux.filesystems import is_within
from pyrotorque.text import counted, printable
from pyrotorque_watcher.rows import KnownFile
from pyrotorque_watcher.scan.files import inspect, is_absent, list_in_parts
from pyrotorque_watcher.scan.inotify import InotifyTree, WatchLimit
from pyrotorque_watcher.scan.mounts import is_mounted_below
from pyrotorque_watcher.scan.reconcile import Reconciler, Situation, Verdict, unchanged

log = logging.getLogger(__name__)

_BATCH: Final = 100  # new files that are recorded at a time: a few milliseconds of work
_NEWEST: Final = 8  # new files of a folder that are recorded before the others
_PART: Final = 10_000  # files that are compared at a time

WalkCause = Literal["startup", "overflow", "timer", "folder"]


@dataclass
class TreeWalk:
    """One walk below `top`, which is a root or a folder that appeared in one."""

    root: bytes
    top: bytes
    cause: WalkCause
    situation: Situation
    others: frozenset[bytes] = frozenset()
    """The job's other roots: they have their own walks."""
    follow: bool = False
    owns: Callable[[bytes], bool] = lambda _: True
    """Whether a folder belongs to this root, and not to one of another job."""
    stack: list[bytes] = field(default_factory=list[bytes])
    visited: set[bytes] = field(default_factory=set[bytes])
    unreadable: dict[bytes, OSError] = field(default_factory=dict[bytes, OSError])
    may_pass: bool = False
    """Whether something could not be read for a reason that may pass: then the walk is repeated soon."""
    baseline: int = 0
    loads: int = 0
    limit: str = ""
    """Why some folders have no watch, if so."""
    _new: deque[bytes] = field(default_factory=deque[bytes])
    _here: Situation = field(default_factory=Situation)
    """How the files in `_new` were found."""
    _current: Iterator[None] | None = None
    """The folder that is listed."""
    _inodes: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def __post_init__(self) -> None:
        self.stack.append(self.top)

    @property
    def whole(self) -> bool:
        return self.top == self.root

    def step(self, inotify: InotifyTree, reconciler: Reconciler, now: float) -> bool:
        """Record some new files, or watch and list a part of the next folder; False if nothing is left."""
        if self._new:
            batch = [self._new.popleft() for _ in range(min(len(self._new), _BATCH))]
            with reconciler.ledger.transaction():
                for path in batch:
                    self._reconcile(path, reconciler, now)
        elif self._current is not None:
            with suppress(StopIteration):
                next(self._current)
                return True
            self._current = None
        elif self.stack:
            self._current = self._list(self.stack.pop(), inotify, reconciler, now)
            return True
        return bool(self._new or self.stack)

    def _list(self, folder: bytes, inotify: InotifyTree, reconciler: Reconciler, now: float) -> Iterator[None]:
        if (self.follow and self._is_visited(folder)) or not self.owns(folder):
            return
        try:
            inotify.watch(folder, root=folder == self.root, follow=self.follow)
        except WatchLimit as error:
            self.limit = str(error)
        self.visited.add(folder)
        if is_in_quarantine(folder, self.root):  # what is in it was removed
            return
        found = yield from list_in_parts(folder, follow=self.follow)
        if found.error is not None:
            self.unreadable[folder] = found.error
            self.may_pass |= found.may_pass
        self.stack.extend(path for path in reversed(found.folders) if path not in self.others)
        known: dict[bytes, KnownFile] = {}
        for part in reconciler.ledger.known_parts(reconciler.job, folder):
            known.update((row.path, row) for row in part)
            yield
        self._here = self._situation_in(folder, known.values())
        new: deque[bytes] = deque()
        for number, file in enumerate(sorted(found.files, key=attrgetter("ctime_ns")), 1):
            row = known.pop(file.path, None)
            if row is None or unchanged(file, row, self._here) is not Verdict.KEEP:
                new.append(file.path)
            if number % _PART == 0:
                yield
        missing = [path for path, row in known.items() if not row.gone and is_absent(path)]
        if missing and found.error is None:
            with reconciler.ledger.transaction():
                reconciler.ledger.mark_gone(reconciler.job, missing, now)
        if len(new) > _BATCH:  # the newest do not wait for all others
            with reconciler.ledger.transaction(), reconciler.ledger.urgent():
                for path in [new.pop() for _ in range(_NEWEST)]:
                    self._reconcile(path, reconciler, now)
        self._new = new

    def _situation_in(self, folder: bytes, known: Iterable[KnownFile]) -> Situation:
        """A disk in a folder that appeared for its mount was not moved in: its files are compared as at a start.

        Asked after the folder was listed, and only where the answer counts.
        """
        counts = self.situation.baseline_before is not None or any(row.gone for row in known)
        if not (self.situation.arrived and counts) or not is_mounted_below(folder, os.path.dirname(self.top)):
            return self.situation
        return replace(self.situation, arrived=False)

    def _reconcile(self, path: bytes, reconciler: Reconciler, now: float) -> None:
        # Read again: an event may have reported it since it was listed.
        try:
            found = inspect(path)
        except OSError:
            self.may_pass = True
            return
        if found is None:
            return
        known = reconciler.ledger.known(reconciler.job, path)
        verdict = reconciler.reconcile(self.root, found, known, self._here, now, None)
        self.baseline += verdict is Verdict.BASELINE
        self.loads += verdict is Verdict.LOAD

    def _is_visited(self, folder: bytes) -> bool:
        """Whether this folder was visited under another path: links may form a circle."""
        try:
            found = os.stat(folder)
        except OSError:
            return True
        if (found.st_dev, found.st_ino) in self._inodes:
            return True
        self._inodes.add((found.st_dev, found.st_ino))
        return False

    def finish(self, reconciler: Reconciler, now: float) -> None:
        """After the walk of a whole root: files in folders that it did not find are gone."""
        ledger, job = reconciler.ledger, reconciler.job
        if not self.whole or not os.path.isdir(self.root):
            return
        with ledger.transaction():
            for folder in ledger.folders(job):
                if self._has_disappeared(folder):
                    ledger.mark_gone(job, ledger.known_in(job, folder), now)

    @property
    def unreadable_text(self) -> str:
        """Which folders could not be read, and why; empty if all were read."""
        if not self.unreadable:
            return ""
        names = ", ".join(printable(path) for path in list(self.unreadable)[:3])
        error = next(iter(self.unreadable.values())).strerror
        return f"{counted(len(self.unreadable), 'folder')} cannot be read ({names}): {error}"

    def _has_disappeared(self, folder: bytes) -> bool:
        return (
            is_within(folder, self.root)
            and folder not in self.visited
            and not any(is_within(folder, other) for other in self.others)
            and not any(is_within(folder, unreadable) for unreadable in self.unreadable)
        )
