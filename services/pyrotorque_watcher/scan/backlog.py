"""Keeps the kernel's events until they are handled: in their order, but a new file does not wait behind thousands."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from pyrotorque_watcher.scan.inotify import ChangeKind, InotifyChange, InotifyTree

_RENAMES_MAX: Final = 1000  # of which the second event may still come
_IN_ORDER: Final = 128  # with at most so many changes, all are handled in their order
_NEWEST: Final = 8  # files that are handled before the others at a time
_SEARCHED: Final = 32  # changes among which these are searched
_CHANGES_MAX: Final = 100_000  # about 20 MB; with more, the trees are walked instead

_FILES: Final = (ChangeKind.WRITTEN, ChangeKind.ARRIVED, ChangeKind.RENAMED)


class EventBacklog:
    """The changes of one inotify instance that are not handled yet.

    The kernel drops events when 16,384 of them wait, so they are read at once and handled later. Each change is only a
    reason to examine a path: the order matters for folders, but not between files.
    """

    def __init__(self, inotify: InotifyTree) -> None:
        self._inotify = inotify
        self._changes: deque[InotifyChange] = deque()
        self._left: dict[int, None] = {}
        """The cookies of files that were moved away, in this order."""

    def __len__(self) -> int:
        return len(self._changes)

    def clear(self) -> None:
        self._changes.clear()

    def fill(self, limit: int) -> Sequence[InotifyChange]:
        """Read at most `limit` bytes of events from the kernel; the changes."""
        changes = self._inotify.read(limit)
        for change in changes:
            self._add(change)
        if len(self._changes) > _CHANGES_MAX:
            self._changes.clear()
            self._changes.append(InotifyChange(ChangeKind.OVERFLOW, b""))
        return changes

    def _add(self, change: InotifyChange) -> None:
        if change.kind is ChangeKind.OVERFLOW:
            self._changes.appendleft(change)
        elif change.kind is ChangeKind.FILE_LEFT:
            self._left[change.cookie] = None
            if len(self._left) > _RENAMES_MAX:
                del self._left[next(iter(self._left))]
        elif change.kind is ChangeKind.ARRIVED and change.cookie in self._left:
            del self._left[change.cookie]
            self._changes.append(change._replace(kind=ChangeKind.RENAMED))
        else:
            if change.kind is ChangeKind.WRITTEN and self._changes and self._changes[-1] == _created(change.path):
                self._changes.pop()
            self._changes.append(change)

    def take(self, count: int) -> list[InotifyChange]:
        """Remove the first `count` changes."""
        return [self._changes.popleft() for _ in range(min(count, len(self._changes)))]

    def take_newest(self) -> list[InotifyChange]:
        """Remove some of the newest files, if there are many changes: they are handled before the others."""
        if len(self._changes) <= _IN_ORDER:
            return []
        last = enumerate(islice(reversed(self._changes), _SEARCHED))
        places = [place for place, change in last if change.kind in _FILES][:_NEWEST]
        taken = [self._changes[-1 - place] for place in places]
        for place in reversed(places):
            del self._changes[-1 - place]
        return taken


def _created(path: bytes) -> InotifyChange:
    return InotifyChange(ChangeKind.CREATED, path)
