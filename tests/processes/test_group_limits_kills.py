"""Limits per group over 200 starts: scheduler and rTorrent are killed, and no limit is exceeded at any moment."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentError
from pyrotorque.rtorrent import Call, RTorrent
from tests.cleaning import SILENT
from tests.scheduler_process import Scheduler, scheduler_beside
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.either_rtorrent(reason="it is about our processes: starts are tested with both"),
]

STARTS = 200
GROUPS = {"one": 2, "two": 2, "three": 3, "four": 1}  # three and four have limits of their own
SLOTS = 6
KILL_EVERY = 15  # starts


@dataclass
class Sampler:
    """Reads which items are started, as often as rTorrent answers: also between two steps of the scheduler."""

    rtorrent: RTorrent
    started: set[str] = field(default_factory=set[str])
    samples: int = 0
    most: Counter[str] = field(default_factory=Counter[str])
    too_many: list[str] = field(default_factory=list[str])
    running: list[str] = field(default_factory=list[str])
    ended: bool = False

    def run(self) -> None:
        while not self.ended:
            try:
                rows = self.rtorrent.rows("main", ["d.hash=", "d.state=", "d.custom1="])
            except RTorrentError:
                time.sleep(0.005)
                continue
            self._look([(row[0], row[2]) for row in rows if row[1] == "1"])

    def _look(self, found: list[tuple[str, str]]) -> None:
        self.samples += 1
        self.running = [item for item, _ in found]
        self.started.update(self.running)
        for group, count in {**Counter(label for _, label in found), "all": len(found)}.items():
            self.most[group] = max(self.most[group], count)
            if count > GROUPS.get(group, SLOTS):
                self.too_many.append(f"{group}: {count}")


@contextmanager
def sampling(url: str) -> Generator[Sampler]:
    sampler = Sampler(RTorrent(url))
    thread = threading.Thread(target=sampler.run, daemon=True)
    thread.start()
    try:
        yield sampler
    finally:
        sampler.ended = True
        thread.join(bound(20))


def load(client: RTorrent, count: int) -> set[str]:
    """Stopped items of all groups in turn."""
    loaded: list[tuple[str, bytes]] = []
    for number, label in zip(range(count), itertools.cycle(GROUPS), strict=False):
        loaded.append((label, make_metafile(f"item {number}", announce=SILENT)))
    for begin in range(0, count, 50):
        batch = enumerate(loaded[begin : begin + 50], begin)
        calls: list[Call] = []
        for number, (label, metafile) in batch:
            stamp = f"d.custom.set=tm_loaded,{1_000_000 + number}"
            calls.append(("load.raw", ("", metafile, f"d.custom1.set={label}", stamp)))
        client.multicall(calls)
    eventually(lambda: client.call("view.size", "", "main") == count, 30)
    client.multicall([("d.save_full_session", (info_hash(torrent),)) for _, torrent in loaded])
    return {info_hash(torrent) for _, torrent in loaded}


def test_200_starts_with_kills_never_exceed_a_limit(real: PrivateRTorrent, short_folder: Path) -> None:
    limits = {f"group_max.{group}": count for group, count in GROUPS.items() if count != 2}
    settings = {"schedule": "second=*", "start_at_once": SLOTS, "downloading_max": SLOTS, "downloading_min": 0}
    client = RTorrent(real.url)
    with scheduler_beside(real, short_folder, **settings, group_by="custom_1", group_max=2, **limits) as scheduler:
        items = load(client, STARTS)
        saved = real.session
        eventually(lambda: len(list(saved.glob("*.torrent.rtorrent"))) >= STARTS, 30)
        scheduler.start()
        kills: Counter[str] = Counter()
        erased: set[str] = set()
        with sampling(real.url) as sampler:
            while len(erased) < STARTS:
                _complete_some(client, scheduler, sampler, erased)
                if len(erased) >= KILL_EVERY * (sum(kills.values()) + 1) and len(erased) < STARTS:
                    _kill(scheduler, real, kills)
                eventually(
                    lambda: set(sampler.running) - erased or len(erased) == STARTS, 60, why=scheduler.log()[-3000:]
                )
            assert sampler.too_many == []
        assert sampler.started == items
        assert sampler.samples > STARTS, "it was read often enough to see what is between"
        assert (sampler.most["all"], sampler.most["one"], sampler.most["four"]) == (SLOTS, 2, 1), "they were reached"
        assert min(kills.values()) >= 6
        eventually(lambda: len(scheduler.started()) == STARTS, 20)
        assert set(scheduler.started()) == items, "each published once"


def _complete_some(client: RTorrent, scheduler: Scheduler, sampler: Sampler, erased: set[str]) -> None:
    """Half of the running items end, and free their slots. An item that is erased before has no event of its start."""
    running = sorted(set(sampler.running).intersection(scheduler.started()) - erased)
    for item in running[: len(running) // 2 + 1]:
        try:
            client.call("d.erase", item)
        except RTorrentError:
            continue
        erased.add(item)


def _kill(scheduler: Scheduler, real: PrivateRTorrent, kills: Counter[str]) -> None:
    """The one or the other in turn; in both cases starts are under way."""
    if kills["scheduler"] <= kills["rtorrent"]:
        kills["scheduler"] += 1
        scheduler.end()
        scheduler.start()
    else:
        kills["rtorrent"] += 1
        real.kill()
        real.start()
