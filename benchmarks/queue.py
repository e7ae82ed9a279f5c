"""One check of the queue at 10,000 stopped items: beside the plain packed call, rTorrent's own cost, and pyrosimple."""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, processor_of, show
from benchmarks.filled import fill, fill_complete, scratch
from demo.group import REPOSITORY
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.conditions import parse
from pyrotorque.items import ItemReader
from pyrotorque.rtorrent import RTorrent
from tests.scheduling import moment, queue_job, queue_scene

PYROSIMPLE = REPOSITORY / ".venv-pyrosimple" / "bin" / "python"
# What a check needs to know of each item, as the fields of one plain packed call.
FIELDS = (
    *("d.hash=", "d.name=", "d.priority=", "d.custom=tm_loaded", "d.load_date=", "d.is_open=", "d.is_active="),
    *("d.complete=", "d.ignore_commands=", "d.completed_chunks=", "d.size_chunks=", "d.message="),
)
PRIORITIES = "greater=d.priority=,value=3"
_FILES = 5
MATCHER = "is_complete=no is_ignored=no is_open=no prio>0"


def measure(count: int = 10_000, runs: int = 9) -> list[Figure]:
    """One row for a check that finds everything, and one for each of the cheap ways to find nothing to do."""
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill(rtorrent, count)
        found = _found(folder, rtorrent, runs, count)
        figures = [found, _by_priority(folder, rtorrent, runs), *_grouped(folder, rtorrent, runs, count)]
        figures.append(_rotation(folder, rtorrent, runs))
        figures += [_cheap(what, folder, rtorrent, runs, change) for what, change in CHEAP.items()]
        nothing = their_check(rtorrent, runs // 3, "is_complete=no is_open=no prio>3", 50_000)
        figures.append(Figure("pyrosimple: nothing startable", "", f"{nothing * 1e3:.0f} ms"))
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill_complete(rtorrent, count)
        fill(rtorrent, 20)
        figures.append(_mostly_complete(folder, rtorrent, runs, count))
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill(rtorrent, count, files=_FILES)
        figures += _never_opened(folder, rtorrent, max(runs // 3, 1), count)
    return figures


def _never_opened(folder: Path, rtorrent: PrivateRTorrent, runs: int, count: int) -> list[Figure]:
    """rTorrent 0.9.8 knows only from the files of such items what is wanted of them, a call for each item."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    client.multicall([("f.priority.set", (f"{row[0]}:f0", 0)) for row in client.rows("main", ["d.hash="])[:1000]])
    figures: list[Figure] = []
    for what, more in (("", {}), (", min_free = 1g", {"min_free": 1 << 30})):
        with _checking(folder, rtorrent, downloading_max=50_000, **more) as check:
            (ours,) = _timed([check], runs, rtorrent.pid)
        title = f"check with {count} startable items of {_FILES} files, never opened{what}"
        figures.append(Figure(title, str(ours)))
    with _checking(folder, rtorrent, downloading_max=50_000, startable="has_room=yes prio>0") as check:
        (ours,) = _timed([check], runs, rtorrent.pid)
    figures.append(Figure(f"the same, startable = has_room=yes: {count} lists of files are read", str(ours)))
    reader = ItemReader(client)
    with_left = _timed([lambda: reader.read("main", parse("left>0"), ("name",), time.time())], runs, rtorrent.pid)[0]
    plain = _timed([lambda: reader.read("main", None, ("name", "size"), time.time())], runs, rtorrent.pid)[0]
    figures.append(Figure(f"select left>0, {count} such items", str(with_left), f"without `left`: {plain}"))
    return figures


def _found(folder: Path, rtorrent: PrivateRTorrent, runs: int, count: int) -> Figure:
    """The plain call and the check take turns: the caches are as cold for the one as for the other."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    with _checking(folder, rtorrent, downloading_max=50_000) as check:
        plain, ours = _timed([lambda: client.rows("main", FIELDS), check], runs, rtorrent.pid)
    theirs = their_check(rtorrent, runs // 3, MATCHER, 50_000)
    ratio = ours.processor / plain.processor
    return Figure(
        f"check with {count} startable items (processor: ours + rTorrent's)",
        str(ours),
        f"plain packed call, {len(FIELDS)} fields: {plain}; pyrosimple {theirs * 1e3:.0f} ms",
        f"≤ 1.2 × plain call (processor of both sides: {ratio:.2f} ×)",
        ratio <= 1.2,
    )


def _grouped(folder: Path, rtorrent: PrivateRTorrent, runs: int, count: int) -> list[Figure]:
    """Groups by a value of the packed call, and by one that needs a call for each item and is kept."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    figures: list[Figure] = []
    for name in ("custom_1", "alias"):
        change: dict[str, object] = {"group_by": name, "group_max": 40_000, "downloading_max": 50_000}
        with _checking(folder, rtorrent, **change) as check:
            plain, ours = _timed([lambda: client.rows("main", FIELDS), check], runs, rtorrent.pid)
        ratio = ours.processor / plain.processor
        what = f"check with {count} startable items, group_by = {name}"
        goal = f"≤ 1.2 × plain call (processor of both sides: {ratio:.2f} ×)"
        figures.append(Figure(what, str(ours), f"plain packed call: {plain}", goal, ratio <= 1.2))
    return figures


def _rotation(folder: Path, rtorrent: PrivateRTorrent, runs: int) -> Figure:
    """What a look at 100 running items costs beside the check without rotation, all slots taken."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    hashes = [row[0] for row in client.rows("main", ["d.hash="])[:100]]
    client.multicall([(command, (each,)) for each in hashes for command in ("d.open", "d.start")])
    wait_until(lambda: len(client.rows("active", ["d.hash="])) == 100, 60, lambda: "100 items did not start")
    full: dict[str, object] = {"downloading_max": 100, "downloading_min": 0}
    with (
        _checking(folder, rtorrent, **full) as off,
        _checking(folder, rtorrent, **full, stall_after=1e6) as on,
    ):
        without, ours = _timed([off, on], runs, rtorrent.pid)
    client.multicall([(command, (each,)) for each in hashes for command in ("d.stop", "d.close")])
    took = ours.processor - without.processor
    what = "rotation: a look at 100 running items (processor: ours + rTorrent's)"
    return Figure(what, f"{took * 1e3:.1f} ms", f"check {without}, with rotation {ours}", "≤ 2 ms", took <= 0.002)


def _by_priority(folder: Path, rtorrent: PrivateRTorrent, runs: int) -> Figure:
    """The dearest of all filters: rTorrent keeps priorities in each item's session data, all over its memory."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    with _checking(folder, rtorrent, startable="prio>3", downloading_max=50_000) as check:
        reading, ours = _timed([lambda: client.rows("main", ["d.hash="], where=PRIORITIES), check], runs, rtorrent.pid)
    ratio = ours.processor / reading.processor
    return Figure(
        "check: nothing startable, excluded by priority alone (processor: ours + rTorrent's)",
        str(ours),
        f"rTorrent reading the priorities alone: {reading}",
        f"≤ 1.2 × of rTorrent reading the priorities alone (processor of both sides: {ratio:.2f} ×)",
        ratio <= 1.2,
    )


def _mostly_complete(folder: Path, rtorrent: PrivateRTorrent, runs: int, count: int) -> Figure:
    with _checking(folder, rtorrent, downloading_max=50_000) as check:
        (ours,) = _timed([check], runs, rtorrent.pid)
    theirs = their_check(rtorrent, runs // 3, MATCHER, 50_000)
    what = f"check with {count} complete and 20 startable items"
    return Figure(what, str(ours), f"pyrosimple {theirs * 1e3:.0f} ms", "≤ 15 ms", ours.wall <= 0.015)


CHEAP: dict[str, dict[str, object]] = {
    "nothing startable, excluded by message": {"startable": "message=*lost*", "downloading_max": 50_000},
    "nothing startable, excluded by what is done": {"startable": "done>50", "downloading_max": 50_000},
    "nothing startable, excluded by size": {"startable": "size>1g", "downloading_max": 50_000},
    "no free slot": {"downloading_max": 0, "downloading_min": 0},
    "intermission": {"intermission": 3600.0},
}


def _cheap(what: str, folder: Path, rtorrent: PrivateRTorrent, runs: int, change: Mapping[str, object]) -> Figure:
    with _checking(folder, rtorrent, **change) as check:
        (took,) = _timed([check], runs, rtorrent.pid)
    return Figure(f"check: {what}", str(took), "", "≤ 15 ms", took.wall <= 0.015)


@contextmanager
def _checking(folder: Path, rtorrent: PrivateRTorrent, **change: object) -> Generator[Callable[[], object]]:
    """A check as it is after the first few of a scheduler's life, which look around."""
    place = folder / "-".join(str(word) for pair in change.items() for word in pair)[:80]
    place.mkdir(exist_ok=True)
    with queue_scene(rtorrent, place, queue_job("queue", dry_run=True, **change)) as ours:
        turns = iter(range(1_000_000))

        def check() -> object:
            return ours.queue.check(moment(15.0 * next(turns)), "tick")

        for _ in range(3):
            check()
        yield check


@dataclass(frozen=True, slots=True)
class Took:
    """The best of several runs, in seconds: of the clock on the wall, our processor, and rTorrent's."""

    wall: float
    own: float
    theirs: float

    @property
    def processor(self) -> float:
        return self.own + self.theirs

    def __str__(self) -> str:
        return f"{self.wall * 1e3:.1f} ms ({self.own * 1e3:.0f} + {self.theirs * 1e3:.0f} ms)"


def _timed(asks: Sequence[Callable[[], object]], runs: int, pid: int) -> list[Took]:
    """What each of `asks` takes, in turns; the machine is shared, so the best run is the most accurate."""
    took: list[list[Took]] = [[] for _ in asks]
    for _ in range(runs):
        for samples, ask in zip(took, asks, strict=True):
            before, own, began = processor_of(pid), time.process_time(), time.perf_counter()
            ask()
            wall, own, theirs = time.perf_counter() - began, time.process_time() - own, processor_of(pid) - before
            samples.append(Took(wall, own, theirs))
    return [Took(*(min(values) for values in zip(*map(_numbers, one), strict=True))) for one in took]


def _numbers(took: Took) -> tuple[float, float, float]:
    return took.wall, took.own, took.theirs


def their_check(rtorrent: PrivateRTorrent, runs: int, matcher: str, maximum: int) -> float:
    """Seconds of one run of pyrosimple's queue, the median of `runs`."""
    command = [str(PYROSIMPLE), str(REPOSITORY / "benchmarks" / "theirs" / "queue_check.py")]
    words = [f"scgi+unix://{rtorrent.socket}", str(runs), matcher, str(maximum)]
    ended = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=300)
    if ended.returncode:
        raise RuntimeError(ended.stderr[-2000:])
    times: Sequence[float] = json.loads(ended.stdout.splitlines()[-1])
    return statistics.median(times)


if __name__ == "__main__":
    show("queue", measure())
