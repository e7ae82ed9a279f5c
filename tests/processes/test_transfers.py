"""Real transfers: two rTorrents and a tracker on loopback; tree watch loads, the queue starts, all of it completes."""

import json
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.group import Group
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.private_tracker import PrivateTracker
from pyrotorque.bus import ask
from pyrotorque.layout import Layout
from pyrotorque.requests import PauseJob, ResumeJob
from pyrotorque.rtorrent import RTorrent
from pyrotorque_scheduler.queue.explain import explain_queue
from tests.grouping import torque_ini
from tests.programs import Program
from tests.scheduler_process import Scheduler, bell_of
from tests.scheduling import moment, queue_job, queue_scene_at
from tests.swarms import announced
from tests.waiting import bound, eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("rtorrent_program")]

COUNT = 10
SIZE = 512 * 1024
SLOTS = 2
# Slow enough that items overlap: some two seconds each.
DOWN_RATE = "throttle.global_down.max_rate.set_kb = 400\n"

# rTorrent distinguishes peers by IP address only, and a tracker also sends each peer its own address: two on one
# address mistake each other for themselves.
ANOTHER_ADDRESS = "network.bind_address.set = 127.0.0.2\nnetwork.local_address.set = 127.0.0.2\n"

IN_ORDER = (f"job.queue.downloading_max = {SLOTS}", "job.queue.sort_fields = -name")


@dataclass
class Swarm:
    """Who has everything, who wants it, and the metafiles of what there is."""

    seeder: RTorrent
    leecher: RTorrent
    url: str
    folder: Path
    metafiles: dict[str, bytes] = field(default_factory=dict[str, bytes])


@pytest.fixture
def swarm(rtorrent_program: Program, short_folder: Path) -> Iterator[Swarm]:
    data = short_folder / "data"
    data.mkdir()
    with (
        PrivateTracker(short_folder / "tracker") as tracker,
        PrivateRTorrent(short_folder / "seeder", extra_rc=ANOTHER_ADDRESS) as seeder,
        PrivateRTorrent(short_folder / "leecher", extra_rc=DOWN_RATE + bell_of(short_folder / "config")) as leecher,
    ):
        swarm = Swarm(RTorrent(seeder.url), RTorrent(leecher.url), leecher.url, short_folder)
        for number in range(COUNT):
            content = data / f"item {number}"
            content.write_bytes(os.urandom(SIZE))
            swarm.metafiles[content.name] = make_metafile(content.name, content=content, announce=tracker.url)
        tracker.start(map(info_hash, swarm.metafiles.values()))
        eventually(tracker.answers)
        for metafile in swarm.metafiles.values():
            swarm.seeder.call("load.raw_start", "", metafile, f'd.directory.set="{data}"')
        eventually(lambda: len(swarm.seeder.rows("seeding", ["d.hash="])) == COUNT, 30)
        eventually(lambda: announced(swarm.seeder), 30)
        yield swarm


@dataclass
class Watched:
    """What was seen of the leecher while it downloaded."""

    order: list[str] = field(default_factory=list[str])
    most_at_once: int = 0

    def look(self, swarm: Swarm) -> bool:
        """Take a look; True when everything is complete."""
        rows = swarm.leecher.rows("main", ["d.name=", "d.state=", "d.complete="])
        downloading = [name for name, state, complete in rows if state == "1" and complete == "0"]
        self.order += sorted((name for name, state, _ in rows if state == "1" and name not in self.order), reverse=True)
        self.most_at_once = max(self.most_at_once, len(downloading))
        return sum(complete == "1" for _, _, complete in rows) == COUNT


def test_items_loaded_by_tree_watch_and_started_by_the_queue_complete_in_order(swarm: Swarm) -> None:
    config, watch = swarm.folder / "config", swarm.folder / "watch"
    watch.mkdir()
    layout, seen = Layout.below(config), Watched()
    with Group(config, torque_ini(swarm.url, watch, *IN_ORDER)) as group:
        eventually(lambda: ask(layout, "scheduler", PauseJob(job="queue")).ok, 20)
        for name, metafile in swarm.metafiles.items():
            (watch / f"{name}.torrent").write_bytes(metafile)
        eventually(lambda: swarm.leecher.call("view.size", "", "main") == COUNT, 30)
        assert ask(layout, "scheduler", ResumeJob(job="queue"), bound(5)).ok
        eventually(lambda: seen.look(swarm), 120)
        assert seen.order == sorted(swarm.metafiles, reverse=True)
        assert seen.most_at_once == SLOTS
        published = eventually(lambda: _published(group, "TorrentCompleted"), 30)
        assert len(published) == COUNT
        # The order in the events of the queue, independent of how often we looked.
        assert [json.loads(line)["name"] for line in _published(group, "TorrentStarted")] == seen.order


def test_the_slot_that_a_completed_download_frees_is_filled_at_once_and_not_at_the_next_tick(swarm: Swarm) -> None:
    # Each takes longer than the gap of the schedule, so that a grant is free when it completes.
    swarm.leecher.call("throttle.global_down.max_rate.set_kb", "", 80)
    (swarm.folder / "config").mkdir()
    scheduler = Scheduler(swarm.folder / "config", swarm.leecher)
    scheduler.configure(swarm.url, schedule="second=*/5", downloading_max=1)
    for metafile in list(swarm.metafiles.values())[:3]:
        swarm.leecher.call("load.raw", "", metafile)
    waits: list[float] = []
    with running(scheduler):
        for complete in (1, 2):
            eventually(lambda n=complete: swarm.leecher.call("view.size", "", "complete") == n, 60, interval=0.02)  # type: ignore[misc]
            began = time.monotonic()
            eventually(lambda n=complete: len(scheduler.running()) > n, 20, interval=0.02)  # type: ignore[misc]
            waits.append(time.monotonic() - began)
    assert max(waits) < bound(1.0)


@contextmanager
def running(scheduler: Scheduler) -> Generator[None]:
    scheduler.start()
    try:
        yield
    finally:
        scheduler.end()


def test_nothing_more_is_started_at_max_down_rate(swarm: Swarm) -> None:
    job = queue_job(schedule="second=*", start_at_once=1, max_down_rate=5_000)
    with queue_scene_at(swarm.url, swarm.folder, job) as d:
        for metafile in list(swarm.metafiles.values())[:2]:
            d.rtorrent.call("load.raw", "", metafile)
        eventually(lambda: d.rtorrent.call("view.size", "", "main") == 2)
        assert d.check(at=0).started == 1
        # The rate is an average: it lasts some seconds longer than the transfer.
        eventually(lambda: int(str(d.rtorrent.call("throttle.global_down.rate", ""))) > 5_000, 30)
        assert d.check(at=1).hold.reason == "traffic"
        assert "max_down_rate" in explain_queue(d.queue, moment(2)).text
        eventually(lambda: int(str(d.rtorrent.call("throttle.global_down.rate", ""))) < 5_000, 90, interval=0.5)
        assert d.check(at=3).started == 1


def _published(group: Group, kind: str) -> list[str]:
    """The events of a kind, when all that must come have come."""
    lines = [line for line in group.command("events", "--json").stdout.splitlines() if f'"{kind}"' in line]
    return lines if len(lines) >= COUNT else []
