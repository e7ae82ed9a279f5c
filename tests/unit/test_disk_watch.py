"""A disk that becomes full is reported once, also over a restart, and that it has room again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque.configuration import Configuration
from pyrotorque.disk_usage import Disk, DiskUsage
from pyrotorque.events import DiskLow, DiskRecovered, Event, decode
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.outbox import Outbox
from pyrotorque.settings.schema import RTorrentSettings, Settings
from pyrotorque.store import Store, open_store
from pyrotorque_scheduler.disk_watch import DiskLimits, DiskWatch
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.open_problems import OpenProblems
from pyrotorque_scheduler.state import MIGRATIONS
from tests.waiting import eventually

GIB = 1 << 30


class FakeUsage(DiskUsage):
    """One disk of 1000 GiB."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.free, self.hangs = free, False

    def start(self, folders: object) -> bool:
        return not self.hangs

    @property
    def is_measuring(self) -> bool:
        return self.hangs

    def results(self, folders: object) -> list[Disk]:
        return [Disk("/data", 7, self.free, 1000 * GIB)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "scheduler.sqlite3", MIGRATIONS)
    yield opened
    opened.close()


def watch(tmp_path: Path, store: Store, outbox: Outbox, usage: DiskUsage, **settings: float) -> DiskWatch:
    rtorrent = RTorrentSettings(url=None, origin="test")
    made = Settings(digest="", rtorrent=rtorrent, jobs=(), **settings)  # type: ignore[arg-type]
    configuration = Configuration(made, Layout.below(tmp_path), Options(), ())
    return DiskWatch(configuration, OpenProblems(store, EventRouter(store, outbox)), usage)


def look(disks: DiskWatch, now: float) -> None:
    assert disks.is_due(now)
    disks.begin(now)
    disks.report(1000.0 + now)


def events(outbox: Outbox) -> list[Event]:
    return [decode(body).event for body in outbox.since(0)]


def test_a_full_disk_is_reported_once_and_its_end_once(tmp_path: Path, store: Store) -> None:
    outbox, usage = Outbox(store, "scheduler"), FakeUsage(19 * GIB)
    disks = watch(tmp_path, store, outbox, usage)
    for now in (0.0, 60.0, 120.0):
        look(disks, now)
    usage.free = 21 * GIB
    look(disks, 180.0)
    assert len(events(outbox)) == 1, "around the limit nothing is reported"
    usage.free = 30 * GIB
    look(disks, 240.0)
    look(disks, 300.0)
    assert events(outbox) == [
        DiskLow(at=1000.0, mountpoint="/data", free=19 * GIB, size=1000 * GIB),
        DiskRecovered(at=1240.0, mountpoint="/data", free=30 * GIB, size=1000 * GIB, seconds=240.0),
    ]


def test_a_restart_repeats_nothing_and_reports_the_end(tmp_path: Path, store: Store) -> None:
    outbox, usage = Outbox(store, "scheduler"), FakeUsage(GIB)
    look(watch(tmp_path, store, outbox, usage), 0.0)
    look(watch(tmp_path, store, outbox, usage), 60.0)
    assert [type(event) for event in events(outbox)] == [DiskLow]
    usage.free = 500 * GIB
    look(watch(tmp_path, store, outbox, usage), 120.0)
    assert [type(event) for event in events(outbox)] == [DiskLow, DiskRecovered]


def test_no_turn_waits_for_a_disk_that_hangs(tmp_path: Path, store: Store) -> None:
    outbox, usage = Outbox(store, "scheduler"), FakeUsage(GIB)
    usage.hangs = True
    disks = watch(tmp_path, store, outbox, usage)
    look(disks, 0.0)
    assert events(outbox) == []
    usage.hangs = False
    look(disks, 60.0)
    assert len(events(outbox)) == 1


def test_it_can_be_switched_off(tmp_path: Path, store: Store) -> None:
    disks = watch(tmp_path, store, Outbox(store, "scheduler"), FakeUsage(0), disk_free_percent=0)
    assert not disks.is_due(1e9)


def test_the_disks_of_watched_folders_and_state_are_measured(tmp_path: Path, store: Store) -> None:
    outbox = Outbox(store, "scheduler")
    disks = watch(tmp_path, store, outbox, DiskUsage(), disk_free_percent=100.0, disk_free_bytes=1 << 60)

    def reported() -> bool:
        disks.report(1.0)
        return len(events(outbox)) == 1

    disks.begin(0.0)
    eventually(reported, 20)


@pytest.mark.parametrize(
    ("free", "size", "is_low"),
    [(4, 100, True), (6, 100, False), (19, 1000, True), (21, 1000, False), (0, 0, False), (0, 100, True)],
)
def test_a_disk_is_low_below_both_limits(free: int, size: int, is_low: bool) -> None:
    assert DiskLimits(5.0, 20 * GIB).is_low(Disk("/", 1, free * GIB, size * GIB)) is is_low
