"""From file close to item in rTorrent, one at a time and in a burst: ours, a bare loop of the same call, pyrosimple.

rTorrent itself writes down when it inserted an item (a hook on `event.download.inserted_new`), so that nobody has to
ask while the clock runs, and all three are measured by the same hand.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import Figure, milliseconds
from benchmarks.filled import scratch
from demo.group import REPOSITORY, environment, wait_until
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent

SEEN_HOOK = 'method.set_key = event.download.inserted_new, bench, "d.custom.set=bench_seen,(cat,(system.time_usec))"\n'
PYROSIMPLE = REPOSITORY / ".venv-pyrosimple" / "bin" / "pyrotorque"

OURS_INI = """\
[TORQUE]
scgi_url = {url}
job.treewatch.active    = True
job.treewatch.path      = {watch}
job.treewatch.load_mode = start
job.treewatch.queued    = True
"""

THEIR_TOML = """\
SCGI_URL = "{url}"
[TORQUE.watch]
handler = "pyrosimple.job.watch:TreeWatch"
schedule = "second=*/30"
path = "{watch}"
load_mode = "normal"
print_to_client = false
"""

Drop = Callable[[Path, bytes], None]


def write(path: Path, metafile: bytes) -> None:
    path.write_bytes(metafile)


def measure(singles: int = 60, burst: int = 2000) -> list[Figure]:
    """One row for single files, one for the burst."""
    rows: dict[str, tuple[list[float], float]] = {}
    for name, driver in (("bare", bare_loop), ("ours", our_watcher), ("pyrosimple", their_watcher)):
        with scratch() as folder, PrivateRTorrent(folder / "rt", extra_rc=SEEN_HOOK) as rtorrent:
            watch = folder / "watch"
            watch.mkdir()
            with driver(folder, rtorrent, watch) as drop:
                warm_up(rtorrent, watch, drop)
                alone = _single(rtorrent, watch, drop, singles)
                together = _burst(rtorrent, watch, drop, burst if name != "pyrosimple" else burst // 10)
                rows[name] = (alone, together)
    bare, ours, theirs = rows["bare"], rows["ours"], rows["pyrosimple"]
    added = (sorted(ours[0])[len(ours[0]) // 2] - sorted(bare[0])[len(bare[0]) // 2]) * 1e3
    ratio = ours[1] / bare[1]
    return [
        Figure(
            "file close → item in rTorrent, median / p95",
            milliseconds(ours[0]),
            f"bare loop {milliseconds(bare[0])}; pyrosimple {milliseconds(theirs[0])}",
            f"median ≤ bare + 2 ms (here + {added:.1f} ms)",
            added <= 2.0,
        ),
        Figure(
            f"burst of {burst}: first close → last item",
            f"{ours[1]:.2f} s",
            f"bare loop {bare[1]:.2f} s; pyrosimple {theirs[1] * 10:.0f} s (ten times its {burst // 10})",
            f"≤ 1.2 × bare (here {ratio:.2f} ×)",
            ratio <= 1.2,
        ),
    ]


@contextlib.contextmanager
def bare_loop(folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> Iterator[Drop]:
    """The cheapest way there is: the same call as the watcher's, sent by the one who wrote the file."""
    client = RTorrent(rtorrent.url)

    def drop(path: Path, metafile: bytes) -> None:
        path.write_bytes(metafile)
        tie = f'd.tied_to_file.set="{path}"'.encode()
        client.call("load.raw_verbose", "", metafile, tie)

    yield drop


@contextlib.contextmanager
def our_watcher(folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> Iterator[Drop]:
    config_dir = folder / "pyroscope"
    config_dir.mkdir()
    (config_dir / "torque.ini").write_text(OURS_INI.format(url=rtorrent.url, watch=watch))
    command = [sys.executable, "-m", "pyrotorque_watcher", "--config-dir", str(config_dir)]
    with background(command, environment(), folder / "ours.log"):
        yield write


@contextlib.contextmanager
def their_watcher(folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> Iterator[Drop]:
    config = folder / "config.toml"
    config.write_text(THEIR_TOML.format(url=f"scgi+unix://{rtorrent.socket}", watch=watch))
    command = [str(PYROSIMPLE), "--no-fork", "--pid-file", str(folder / "pid")]
    with background(command, dict(os.environ) | {"PYRO_CONF": str(config), "HOME": str(folder)}, folder / "theirs.log"):
        yield write


@contextlib.contextmanager
def background(command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """Run `command` meanwhile; its output is shown when nothing came of it in time."""
    with log.open("wb") as out, subprocess.Popen(command, env=env, stdout=out, stderr=out) as process:
        try:
            yield
        except TimeoutError:
            print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def warm_up(rtorrent: PrivateRTorrent, watch: Path, drop: Drop) -> None:
    """Drop new files until one is taken: only then does the other side watch."""
    client, tried = RTorrent(rtorrent.url), iter(range(1_000_000))

    def taken() -> bool:
        metafile = make_metafile(f"warm-up {next(tried)}")
        drop(watch / f"{info_hash(metafile)}.torrent", metafile)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: bool(client.rows("main", ["d.hash="])), 1, lambda: "")
            return True
        return False

    wait_until(taken, 30, lambda: "nothing was loaded within 30 s")


def _single(rtorrent: PrivateRTorrent, watch: Path, drop: Drop, count: int) -> list[float]:
    client, latencies = RTorrent(rtorrent.url), []
    for number in range(count):
        metafile = make_metafile(f"single {number}")
        path = watch / f"single-{number}.torrent"
        closed = time.time()
        drop(path, metafile)
        closed = max(closed, path.stat().st_mtime)
        latencies.append(_seen(client, info_hash(metafile)) - closed)
    return latencies


def _burst(rtorrent: PrivateRTorrent, watch: Path, drop: Drop, count: int) -> float:
    """Seconds from the first file close to the insertion of the last item."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    before = len(client.rows("main", ["d.hash="]))
    metafiles = [make_metafile(f"burst {number}") for number in range(count)]
    begin = time.time()
    for number, metafile in enumerate(metafiles):
        drop(watch / f"burst-{number}.torrent", metafile)
    wait_until(lambda: _size(client) >= before + count, 240, lambda: f"{_size(client) - before} of {count} loaded")
    rows = client.rows("main", ["d.name=", "d.custom=bench_seen"])
    return max(int(seen) for name, seen in rows if name.startswith("burst")) / 1e6 - begin


def _size(client: RTorrent) -> int:
    time.sleep(0.2)  # a benchmark's pace, so that asking does not cost what is measured
    return int(str(client.call("view.size", "", "main")))


def _seen(client: RTorrent, name: str) -> float:
    """When rTorrent inserted the item, in Unix seconds; asks every 50 ms."""

    def ask() -> bool:
        return name in str(client.call("download_list", "", "main"))

    wait_until(ask, 20, lambda: f"{name} was not loaded")
    return int(str(client.call("d.custom", name, "bench_seen"))) / 1e6


if __name__ == "__main__":
    from benchmarks.figures import show

    show("loading", measure())
