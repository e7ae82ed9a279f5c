"""The roots of one job: which are there, which must be polled, and when each is walked."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pyrotorque.housekeeping.quarantine_mark import is_in_quarantine
from pyrotorque.humanize import duration
from pyrotorque.linux.filesystems import read_mounts
from pyrotorque.linux.processes import process_stat
from pyrotorque.logs import owner_event
from pyrotorque.settings.schema import WatchSettings
from pyrotorque.text import counted, printable
from pyrotorque.watchroots import WatchRoot, WatchRoots
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.metrics import WatcherMetrics
from pyrotorque_watcher.scan.files import nearest_root, polling_reason
from pyrotorque_watcher.scan.inotify import InotifyTree
from pyrotorque_watcher.scan.mounts import mounts_in
from pyrotorque_watcher.scan.reconcile import Reconciler, Situation
from pyrotorque_watcher.scan.walk import TreeWalk, WalkCause

log = logging.getLogger(__name__)

_RESCAN: Final = 60.0
_MISSING: Final = 1.0  # seconds between two checks for a missing root
_MISSING_GRACE: Final = 10.0  # seconds until that needs the owner: a disk may be mounted again
_POLL: Final = 2.0  # seconds between two walks of a polled tree, at least
# After a walk that took t seconds of work the next one begins so many t later at the earliest: 1 % and 2 % of a core.
_PAUSE_FACTOR: Final = 100
_PAUSE_FACTOR_POLLED: Final = 50


def group_started() -> float:
    """When supervisord was started, or this process if there is none; Unix seconds, rather too early than too late.

    What was written while a crashed watcher was down is new: it belongs to the same group.
    """
    supervised = "SUPERVISOR_ENABLED" in os.environ
    found = process_stat(os.getppid() if supervised else os.getpid())
    # File times lag behind the clock by up to one kernel tick (10 ms).
    return (found.started if found else time.time()) - 0.01


def baseline_ns(ledger: Ledger, started: float, settings_file: Path) -> int:
    """Files in roots that the ledger does not know are new if they were changed after this time.

    With an empty ledger: since the group was started. Otherwise a root was added to the settings: since they were
    written, if that was later.
    """
    since = started
    if ledger.knows_roots():
        with suppress(OSError):
            since = max(since, os.stat(settings_file).st_mtime)
    return int(since * 1e9)


def interval_of(job: WatchSettings) -> float:
    """Seconds between two walks of the trees: by the schedule, and at most a minute."""
    if "second" not in job.schedule:
        return _RESCAN  # it fires once a minute at most; reading it would load APScheduler, 5 MiB
    from pyrotorque.schedule import parse_schedule

    return min(_RESCAN, parse_schedule(job.schedule).smallest_gap())


@dataclass
class WatchedRoot:
    path: bytes
    since_ns: int
    complete: bool
    """Whether all of it was listed once; until then, files older than `since_ns` are baseline."""
    there: bool = True
    polled: str = ""
    """Why it is polled, if it is."""
    unreadable: str = ""
    """Which folders the last walk could not read, and why."""
    missing_since: float = 0.0
    reported_missing: bool = False
    """Whether its absence is in the owner's log."""
    due: float = 0.0
    """When it is to be walked next (monotonic)."""
    mounts: frozenset[int] = frozenset()
    """The mounts that show it and what is below it."""

    @property
    def baseline_before(self) -> int | None:
        return None if self.complete else self.since_ns

    def mark_missing(self, job: str, clock: float) -> None:
        if self.there:
            log.warning("%s: %s is not there; checking for it every second", job, printable(self.path))
            self.missing_since = clock
        elif not self.reported_missing and clock - self.missing_since >= _MISSING_GRACE:
            self.reported_missing = True
            text = (
                f"{job}: {printable(self.path)} is not there, nothing in it is loaded: mount its disk, create it, or "
                f"correct job.{job}.path"
            )
            owner_event("root missing", text, subject=printable(self.path))
        self.there = False
        self.due = clock + _MISSING

    def report_unreadable(self, job: str, text: str) -> None:
        """Log it once for each change."""
        if text and text != self.unreadable:
            log.warning("%s: %s", job, text)
        self.unreadable = text

    def poll(self, job: str, reason: str) -> None:
        """Poll it for this reason, or no longer without one: a limit was raised, another filesystem was mounted."""
        if reason and self.polled != reason:
            log.warning("%s: %s is also walked every few seconds: %s", job, printable(self.path), reason)
        elif self.polled and not reason:
            log.info("%s: the kernel reports all changes in %s again", job, printable(self.path))
        self.polled = reason


@dataclass
class RootWalks:
    """The walks of one job, one piece of one walk at a time."""

    job: str
    reconciler: Reconciler
    inotify: InotifyTree
    metrics: WatcherMetrics
    interval: float
    follow: bool
    all_roots: WatchRoots
    """Those of all jobs."""
    receive_pending: Callable[[float, float], None]
    """Takes all events that the kernel has; called at the end of the first walk of a root, with Unix and monotonic
    time: a tree that was moved in meanwhile is older than the watch, and still new."""
    roots: dict[bytes, WatchedRoot] = field(default_factory=dict[bytes, WatchedRoot])
    _walks: deque[TreeWalk] = field(default_factory=deque[TreeWalk])
    _worked: float = 0.0
    """Seconds that the current walk took so far."""

    def open(self, paths: Iterable[bytes]) -> None:
        """Walk all roots; the ledger has them already."""
        known = self.reconciler.ledger.roots(self.job)
        mounts = read_mounts()
        self.roots.update({path: WatchedRoot(path, *known[path], mounts=mounts_in(path, mounts)) for path in paths})
        self.walk_all("startup")

    def mounts_changed(self) -> None:
        """Walk each root on which, or in which, something was mounted or unmounted: no event reports that."""
        mounts = read_mounts()
        for root in self.roots.values():
            now_in = mounts_in(root.path, mounts)
            if now_in != root.mounts:
                root.mounts, root.due = now_in, 0.0
                text = "%s: a filesystem was mounted or unmounted at %s or in it: comparing it with the ledger"
                log.info(text, self.job, printable(root.path))

    def walk_all(self, cause: WalkCause) -> None:
        for root in self.roots.values():
            self.walk_root(root, cause)

    def walk_root(self, root: WatchedRoot, cause: WalkCause) -> None:
        """Walk all of `root` soon; one such walk that has not begun is enough."""
        root.due = float("inf")
        if any(planned.whole and planned.root == root.path and not planned.visited for planned in self._walks):
            return
        walk = self._new_walk(root.path, root.path, cause, Situation(root.baseline_before))
        if cause == "overflow":
            self._replace_walk(walk)
        else:
            self._walks.append(walk)

    def _replace_walk(self, walk: TreeWalk) -> None:
        """Begin the walk of a root again: what is new since it began does not wait for its end."""
        for begun in [each for each in self._walks if each.whole and each.root == walk.root]:
            self._walks.remove(begun)
            walk.baseline += begun.baseline
            walk.loads += begun.loads
        self._walks.appendleft(walk)

    def walk_folder(self, folder: bytes, *, arrived: bool = True) -> None:
        """Walk a folder that appeared, before anything else; not `arrived` if it was below an unmounted one."""
        if root := self.roots.get(folder):
            self.walk_root(root, "folder")
            return
        top = nearest_root(folder, self.roots)
        if top is not None and not is_in_quarantine(folder, top):
            situation = Situation(self.roots[top].baseline_before, arrived=arrived)
            self._walks.appendleft(self._new_walk(top, folder, "folder", situation))

    def _new_walk(self, root: bytes, top: bytes, cause: WalkCause, situation: Situation) -> TreeWalk:
        others = frozenset(self.roots.keys() - {root})
        owns = partial(self.all_roots.owns, WatchRoot(self.job, root))
        return TreeWalk(root, top, cause, situation, others, self.follow, owns)

    def walk_soon(self, root: bytes, clock: float, pause: float = _POLL) -> None:
        """Something in it could not be inspected, or a request asks for it."""
        self.roots[root].due = min(self.roots[root].due, clock + pause)

    @property
    def walking(self) -> bool:
        return bool(self._walks)

    def due(self) -> float:
        """When (monotonic) `step` has something to do next."""
        return 0.0 if self._walks else min((root.due for root in self.roots.values()), default=float("inf"))

    def step(self, now: float, clock: float) -> bool:
        """One piece of a walk; whether there is more to do at once."""
        for root in self.roots.values():
            if root.due <= clock:
                self._walk_if_there(root, clock)
        if not self._walks:
            return False
        current = self._walks[0]
        if not current.visited:
            self._worked = 0.0
        began = time.monotonic()
        more = current.step(self.inotify, self.reconciler, now)
        self._worked += time.monotonic() - began
        if not more:
            self._walks.popleft()
            self._finish(current, now, clock)
        return bool(self._walks)

    def _walk_if_there(self, root: WatchedRoot, clock: float) -> None:
        if self.inotify.unavailable:
            self.inotify.open_if_possible()
        if os.path.isdir(root.path):
            if not root.there:
                log.info("%s: %s is there now", self.job, printable(root.path))
            if root.reported_missing:
                away = duration(clock - root.missing_since)
                text = f"{self.job}: {printable(root.path)} is there again after {away}"
                owner_event("root back", text, subject=printable(root.path))
            root.there, root.reported_missing = True, False
            self.walk_root(root, "timer")
            return
        root.mark_missing(self.job, clock)

    def _finish(self, done: TreeWalk, now: float, clock: float) -> None:
        root = self.roots[done.root]
        if not done.whole:
            if done.limit:
                root.poll(self.job, done.limit)
            if done.limit or done.may_pass:
                root.due = min(root.due, clock + _POLL)
            return
        if not os.path.isdir(root.path):
            root.mark_missing(self.job, clock)
            return
        root.there = True
        if not root.complete:
            self.receive_pending(now, clock)
        done.finish(self.reconciler, now)
        root.report_unreadable(self.job, done.unreadable_text)
        self.metrics.walk_finished(done.cause)
        if not root.complete and root.path not in done.unreadable:
            self._complete(root, done)
        elif done.loads and done.cause != "folder":
            log.info("%s: found %d new metafiles in %s", self.job, done.loads, printable(root.path))
        reason = self.inotify.unavailable or done.limit
        root.poll(self.job, reason or polling_reason(os.path.realpath(root.path), read_mounts()))
        soon = root.polled or done.may_pass
        pause, factor = (_POLL, _PAUSE_FACTOR_POLLED) if soon else (self.interval, _PAUSE_FACTOR)
        root.due = clock + max(pause, factor * self._worked)

    def _complete(self, root: WatchedRoot, done: TreeWalk) -> None:
        ledger = self.reconciler.ledger
        with ledger.transaction():
            ledger.complete_root(self.job, root.path)
        root.complete = True
        if done.baseline:
            text = (
                f"{self.job}: {counted(done.baseline, 'metafile')} in {printable(root.path)} from before it was "
                "watched, not loaded; to load: pyrotorque retry --all"
            )
            log.warning("%s", text)
            owner_event("root baseline", text, subject=printable(root.path))
        log.info("%s: watching %s (%d folders)", self.job, printable(root.path), len(done.visited))
