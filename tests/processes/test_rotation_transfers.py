"""Stall rotation with real transfers: items without seeds do not keep those with seeds from completing."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.private_tracker import PrivateTracker
from pyrotorque.linux.processes import boot_id
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import QueueSettings
from pyrotorque_scheduler.queue.model import current_instant
from tests.processes.test_transfers import ANOTHER_ADDRESS
from tests.programs import Program
from tests.scheduling import QueueScene, queue_job, queue_scene_at
from tests.swarms import announced
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("rtorrent_program")]

SIZE = 128 * 1024
STALL_AFTER = 4.0


@dataclass
class Scene:
    """Items with and without seeds: the info-hashes of the living and of the dead ones."""

    leecher: PrivateRTorrent
    folder: Path
    metafiles: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def of(self, kind: str) -> set[str]:
        return {info_hash(metafile) for name, metafile in self.metafiles.items() if name.startswith(kind)}


def scene(
    folder: Path, seeder: PrivateRTorrent, leecher: PrivateRTorrent, tracker: PrivateTracker, dead: int, living: int
) -> Scene:
    """Everything is announced to the tracker; only the living items have a seed."""
    made, data = Scene(leecher, folder), folder / "data"
    data.mkdir()
    names = [*(f"dead {n}" for n in range(dead)), *(f"living {n}" for n in range(living))]
    for name in names:
        (data / name).write_bytes(os.urandom(SIZE))
        made.metafiles[name] = make_metafile(name, content=data / name, announce=tracker.url)
    tracker.start(map(info_hash, made.metafiles.values()))
    eventually(tracker.answers)
    client = RTorrent(seeder.url)
    for name, metafile in made.metafiles.items():
        if name.startswith("living"):
            client.call("load.raw_start", "", metafile, f'd.directory.set="{data}"')
    eventually(lambda: client.call("view.size", "", "seeding") == living, 30)
    eventually(lambda: announced(client), 30)
    return made


@pytest.fixture
def programs(
    rtorrent_program: Program, short_folder: Path
) -> Iterator[tuple[PrivateRTorrent, PrivateRTorrent, PrivateTracker]]:
    with (
        PrivateTracker(short_folder / "tracker") as tracker,
        PrivateRTorrent(short_folder / "seeder", extra_rc=ANOTHER_ADDRESS) as seeder,
        PrivateRTorrent(short_folder / "leecher") as leecher,
    ):
        yield seeder, leecher, tracker


def job(slots: int, stall_after: float) -> QueueSettings:
    return queue_job(
        downloading_max=slots, start_at_once=slots, schedule="second=*", stall_after=stall_after, stall_grace=0.0
    )


def load(d: QueueScene, made: Scene) -> None:
    for number, metafile in enumerate(made.metafiles.values()):
        d.rtorrent.call("load.raw", "", metafile, f"d.custom.set=tm_loaded,{1_000_000 + number}")
    eventually(lambda: d.rtorrent.call("view.size", "", "main") == len(made.metafiles), 30)


def complete(d: QueueScene) -> set[str]:
    return {made for made, done in d.rtorrent.rows("main", ["d.hash=", "d.complete="]) if done == "1"}


def check(d: QueueScene, slots: int) -> None:
    """One check as the service runs it."""
    d.queue.check(current_instant(boot_id()), "tick")
    starter = d.job_table.starter
    assert starter is not None
    starter.verify(time.monotonic())
    running = d.rtorrent.rows("main", ["d.state=", "d.complete="])
    assert sum(state == "1" and done == "0" for state, done in running) <= slots


def test_all_items_with_seeds_complete_beside_items_without(
    programs: tuple[PrivateRTorrent, PrivateRTorrent, PrivateTracker], short_folder: Path
) -> None:
    seeder, leecher, tracker = programs
    made = scene(short_folder, seeder, leecher, tracker, dead=8, living=12)
    living = made.of("living")
    with queue_scene_at(leecher.url, short_folder, job(3, 0.0)) as d:
        load(d, made)
        end = time.monotonic() + 2 * STALL_AFTER
        while time.monotonic() < end:
            check(d, 3)
            time.sleep(0.5)
        assert complete(d) == set(), "without rotation three dead items hold all slots"
    with queue_scene_at(leecher.url, short_folder, job(3, STALL_AFTER)) as d:

        def all_complete() -> bool:
            check(d, 3)
            return complete(d) >= living

        eventually(all_complete, 150, interval=0.5)
        assert complete(d) == living
        parked = [record for record in d.job_table.history.latest(500) if record.verdict == "stalled"]
        assert {record.info_hash for record in parked} <= made.of("dead"), "no item that made progress"
        assert len(parked) == len({record.info_hash for record in parked}), "none twice within stall_retry"


def test_a_hash_check_elsewhere_does_not_keep_dead_items_in_their_slots(
    programs: tuple[PrivateRTorrent, PrivateRTorrent, PrivateTracker], short_folder: Path
) -> None:
    seeder, leecher, tracker = programs
    made = scene(short_folder, seeder, leecher, tracker, dead=5, living=5)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as other,
        queue_scene_at(leecher.url, short_folder, job(5, STALL_AFTER)) as d,
    ):
        if os.stat(other).st_dev == os.stat(short_folder).st_dev:
            pytest.skip("needs two disks")
        checked = Path(other) / "checked"
        checked.write_bytes(os.urandom(64 << 20))
        metafile = make_metafile("checked", content=checked, piece_length=1 << 20)
        load(d, made)
        d.rtorrent.call("load.raw", "", metafile, f'd.directory.set="{other}"', "d.priority.set=0")
        item = info_hash(metafile)
        eventually(lambda: d.rtorrent.call("view.size", "", "main") == 11)

        def all_complete() -> bool:
            if d.rtorrent.call("d.hashing", item) == 0:
                d.rtorrent.call("d.check_hash", item)
            check(d, 5)
            return complete(d) >= made.of("living")

        eventually(all_complete, 120, interval=0.3)
        with suppress(Exception):
            d.rtorrent.call("d.erase", item)
