"""The kernel's events are handled in their order, except that new files do not wait behind thousands of others."""

from collections.abc import Iterable
from typing import Any

from pyrotorque_watcher.scan.backlog import EventBacklog
from pyrotorque_watcher.scan.inotify import ChangeKind, InotifyChange


class Kernel:
    """Returns these changes at the next read."""

    def __init__(self) -> None:
        self.changes: list[InotifyChange] = []

    def read(self, limit: int) -> list[InotifyChange]:
        found, self.changes = self.changes, []
        return found


def filled(changes: Iterable[InotifyChange]) -> EventBacklog:
    kernel: Any = Kernel()
    kernel.changes = list(changes)
    backlog = EventBacklog(kernel)
    backlog.fill(1 << 20)
    return backlog


def written(number: int) -> InotifyChange:
    return InotifyChange(ChangeKind.WRITTEN, b"/w/%d.torrent" % number)


def all_of(backlog: EventBacklog) -> list[InotifyChange]:
    found: list[InotifyChange] = []
    while len(backlog):
        found += backlog.take_newest() + backlog.take(64)
    return found


def test_few_changes_are_handled_in_their_order() -> None:
    changes = [written(number) for number in range(100)]
    assert all_of(filled(changes)) == changes


def test_the_newest_files_of_a_burst_are_handled_first_and_each_once() -> None:
    changes = [written(number) for number in range(5000)]
    backlog = filled(changes)
    first = backlog.take_newest() + backlog.take(64)
    assert first[0] == changes[-1]
    assert changes[0] in first
    rest = all_of(backlog)
    assert sorted(first + rest) == sorted(changes)


def test_changes_of_folders_stay_in_their_order() -> None:
    folders = [InotifyChange(kind, b"/w/a") for kind in (ChangeKind.FOLDER, ChangeKind.LEFT, ChangeKind.GONE)] * 100
    assert all_of(filled(folders)) == folders


def test_a_file_that_was_created_and_written_is_one_change() -> None:
    created = InotifyChange(ChangeKind.CREATED, b"/w/1.torrent")
    assert all_of(filled([created, written(1), created, written(2)])) == [written(1), created, written(2)]


def test_a_file_is_renamed_where_it_left_from_a_watched_folder() -> None:
    left = InotifyChange(ChangeKind.FILE_LEFT, b"/w/x.part.torrent", 7)
    here, elsewhere = (InotifyChange(ChangeKind.ARRIVED, b"/w/y.torrent", cookie) for cookie in (7, 8))
    kinds = [change.kind for change in all_of(filled([left, here, here, elsewhere]))]
    assert kinds == [ChangeKind.RENAMED, ChangeKind.ARRIVED, ChangeKind.ARRIVED]


def test_a_rename_behind_a_burst_is_still_a_rename() -> None:
    left = InotifyChange(ChangeKind.FILE_LEFT, b"/w/x.torrent", 7)
    here = InotifyChange(ChangeKind.ARRIVED, b"/w/y.torrent", 7)
    assert filled([*map(written, range(500)), left, here]).take_newest()[0].kind is ChangeKind.RENAMED


def test_dropped_events_are_reported_before_all_others() -> None:
    dropped = InotifyChange(ChangeKind.OVERFLOW, b"")
    backlog = filled([*map(written, range(100)), dropped])
    assert backlog.take(1) == [dropped]


def test_too_many_changes_become_one_overflow() -> None:
    assert all_of(filled(map(written, range(100_001)))) == [InotifyChange(ChangeKind.OVERFLOW, b"")]
