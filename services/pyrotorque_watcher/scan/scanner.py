"""One TreeWatch job: its roots, what the kernel tells about them, and when they are walked."""

import logging
import os
import stat
import time
from collections import deque
from typing import Final

from pyrotorque.linux.filesystems import read_mounts
from pyrotorque.settings.schema import WatchSettings
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.metrics import Metrics
from pyrotorque_watcher.scan.files import (
    WATCH_INI,
    is_metafile,
    look,
    matters,
    nearest_root,
    polling_reason,
)
from pyrotorque_watcher.scan.inotify import Change, Kind, Tree, WatchLimit
from pyrotorque_watcher.scan.reconcile import PENDING, Situation, Verdict
from pyrotorque_watcher.scan.roots import Root
from pyrotorque_watcher.scan.sightings import QUIET, Sightings
from pyrotorque_watcher.scan.walk import Cause, Round

log = logging.getLogger(__name__)

_POLL: Final = 2.0  # how often a tree is walked that inotify cannot hear, at most
# After a walk that took t seconds of work the next comes after so many t at the earliest: 1 % and 2 % of a core.
_PATIENCE: Final = 100
_PATIENCE_DEAF: Final = 50
_QUEUE: Final = 1 << 20  # bytes of events that the kernel keeps, at most
EVENTS: Final = 4096  # bytes of events taken at a time, so that loading goes on in between


class TreeJob:
    """Keeps the ledger true for the trees of one job; loads nothing itself."""

    def __init__(self, settings: WatchSettings, ledger: Ledger, metrics: Metrics, *, interval: float) -> None:
        self.settings = settings
        self.name = settings.name
        self.sightings = Sightings(settings.name, ledger)
        self.roots: dict[bytes, Root] = {}
        self.inis_changed: set[bytes] = set()
        """Folders whose watch.ini was written since somebody looked."""
        self._ledger = ledger
        self._metrics = metrics
        self._interval = interval
        self._tree = Tree(matters)
        self._rounds: deque[Round] = deque()
        self._settling: dict[bytes, float] = {}
        self._worked = 0.0
        self._silent = ""
        """Why the kernel tells nothing, if so."""

    # -- beginning and end

    def open(self, since_ns: int) -> None:
        """Begin to listen. In roots that the ledger does not know, files older than `since_ns` are baseline."""
        paths = dict.fromkeys(os.fsencode(path.expanduser().absolute()) for path in self.settings.path)
        with self._ledger.transaction():
            for path in paths:
                self._ledger.add_root(self.name, path, since_ns)
        known = self._ledger.roots(self.name)
        self.roots = {path: Root(path, *known[path]) for path in paths}
        self._listen()
        for root in self.roots.values():
            self._walk(root, "startup")

    def _listen(self) -> None:
        try:
            self._tree.open()
            self._silent = ""
        except WatchLimit as error:
            self._silent = str(error)

    def close(self) -> None:
        self._tree.close()

    def fileno(self) -> int:
        return self._tree.fileno()

    # -- events

    def hear(self, now: float, clock: float, limit: int = EVENTS) -> bool:
        """Take some of the kernel's events to the ledger; whether there were any.

        `now` is Unix time, `clock` monotonic.
        """
        changes = self._tree.read(limit)
        if not changes:
            self._count_events(now)
            return False
        with self._ledger.transaction():
            for change in changes:
                if self.settings.trace_inotify:
                    log.info("%s: inotify %s %s", self.name, change.kind.name.lower(), printable(change.path))
                self._take(change, now, clock)
        self._count_events(now)
        return True

    def _count_events(self, now: float) -> None:
        if self._tree.events:
            self._metrics.heard(self._tree.events, now)
            self._tree.events.clear()

    def _take(self, change: Change, now: float, clock: float) -> None:
        match change.kind:
            case Kind.WRITTEN | Kind.ARRIVED:
                if change.path.endswith(b"/" + WATCH_INI):
                    self.inis_changed.add(change.path.rpartition(b"/")[0])
                else:
                    self._settling.pop(change.path, None)
                    self._examine(change.path, now, closed=now)
            case Kind.CHANGED:
                self._changed(change.path, now)
            case Kind.CREATED:
                self._created(change.path, now, clock)
            case Kind.FOLDER:
                self._appeared(change.path)
            case Kind.LEFT:
                self._tree.forget(change.path)
            case Kind.GONE:
                self._left(change.path)
            case Kind.OVERFLOW:
                log.warning("%s: the kernel dropped events, looking everywhere", self.name)
                for root in self.roots.values():
                    self._walk(root, "overflow")

    def _changed(self, path: bytes, now: float) -> None:
        """It was made readable, or touched by name; copying programs do so, too, before they close what they write."""
        known = self._ledger.known(self.name, path)
        if known is not None and known.state not in PENDING and path not in self._settling:
            self._examine(path, now, closed=None)

    def _created(self, path: bytes, now: float, clock: float) -> None:
        """A new file's writer will close it; a link has no writer, so nothing more is told of it."""
        if not is_metafile(path):
            return
        try:
            found = os.lstat(path)
        except OSError:
            return
        if stat.S_ISLNK(found.st_mode) or found.st_nlink > 1:
            self._examine(path, now, closed=now)
        else:
            self._settling[path] = clock + QUIET

    def _examine(self, path: bytes, now: float, closed: float | None) -> None:
        found, root = look(path), nearest_root(path, self.roots)
        if found is None or root is None:
            return
        situation = Situation(self._baseline_before(self.roots[root]), arrived=True)
        known = self._ledger.known(self.name, path)
        verdict = self.sightings.note(root, found, known, situation, now, closed)
        if verdict is Verdict.KEEP and known is not None and known.state == "loaded" and closed is not None:
            log.info("%s: %s is known and unchanged (touch it to load it again)", self.name, printable(path))

    def _appeared(self, folder: bytes) -> None:
        root = self.roots.get(folder)
        if root is not None:
            self._walk(root, "folder")
            return
        top = nearest_root(folder, self.roots)
        if top is not None:
            before = self._baseline_before(self.roots[top])
            self._rounds.appendleft(self._round(top, folder, "folder", Situation(before, arrived=True)))

    def _left(self, folder: bytes) -> None:
        if folder in self.roots:
            self.roots[folder].due = 0.0
        self._tree.forget(folder)
        if os.path.isdir(folder):
            self._appeared(folder)

    # -- walks

    def _baseline_before(self, root: Root) -> int | None:
        return None if root.complete else root.since_ns

    def _round(self, root: bytes, top: bytes, cause: Cause, situation: Situation) -> Round:
        others = frozenset(self.roots.keys() - {root})
        return Round(root, top, cause, situation, others, self.settings.follow_symlinks)

    def _walk(self, root: Root, cause: Cause) -> None:
        """Walk all of `root` soon; one such walk that has not begun is enough."""
        root.due = float("inf")
        if any(planned.whole and planned.root == root.path and not planned.visited for planned in self._rounds):
            return
        situation = Situation(self._baseline_before(root))
        self._rounds.append(self._round(root.path, root.path, cause, situation))

    def walk_all(self, cause: Cause) -> None:
        for root in self.roots.values():
            self._walk(root, cause)

    @property
    def walking(self) -> bool:
        return bool(self._rounds)

    def step(self, now: float, clock: float) -> bool:
        """One small piece of what is due: settle, look for roots, walk; whether there is more to do at once."""
        self._settle(now, clock)
        for root in self.roots.values():
            if root.due <= clock:
                self._look_at(root, clock)
        if not self._rounds:
            return False
        current = self._rounds[0]
        if not current.visited:
            self._worked = 0.0
        began = time.monotonic()
        more = current.step(self._tree, self.sightings, now)
        self._worked += time.monotonic() - began
        if not more:
            self._rounds.popleft()
            self._finish(current, now, clock)
        return bool(self._rounds)

    def due(self) -> float:
        """When (monotonic) `step` has something to do next."""
        if self._rounds:
            return 0.0
        return min([root.due for root in self.roots.values()] + list(self._settling.values()), default=float("inf"))

    def _settle(self, now: float, clock: float) -> None:
        quiet = [path for path, due in self._settling.items() if due <= clock]
        if not quiet:
            return
        with self._ledger.transaction():
            for path in quiet:
                del self._settling[path]
                self._examine(path, now, closed=None)

    def _look_at(self, root: Root, clock: float) -> None:
        if self._silent:
            self._listen()
        if os.path.isdir(root.path):
            if not root.there:
                log.info("%s: %s is there now", self.name, printable(root.path))
            root.there = True
            self._walk(root, "timer")
            return
        root.miss(self.name, clock)

    def _finish(self, done: Round, now: float, clock: float) -> None:
        root = self.roots[done.root]
        if not done.whole:
            if done.limit:
                root.poll(self.name, done.limit)
                root.due = min(root.due, clock + _POLL)
            return
        if not os.path.isdir(root.path):
            root.miss(self.name, clock)
            return
        root.there = True
        if not root.complete:
            self._hear_what_arrived(now, clock)
        done.finish(self.sightings, now)
        self._metrics.walked(done.cause)
        if not root.complete and root.path not in done.unreadable:
            self._complete(root, done)
        elif done.loads and done.cause != "folder":
            log.info("%s: found %d new metafiles in %s", self.name, done.loads, printable(root.path))
        why = self._silent or done.limit or polling_reason(os.path.realpath(root.path), read_mounts())
        root.poll(self.name, why)
        pause, patience = (_POLL, _PATIENCE_DEAF) if root.deaf else (self._interval, _PATIENCE)
        root.due = clock + max(pause, patience * self._worked)

    def _hear_what_arrived(self, now: float, clock: float) -> None:
        """A tree that was moved in while its root was listed for the first time is older than that, and yet new."""
        for _ in range(_QUEUE // EVENTS):
            if not self.hear(now, clock):
                return

    def _complete(self, root: Root, done: Round) -> None:
        with self._ledger.transaction():
            self._ledger.complete_root(self.name, root.path)
        root.complete = True
        if done.baseline:
            log.warning(
                "%s: %d metafiles were in %s before it was watched and are not loaded; to load them: "
                "pyrotorque retry --all",
                *(self.name, done.baseline, printable(root.path)),
            )
        log.info("%s: watching %s (%d folders)", self.name, printable(root.path), len(done.visited))

    @property
    def watches(self) -> int:
        return len(self._tree)

    @property
    def missing(self) -> list[bytes]:
        return [root.path for root in self.roots.values() if not root.there]
