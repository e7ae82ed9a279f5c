"""From file close to item started by the queue, beside 500 stopped items: ours, rTorrent's own part, and pyrosimple's
every second."""

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.figures import Figure, milliseconds, show
from benchmarks.filled import fill, scratch
from benchmarks.loading import PYROSIMPLE, background, or_nothing
from demo.group import environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import RTorrent

STARTED_HOOK = 'method.set_key = event.download.resumed, bench, "d.custom.set=bench_started,(cat,(system.time_usec))"\n'
# Longer than the schedule's gap, so that a grant is free, and at no fixed phase to the ticks of any program.
APART = 1.2
# Before the first look at a new item: a request meanwhile would delay what is measured.
UNDISTURBED = 0.1
# Above rTorrent's own load and start, in seconds.
OVERHEAD_MAX = 0.005
P95_MAX = 0.02

OURS_INI = """\
[TORQUE]
scgi_url = {url}
job.queue.active          = True
job.queue.schedule        = second=*/1
job.queue.downloading_max = 10000
job.treewatch.active      = True
job.treewatch.path        = {watch}
job.treewatch.load_mode   = start
job.treewatch.queued      = True
"""

THEIR_TOML = """\
SCGI_URL = "{url}"
[TORQUE.watch]
handler = "pyrosimple.job.watch:TreeWatch"
schedule = "second=*/30"
path = "{watch}"
load_mode = "normal"
print_to_client = false
[TORQUE.queue]
handler = "pyrosimple.job.queue:QueueManager"
schedule = "second=*/1"
matcher = "is_complete=no is_ignored=no is_open=no prio>0"
downloading_max = 10000
intermission = 0
log_to_client = false
"""


Driver = Callable[[Path, PrivateRTorrent, Path], AbstractContextManager[None]]


def measure(drops: int = 60, beside: int = 500) -> list[Figure]:
    """One row: ours beside rTorrent's own part and theirs, which has fewer drops because it is slow."""
    ours = sorted(_measured(_ours, drops, beside))
    bare = sorted(_bare(max(5, drops // 2), beside))
    theirs = or_nothing(lambda: milliseconds(_measured(_theirs, max(5, drops // 4), beside)))
    over, p95 = ours[len(ours) // 2] - bare[len(bare) // 2], ours[int(len(ours) * 0.95)]
    return [
        Figure(
            f"file close → started, {beside} items beside, {drops} drops, median / p95",
            milliseconds(ours),
            f"load and start alone {milliseconds(bare)}; pyrosimple {theirs}",
            f"median ≤ alone + {OVERHEAD_MAX * 1e3:.0f} ms ({over * 1e3:.1f}), p95 ≤ {P95_MAX * 1e3:.0f} ms",
            over <= OVERHEAD_MAX and p95 <= P95_MAX,
        )
    ]


@contextlib.contextmanager
def _filled(beside: int) -> Generator[tuple[Path, PrivateRTorrent, RTorrent]]:
    """An rTorrent with so many items that no queue starts; its hook stamps each item that is started."""
    with scratch() as folder, PrivateRTorrent(folder / "rt", extra_rc=STARTED_HOOK) as rtorrent:
        fill(rtorrent, beside)
        client = RTorrent(rtorrent.url)
        client.multicall([("d.priority.set", [row[0], 0]) for row in client.rows("main", ["d.hash="])])
        yield folder, rtorrent, client


def _measured(driver: Driver, drops: int, beside: int) -> list[float]:
    with _filled(beside) as (folder, rtorrent, client):
        watch = folder / "watch"
        watch.mkdir()
        with driver(folder, rtorrent, watch):
            _warm_up(client, watch)
            return [_drop(client, watch, f"drop {number}") for number in range(drops)]


def _bare(drops: int, beside: int) -> list[float]:
    """rTorrent's own part: one call that loads, one that starts."""
    with _filled(beside) as (_, _, client):
        return [_load_and_start(client, f"bare {number}") for number in range(drops)]


def _load_and_start(client: RTorrent, what: str) -> float:
    time.sleep(APART + random.random())
    metafile = make_metafile(what)
    name, began = info_hash(metafile), time.time()
    client.call("load.raw", "", metafile)
    starts = [("d.open", (name,)), ("d.start", (name,))]
    wait_until(lambda: not _faults(client.multicall(starts)), 20, lambda: f"{name} was not loaded", every=0.002)
    return _stamp(client, name) - began


def _faults(answers: Sequence[object]) -> bool:
    return any(isinstance(answer, RTorrentFault) for answer in answers)


def _warm_up(client: RTorrent, watch: Path) -> None:
    """Drop new files until one is started: only then does all of the other side work."""
    tried = iter(range(1_000_000))

    def taken() -> bool:
        with contextlib.suppress(TimeoutError):
            return _drop(client, watch, f"warm-up {next(tried)}", timeout=2) > 0
        return False

    wait_until(taken, 60, lambda: "nothing was started within 60 s")


def _drop(client: RTorrent, watch: Path, what: str, timeout: float = 20) -> float:
    time.sleep(APART + random.random())
    metafile = make_metafile(what)
    path = watch / f"{what}.torrent"
    path.write_bytes(metafile)
    closed = path.stat().st_mtime
    name = info_hash(metafile)
    time.sleep(UNDISTURBED)
    wait_until(lambda: _stamp(client, name) > 0, timeout, lambda: f"{name} was not started")
    return _stamp(client, name) - closed


def _stamp(client: RTorrent, name: str) -> float:
    """When the item was started, in Unix seconds; 0 if it was not, or is not there."""
    (answer,) = client.multicall([("d.custom", (name, "bench_started"))])
    return 0.0 if isinstance(answer, RTorrentFault) else int(str(answer) or 0) / 1e6


@contextlib.contextmanager
def _ours(folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> Generator[None]:
    config_dir = folder / "pyroscope"
    config_dir.mkdir()
    (config_dir / "torque.ini").write_text(OURS_INI.format(url=rtorrent.url, watch=watch))
    with contextlib.ExitStack() as ending:
        for service in ("scheduler", "watcher"):
            command = [sys.executable, "-m", f"pyrotorque_{service}", "--config-dir", str(config_dir)]
            ending.enter_context(background(command, environment(), folder / f"{service}.log"))
        yield


@contextlib.contextmanager
def _theirs(folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> Generator[None]:
    config = folder / "config.toml"
    config.write_text(THEIR_TOML.format(url=f"scgi+unix://{rtorrent.socket}", watch=watch))
    command = [str(PYROSIMPLE), "--no-fork", "--pid-file", str(folder / "pid")]
    env = dict(os.environ) | {"PYRO_CONF": str(config), "HOME": str(folder)}
    with background(command, env, folder / "theirs.log"):
        yield


if __name__ == "__main__":
    show("starting", measure())
