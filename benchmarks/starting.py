"""From file close to item started by the queue, beside 500 stopped items: ours, and pyrosimple's every second."""

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.figures import Figure, milliseconds, show
from benchmarks.filled import fill, scratch
from benchmarks.loading import PYROSIMPLE, background, or_nothing
from demo.group import environment, wait_until
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent

STARTED_HOOK = 'method.set_key = event.download.resumed, bench, "d.custom.set=bench_started,(cat,(system.time_usec))"\n'
# Longer than the schedule's gap, so that a grant is free, and at no fixed phase to the ticks of any program.
APART = 1.2

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


def measure(drops: int = 100, beside: int = 500) -> list[Figure]:
    """One row: ours beside theirs, theirs with fewer drops for it is slow."""
    ours = _measured(_ours, drops, beside)
    theirs = or_nothing(lambda: milliseconds(_measured(_theirs, max(5, drops // 4), beside)))
    median = sorted(ours)[len(ours) // 2]
    return [
        Figure(
            f"file close → started, {beside} items beside, {drops} drops, median / p95",
            milliseconds(ours),
            f"pyrosimple {theirs}",
            "median ≤ 25 ms",
            median <= 0.025,
        )
    ]


def _measured(driver: Driver, drops: int, beside: int) -> list[float]:
    with scratch() as folder, PrivateRTorrent(folder / "rt", extra_rc=STARTED_HOOK) as rtorrent:
        fill(rtorrent, beside)
        client = RTorrent(rtorrent.url)
        hashes = [row[0] for row in client.rows("main", ["d.hash="])]
        client.multicall([("d.priority.set", [made, 0]) for made in hashes])
        watch = folder / "watch"
        watch.mkdir()
        with driver(folder, rtorrent, watch):
            _warm_up(client, watch)
            return [_drop(client, watch, f"drop {number}") for number in range(drops)]


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
    wait_until(lambda: _started(client, name), timeout, lambda: f"{name} was not started")
    return int(str(client.call("d.custom", name, "bench_started"))) / 1e6 - closed


def _started(client: RTorrent, name: str) -> bool:
    rows = client.rows("main", ["d.hash=", "d.custom=bench_started"])
    return any(stamp for made, stamp in rows if made == name)


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
