"""Walks a folder tree one folder at a time, so that the loop stays awake: first the watch, then the listing."""

import logging
import os
from dataclasses import dataclass, field
from typing import Literal

from pyrotorque.linux.filesystems import is_within
from pyrotorque.text import printable
from pyrotorque_watcher.scan.files import listing, look
from pyrotorque_watcher.scan.inotify import Tree, WatchLimit
from pyrotorque_watcher.scan.reconcile import Situation, Verdict, unchanged
from pyrotorque_watcher.scan.sightings import Sightings

log = logging.getLogger(__name__)

# New files that are noted at a time: some milliseconds of work.
_BATCH = 100

Cause = Literal["startup", "overflow", "timer", "manual", "folder"]


@dataclass
class Round:
    """One walk below `top`, which is a root or a folder that appeared in one."""

    root: bytes
    top: bytes
    cause: Cause
    situation: Situation
    others: frozenset[bytes] = frozenset()
    """The job's other roots: they have rounds of their own."""
    follow: bool = False
    stack: list[bytes] = field(default_factory=list[bytes])
    visited: set[bytes] = field(default_factory=set[bytes])
    unreadable: list[bytes] = field(default_factory=list[bytes])
    baseline: int = 0
    loads: int = 0
    limit: str = ""
    """Why some folders have no watch, if so."""
    _fresh: list[bytes] = field(default_factory=list[bytes])
    _inodes: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def __post_init__(self) -> None:
        self.stack.append(self.top)

    @property
    def whole(self) -> bool:
        return self.top == self.root

    def step(self, tree: Tree, sightings: Sightings, now: float) -> bool:
        """Note some new files, or watch and list the next folder; False when nothing was left."""
        if self._fresh:
            batch, self._fresh = self._fresh[:_BATCH], self._fresh[_BATCH:]
            with sightings.ledger.transaction():
                for path in batch:
                    self._note(path, sightings, now)
        elif self.stack:
            self._list(self.stack.pop(), tree, sightings, now)
        return bool(self._fresh or self.stack)

    def _list(self, folder: bytes, tree: Tree, sightings: Sightings, now: float) -> None:
        if self.follow and self._been_here(folder):
            return
        try:
            tree.watch(folder, root=folder == self.root, follow=self.follow)
        except WatchLimit as error:
            self.limit = str(error)
        found = listing(folder, follow=self.follow)
        if not found.readable:
            self.unreadable.append(folder)
        self.visited.add(folder)
        self.stack.extend(path for path in reversed(found.folders) if path not in self.others)
        known = sightings.ledger.known_in(sightings.job, folder)
        for file in found.files:
            row = known.pop(file.path, None)
            if row is None or unchanged(file, row, self.situation) is not Verdict.KEEP:
                self._fresh.append(file.path)
        missing = [path for path, row in known.items() if not row.gone and not os.path.lexists(path)]
        if missing and found.readable:
            with sightings.ledger.transaction():
                sightings.ledger.gone(sightings.job, missing, now)

    def _note(self, path: bytes, sightings: Sightings, now: float) -> None:
        # Looked at again: an event may have told of it since it was listed.
        found = look(path)
        if found is None:
            return
        known = sightings.ledger.known(sightings.job, path)
        verdict = sightings.note(self.root, found, known, self.situation, now, None)
        self.baseline += verdict is Verdict.BASELINE
        self.loads += verdict is Verdict.LOAD

    def _been_here(self, folder: bytes) -> bool:
        """Links may lead round in circles."""
        try:
            place = os.stat(folder)
        except OSError:
            return True
        if (place.st_dev, place.st_ino) in self._inodes:
            return True
        self._inodes.add((place.st_dev, place.st_ino))
        return False

    def finish(self, sightings: Sightings, now: float) -> None:
        """What a whole round did not come across is gone, unless it could not look there."""
        ledger, job = sightings.ledger, sightings.job
        if not self.whole or not os.path.isdir(self.root):
            return
        with ledger.transaction():
            for folder in ledger.folders(job):
                if self._missed(folder):
                    ledger.gone(job, ledger.known_in(job, folder), now)
        if self.unreadable:
            names = ", ".join(printable(path) for path in self.unreadable[:3])
            log.warning("%s: %d folders cannot be read (%s): check their permissions", job, len(self.unreadable), names)

    def _missed(self, folder: bytes) -> bool:
        return (
            is_within(folder, self.root)
            and folder not in self.visited
            and not any(is_within(folder, other) for other in self.others)
            and not any(is_within(folder, blind) for blind in self.unreadable)
        )
