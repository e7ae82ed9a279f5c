"""A clean-up's plan for 2,000 items of 20 files that all qualify: processor time, and how long rTorrent is blocked.

rTorrent does one thing at a time: while it answers a call it transfers nothing. What a call costs it is its own
processor time, so that other programs do not count.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.figures import Figure, processor_of
from benchmarks.filled import fill, scratch
from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.cleanup import Cleanup
from pyrotorque.jobs.orphans import Orphans
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.transport import RequestOptions
from pyrotorque.rtorrent.xml import Param

T = TypeVar("T")
ITEMS, FILES, MANY = 2_000, 20, 10_000
FULL_ITEMS, FULL_FILES, HUGE = 20, 2_000, 30_000
FIRST, AGAIN = 2.0, 0.3  # seconds
BLOCKED, BLOCKED_MANY = 0.05, 0.15
_BATCH = 50
_IDLE_FOR = 0.5  # seconds
_REMOVED = 3
_SETTINGS = {
    "job_name": "tidy", "schedule": "hour=4", "condition": "is_complete=yes", "data": "delete", "others": "none",
    "min_ratio": "0", "min_seedtime": "0", "matched_for": "0", "max_percent": "100", "per_tracker": "0",
    "max_items": "0", "max_bytes": "0", "announce": "0",
}  # fmt: skip
# What needs details of items, with all details that a condition can need.
_DETAILED = "name=* [ seeds>=0 OR kind=mkv OR files=*x* OR alias=x OR views=x OR left>1 OR ratio>=0 OR completed<1h ]"


class MeasuredRTorrent(RTorrent):
    """Notes what each request costs rTorrent."""

    def __init__(self, url: str, pid: int) -> None:
        super().__init__(url, read_timeout=120)
        self._pid = pid
        self.spent: list[tuple[float, str]] = []

    def _request(self, method: str, params: Sequence[Param], read: Callable[[bytes], T], options: RequestOptions) -> T:
        began = processor_of(self._pid)
        try:
            return super()._request(method, params, read, options)
        finally:
            self.spent.append((processor_of(self._pid) - began, options.label))

    def longest(self) -> tuple[float, str]:
        """The most expensive request since the last time."""
        found, self.spent = max(self.spent), []
        return found


def measure() -> Iterator[Figure]:
    yield from _of_complete_items()
    yield from _of_many_items()
    yield from _of_many_files()


def _of_complete_items() -> Iterator[Figure]:
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        _fill(rtorrent)
        _without_sorting(rtorrent)
        context.set_context(context.JobContext(state_dir=folder / "state", url=rtorrent.url))
        client = MeasuredRTorrent(rtorrent.url, rtorrent.pid)
        job = _job(rtorrent, client)
        first, again = _preview(job), sorted(_preview(job) for _ in range(3))[1]
        changed: list[float] = []
        for number in range(3):
            (rtorrent.downloads / f"item {number:05d}" / "00").write_bytes(os.urandom(601))
            changed.append(_preview(job, ITEMS - number - 1))
        blocked = {"a preview": client.longest()}
        _job(rtorrent, client, condition=_DETAILED).preview()
        blocked["a preview with details"] = client.longest()
        _job(rtorrent, client, max_items=str(_REMOVED)).run()
        blocked[f"a run that removes {_REMOVED}"] = client.longest()
        _orphans(rtorrent, client).survey()
        blocked["a look for orphans"] = client.longest()
    what = f"plan for {ITEMS:,} items of {FILES} files, processor time"
    yield _figure(f"{what}, first", first, FIRST)
    yield _figure(f"{what}, nothing changed", again, AGAIN)
    yield _figure(f"{what}, one item changed", sorted(changed)[1], AGAIN)
    yield from _blocked(blocked, ITEMS, BLOCKED)


def _of_many_items() -> Iterator[Figure]:
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill(rtorrent, MANY, last_first=True)
        _without_sorting(rtorrent)
        context.set_context(context.JobContext(state_dir=folder / "state", url=rtorrent.url))
        client = MeasuredRTorrent(rtorrent.url, rtorrent.pid)
        _job(rtorrent, client, condition="name=*").preview()
        blocked = {"a preview": client.longest()}
        _job(rtorrent, client, condition=_DETAILED).preview()
        blocked["a preview with details"] = client.longest()
        _orphans(rtorrent, client).survey()
        blocked["a look for orphans"] = client.longest()
    yield from _blocked(blocked, MANY, BLOCKED_MANY, "one file")


def _of_many_files() -> Iterator[Figure]:
    """A few items whose files are more than one call may read."""
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill(rtorrent, FULL_ITEMS, files=FULL_FILES)
        metafile = folder / "huge.torrent"
        metafile.write_bytes(make_metafile("huge", files=[(f"file {number}", 16_384) for number in range(HUGE)]))
        plain = RTorrent(rtorrent.url, read_timeout=60)
        plain.call("load.normal", "", str(metafile))
        wait_until(
            lambda: plain.call("view.size", "", "main") == FULL_ITEMS + 1, 60, lambda: "the huge one is not there"
        )
        _without_sorting(rtorrent)
        context.set_context(context.JobContext(state_dir=folder / "state", url=rtorrent.url))
        client = MeasuredRTorrent(rtorrent.url, rtorrent.pid)
        _job(rtorrent, client, condition=_DETAILED).preview()
        blocked = {"a preview with details": client.longest()}
    yield from _blocked(blocked, FULL_ITEMS, BLOCKED, f"{FULL_FILES:,} files and one of {HUGE:,}")


def _figure(what: str, seconds: float, goal: float) -> Figure:
    return Figure(what, f"{seconds:.2f} s", "", f"{goal:g} s", seconds <= goal)


def _blocked(
    found: dict[str, tuple[float, str]], items: int, goal: float, files: str = f"{FILES} files"
) -> Iterator[Figure]:
    for what, (seconds, label) in found.items():
        shown, limit = f"{seconds * 1e3:.1f} ms ({label})", f"{goal * 1e3:.0f} ms"
        yield Figure(
            f"rTorrent's longest call in {what}, {items:,} items of {files}", shown, "", limit, seconds <= goal
        )


def _without_sorting(rtorrent: PrivateRTorrent) -> None:
    """rTorrent sorts two views every ten seconds, which would count for the call that it happens to answer."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    command = "schedule_remove2" if client.known("schedule_remove2") else "schedule.remove"
    for view in ("view.main", "view.name"):
        client.call(command, "", view)

    def is_idle() -> bool:
        """Loading has ended, too: items are saved and sorted after they are there."""
        before = processor_of(rtorrent.pid)
        time.sleep(_IDLE_FOR)
        return processor_of(rtorrent.pid) - before < _IDLE_FOR / 50

    wait_until(is_idle, 60, lambda: "rTorrent does not become idle")


def _job(rtorrent: PrivateRTorrent, client: RTorrent, **more: str) -> Cleanup:
    job = Cleanup(JobConfig({**_SETTINGS, "below": str(rtorrent.downloads), **more}))
    job.__dict__["rtorrent"] = client  # in place of the cached property
    return job


def _orphans(rtorrent: PrivateRTorrent, client: RTorrent) -> Orphans:
    settings = {"job_name": "orphans", "schedule": "hour=5", "below": str(rtorrent.downloads), "others": "none"}
    job = Orphans(JobConfig(settings))
    job.__dict__["rtorrent"] = client
    return job


def _preview(job: Cleanup, expected: int = ITEMS) -> float:
    began = time.process_time()
    found = job.preview()
    spent = time.process_time() - began
    assert len(found.plan.removals) == expected
    return spent


def _fill(rtorrent: PrivateRTorrent) -> None:
    client = RTorrent(rtorrent.url, read_timeout=60)
    for end in range(ITEMS, 0, -_BATCH):  # the last names first: rTorrent inserts them faster
        paths = [rtorrent.downloads / f"item {number:05d}" for number in range(end - _BATCH, end)][::-1]
        client.multicall([("load.raw_start", ["", _metafile(path)]) for path in paths])
    wait_until(lambda: client.call("view.size", "", "seeding") == ITEMS, 60, lambda: "rTorrent took not all items")


def _metafile(path: Path) -> bytes:
    """Of new data; as rTorrent's own session has it, so that it need not read the data."""
    path.mkdir()
    for number in range(FILES):
        (path / f"{number:02d}").write_bytes(os.urandom(600))
    there = [{"completed": 1, "mtime": int(each.stat().st_mtime), "priority": 1} for each in sorted(path.iterdir())]
    return make_metafile(path.name, content=path, announce="", libtorrent_resume={"bitfield": 1, "files": there})
