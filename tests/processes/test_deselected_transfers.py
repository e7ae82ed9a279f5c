"""An item with a deselected file, transferred: its slot, event and move, and then the file is selected again."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.private_tracker import PrivateTracker
from pyrotorque.events import TorrentCompleted, TorrentMoved, decode
from pyrotorque.outbox import stored_events
from pyrotorque.rtorrent import RTorrent
from tests.partial_items import is_partial, load_without
from tests.processes.test_transfers import ANOTHER_ADDRESS
from tests.programs import Program
from tests.scheduler_process import Scheduler, bell_of, scheduler_beside
from tests.swarms import announced, transferred
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("rtorrent_program")]

SIZE = 256 * 1024
FILES = ("a", "b", "c")
SETTINGS = {"schedule": "second=*", "downloading_max": 1, "start_at_once": 1}


def published(scheduler: Scheduler, kind: type[TorrentCompleted] | type[TorrentMoved]) -> list[str]:
    """The items of all events of this kind."""
    found = [decode(body).event for body in stored_events(scheduler.layout.database("scheduler"))]
    return [event.info_hash for event in found if isinstance(event, kind)]


@dataclass
class Transfers:
    """A seed of two items, and a downloader with a scheduler beside it."""

    leecher: PrivateRTorrent
    client: RTorrent
    seeder: RTorrent
    scheduler: Scheduler
    part: str
    following: str
    done: Path

    def events(self, kind: type[TorrentCompleted] | type[TorrentMoved]) -> list[str]:
        """The items of all events of this kind."""
        return published(self.scheduler, kind)

    def published(self, kind: type[TorrentCompleted] | type[TorrentMoved], *items: str) -> None:
        """Until these events are published, and no others."""
        try:
            eventually(lambda: sorted(self.events(kind)) == sorted(items), 60)
        except AssertionError as error:
            error.add_note(f"{kind.__name__}: {self.events(kind)}\n{self.scheduler.log()[-3000:]}")
            raise

    def value(self, command: str, item: str) -> object:
        return self.client.call(command, item)

    def wait(self, command: str, item: str, why: str) -> None:
        """Until rTorrent answers 1."""
        transferred(lambda: self.value(command, item) == 1, self.client, self.seeder, why=why)


@pytest.fixture
def transfers(rtorrent_program: Program, short_folder: Path) -> Iterator[Transfers]:
    data, config, done = short_folder / "data", short_folder / "config", short_folder / "done"
    (data / "part").mkdir(parents=True)
    config.mkdir()
    done.mkdir()
    for name in (*(f"part/{file}" for file in FILES), "next"):
        (data / name).write_bytes(os.urandom(SIZE))
    with (
        PrivateTracker(short_folder / "tracker") as tracker,
        PrivateRTorrent(short_folder / "seeder", extra_rc=ANOTHER_ADDRESS) as seeder,
        PrivateRTorrent(short_folder / "leecher", extra_rc=bell_of(config)) as leecher,
    ):
        part, following = (make_metafile(name, content=data / name, announce=tracker.url) for name in ("part", "next"))
        tracker.start([info_hash(part), info_hash(following)])
        eventually(tracker.answers)
        seeding, client = RTorrent(seeder.url), RTorrent(leecher.url)
        for metafile in (part, following):
            seeding.call("load.raw_start", "", metafile, f'd.directory.set="{data}"')
        eventually(lambda: len(seeding.rows("seeding", ["d.hash="])) == 2, 30)
        eventually(lambda: announced(seeding), 30, why="the downloader asks the tracker only once")
        scheduler = Scheduler(config, client)
        scheduler.configure(leecher.url, **SETTINGS)
        with (config / "torque.ini").open("a") as file:
            file.write(
                "\njob.move.handler = pyrotorque.jobs.mover:Mover\njob.move.schedule = minute=*\n"
                f"job.move.on = TorrentCompleted\njob.move.target = {done}\njob.move.below = {done}\n"
            )
        for number, metafile in enumerate((part, following)):
            client.call("load.raw", "", metafile, f"d.custom.set=tm_loaded,{1_000_000 + number}")
        eventually(lambda: client.call("view.size", "", "main") == 2)
        try:
            yield Transfers(leecher, client, seeding, scheduler, info_hash(part), info_hash(following), done)
        finally:
            if scheduler.process is not None and scheduler.process.poll() is None:
                scheduler.end()


def select(transfers: Transfers, file: str, priority: int) -> None:
    place = f"{transfers.part}:f{FILES.index(file)}"
    transfers.client.multicall([("f.priority.set", (place, priority)), ("d.update_priorities", (transfers.part,))])


def test_what_is_done_at_once_after_the_very_first_start_is_published(
    real: PrivateRTorrent, short_folder: Path
) -> None:
    """Its data is there already. What is done before the very first look is stored without an event."""
    client = RTorrent(real.url)
    item = load_without(client, real.downloads, "part", "b", start=False)
    with scheduler_beside(real, short_folder, schedule="second=*") as scheduler:
        scheduler.start()
        eventually(lambda: is_partial(client, item), 30)
        eventually(lambda: published(scheduler, TorrentCompleted) == [item], 40, why=scheduler.log())


def test_slot_event_mover_and_the_file_selected_again(transfers: Transfers) -> None:
    t = transfers
    select(t, "b", 0)
    t.scheduler.start()
    t.wait("d.is_partially_done", t.part, "the other files are transferred")
    assert t.value("d.complete", t.part) == 0, "rTorrent itself never completes it"
    t.wait("d.complete", t.following, "the only slot was free for the next item")
    t.published(TorrentCompleted, t.part, t.following)
    t.published(TorrentMoved, t.part, t.following)
    for file in ("a", "c"):
        assert (t.done / "part" / file).read_bytes() == (t.leecher.folder.parent / "data/part" / file).read_bytes()
    eventually(lambda: t.value("d.is_active", t.part) == 1, 60, why="it seeds what it has")

    select(t, "b", 1)
    assert t.value("d.is_partially_done", t.part) == 0
    # rTorrent does not connect to a peer again for ten minutes, but does after a restart.
    t.leecher.stop(timeout=20)
    t.leecher.start()
    t.wait("d.complete", t.part, "the file selected again is transferred")
    t.published(TorrentCompleted, t.part, t.following, t.part)
    assert (t.done / "part/b").read_bytes() == (t.leecher.folder.parent / "data/part/b").read_bytes()
    assert t.events(TorrentMoved).count(t.part) == 1, "it is there already"
