"""The scan stage of one job: takes the kernel's events and the walks of its roots to the ledger; loads nothing."""

import logging
import os
import stat
from collections.abc import Sequence
from typing import Final

from pyrotorque.settings.schema import WatchSettings
from pyrotorque.text import printable
from pyrotorque.watchroots import WatchRoot, WatchRoots, roots_of
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.metrics import WatcherMetrics
from pyrotorque_watcher.rows import PENDING, Sighting
from pyrotorque_watcher.scan.backlog import EventBacklog
from pyrotorque_watcher.scan.files import WATCH_INI, inspect, is_companion, is_metafile, is_watched, nearest_root
from pyrotorque_watcher.scan.inotify import ChangeKind, InotifyChange, InotifyTree
from pyrotorque_watcher.scan.reconcile import FileEvent, Reconciler, Situation, Verdict
from pyrotorque_watcher.scan.roots import RootWalks, WatchedRoot

log = logging.getLogger(__name__)

# A new file without an event of its writer's close is examined when it did not change for so many seconds.
_QUIET: Final = 2.0
_BEHIND: Final = 1000  # changes that wait
_CHANGES: Final = 64  # handled at a time, so that loading continues in between
_KERNEL_MAX: Final = 1 << 20  # bytes of events read at a time: more than the kernel keeps
_FIRST_CHANGES_MAX: Final = 16384
_EVENTS: Final = {
    ChangeKind.WRITTEN: FileEvent.WRITTEN,
    ChangeKind.ARRIVED: FileEvent.ARRIVED,
    ChangeKind.RENAMED: FileEvent.RENAMED,
}


class TreeScanner:
    """Keeps the ledger equal to the trees of one job."""

    def __init__(
        self,
        settings: WatchSettings,
        ledger: Ledger,
        metrics: WatcherMetrics,
        *,
        interval: float,
        all_roots: WatchRoots | None = None,
        left_out: Sequence[bytes] = (),
    ) -> None:
        """`settings` are without the roots in `left_out`, whose filesystem does not answer."""
        self.settings = settings
        self._all_roots = all_roots or WatchRoots(roots_of(settings))
        self.name = settings.name
        self._left_out = left_out
        self._ledger = ledger
        self._metrics = metrics
        self._inotify = InotifyTree(is_watched)
        self._backlog = EventBacklog(self._inotify)
        self._reconciler = Reconciler(settings.name, ledger)
        self._walks = RootWalks(
            self.name,
            self._reconciler,
            self._inotify,
            metrics,
            interval,
            settings.follow_symlinks,
            self._all_roots,
            self._receive_pending,
        )
        self._unsettled: dict[bytes, float] = {}
        """New files, and when (monotonic) each is examined if no event reports that its writer closed it."""
        self._changed_inis: set[bytes] = set()

    # -- begin and end

    def open(self, since_ns: int) -> None:
        """Begin to watch. In roots that the ledger does not know, files older than `since_ns` are baseline."""
        paths = [root.path for root in roots_of(self.settings)]
        with self._ledger.transaction():
            for path in paths:
                self._ledger.add_root(self.name, path, since_ns)
        self._inotify.open_if_possible()
        self._walks.open(paths)

    def close(self) -> None:
        self._inotify.close()
        self._backlog.clear()

    def fileno(self) -> int:
        """Readable when there are events; negative without inotify."""
        return self._inotify.fileno()

    # -- state

    @property
    def roots(self) -> dict[bytes, WatchedRoot]:
        return self._walks.roots

    @property
    def watches(self) -> int:
        """How many folders have an inotify watch."""
        return len(self._inotify)

    @property
    def is_behind(self) -> bool:
        """Whether so many changes wait that files would wait for seconds."""
        return len(self._backlog) > _BEHIND

    @property
    def missing(self) -> list[bytes]:
        return [*self._left_out, *(root.path for root in self.roots.values() if not root.there)]

    @property
    def walking(self) -> bool:
        return self._walks.walking

    def take_changed_inis(self) -> list[bytes]:
        """The folders whose watch.ini was written since the last call."""
        changed = sorted(self._changed_inis)
        self._changed_inis.clear()
        return changed

    # -- walks

    def step(self, now: float, clock: float) -> bool:
        """One small piece of what is due: new files without a writer, walks; whether there is more to do at once."""
        self._examine_unsettled(now, clock)
        return self._walks.step(now, clock)

    def mounts_changed(self) -> None:
        """Something was mounted or unmounted on this machine: roots that show other files now are due."""
        self._walks.mounts_changed()

    def due(self) -> float:
        """When (monotonic) `step` has something to do next."""
        return min([self._walks.due(), *self._unsettled.values()])

    # -- requests

    def examine_again(self, path: bytes, now: float) -> bool:
        """Load the metafile at `path`, whatever the ledger has about it; False if none is there in these trees."""
        if (at := self._below_root(path)) is None:
            return False
        root, path = at
        try:
            found = inspect(path)
        except OSError:
            return False
        known = self._ledger.known(self.name, path)
        if found is None or (known is None and not is_metafile(path)):
            return False
        if known is not None and known.state in PENDING:
            self._ledger.wake(self.name, path)
        else:
            self._ledger.add(self.name, root, found, now, Sighting(now, settled=False))
        return True

    def walk_again(self, folder: bytes, clock: float) -> bool:
        """Compare this folder with the ledger; False if it is not one in these trees."""
        at = self._below_root(folder)
        if at is None or not os.path.isdir(folder):
            return False
        self._walks.walk_soon(at[0], clock, 0.0)
        return True

    def _below_root(self, path: bytes) -> tuple[bytes, bytes] | None:
        """The root that holds `path`, and `path` as the ledger spells it: links to folders may lead to it."""
        root = nearest_root(path, self.roots)
        if root is not None:
            return root, path
        real_roots = {os.path.realpath(root): root for root in self.roots}
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        real_root = nearest_root(real, real_roots)
        return None if real_root is None else (real_roots[real_root], real_roots[real_root] + real[len(real_root) :])

    # -- events

    def receive_events(self, now: float, clock: float, count: int = _CHANGES, kernel_limit: int = _KERNEL_MAX) -> bool:
        """Read the kernel's events and record about `count` changes; whether there were any. `now` is Unix time,
        `clock` monotonic."""
        received = self._backlog.fill(kernel_limit)
        if self.settings.trace_inotify:
            for change in received:
                log.info("%s: inotify %s %s", self.name, change.kind.name.lower(), printable(change.path))
        newest = self._backlog.take_newest() if received else []
        changes = self._backlog.take(count)
        if changes:
            with self._ledger.transaction():
                with self._ledger.urgent():
                    for change in newest:
                        self._receive(change, now, clock)
                for change in changes:
                    self._receive(change, now, clock)
        if self._inotify.events:
            self._metrics.events_received(self._inotify.events, now)
            self._inotify.events.clear()
        return bool(changes or received)

    def _receive_pending(self, now: float, clock: float) -> None:
        for _ in range(_FIRST_CHANGES_MAX // _CHANGES):
            if not self.receive_events(now, clock):
                return

    def _receive(self, change: InotifyChange, now: float, clock: float) -> None:
        match change.kind:
            case ChangeKind.WRITTEN | ChangeKind.ARRIVED | ChangeKind.RENAMED:
                if change.path.endswith(b"/" + WATCH_INI):
                    self._changed_inis.add(change.path.rpartition(b"/")[0])
                else:
                    self._unsettled.pop(change.path, None)
                    self._examine(change.path, now, clock, _EVENTS[change.kind])
            case ChangeKind.CHANGED if change.path.endswith(b"/" + WATCH_INI):
                self._changed_inis.add(change.path.rpartition(b"/")[0])  # who may write it counts
            case ChangeKind.CHANGED:
                self._attributes_changed(change.path, now, clock)
            case ChangeKind.CREATED:
                self._created(change.path, now, clock)
            case ChangeKind.FOLDER:
                if not is_companion(change.path.rpartition(b"/")[2]):
                    self._walks.walk_folder(change.path)
            case ChangeKind.LEFT:
                self._inotify.forget(change.path)
                self._ledger.mark_folder_gone(self.name, change.path, now)
            case ChangeKind.FILE_LEFT:
                pass  # its new name, or a walk, shows what became of it
            case ChangeKind.GONE:
                self._folder_gone(change.path)
            case ChangeKind.OVERFLOW:
                log.warning("%s: inotify queue overflow; rescanning all roots", self.name)
                self._walks.walk_all("overflow")

    def _attributes_changed(self, path: bytes, now: float, clock: float) -> None:
        """It was made readable, or touched by name; copying programs do that, too, before they close the file."""
        known = self._ledger.known(self.name, path)
        if known is None or path in self._unsettled:
            return
        if known.state in PENDING:
            self._ledger.wake(self.name, path)
        else:
            self._examine(path, now, clock, FileEvent.NONE)

    def _created(self, path: bytes, now: float, clock: float) -> None:
        """The writer of a new file will close it; a link has no writer, so no further event follows."""
        if not is_metafile(path):
            return
        try:
            found = os.lstat(path)
        except OSError:
            return
        if stat.S_ISLNK(found.st_mode) or found.st_nlink > 1:
            self._examine(path, now, clock, FileEvent.ARRIVED)
        else:
            self._unsettled[path] = clock + _QUIET

    def _folder_gone(self, folder: bytes) -> None:
        if root := self.roots.get(folder):
            root.due = 0.0
        self._inotify.forget(folder)
        if os.path.isdir(folder):
            self._walks.walk_folder(folder, arrived=False)

    # -- files

    def _examine_unsettled(self, now: float, clock: float) -> None:
        quiet = [path for path, due in self._unsettled.items() if due <= clock]
        if not quiet:
            return
        with self._ledger.transaction():
            for path in quiet:
                del self._unsettled[path]
                self._examine(path, now, clock, FileEvent.NONE)

    def _examine(self, path: bytes, now: float, clock: float, event: FileEvent) -> None:
        root = nearest_root(path, self.roots)
        if root is None or not self._all_roots.owns(WatchRoot(self.name, root), path.rpartition(b"/")[0]):
            return
        try:
            found = inspect(path)
        except OSError:
            self._walks.walk_soon(root, clock)
            return
        if found is None:
            return
        situation = Situation(self.roots[root].baseline_before, arrived=True, event=event)
        known = self._ledger.known(self.name, path)
        closed = None if event is FileEvent.NONE else now
        verdict = self._reconciler.reconcile(root, found, known, situation, now, closed)
        if verdict is Verdict.KEEP and known is not None and closed is not None and known.state in PENDING:
            self._ledger.mark_closed(self.name, path, closed)
