"""From file close to item in rTorrent, one at a time and in a burst: ours, a bare loop of the same call, pyrosimple.

The bare loop sends the load commands of the watcher's plan for such a file, except path and token. Both are
measured in turns, with everything in memory and with everything on the disk, and the best turn of each counts: other
work on the machine only ever makes one slower. What a turn leaves stays until all are measured: where many files were
deleted just before, ext4 takes several times as long to make one (it does not use their inodes again for some seconds).
rTorrent itself records when it inserted an item (a hook on `event.download.inserted_new`), so the benchmark does not
poll during the measurement, and all programs are measured in the same way.
"""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, milliseconds
from benchmarks.filled import scratch
from demo.group import REPOSITORY, environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.layout import Layout
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import RTorrentSettings, Settings, WatchSettings
from pyrotorque.store import open_store
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.plan import LoadPlan, load_command
from pyrotorque_watcher.load.prepare import LoadJob, prepare
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.rows import MIGRATIONS, Sighting
from pyrotorque_watcher.scan.files import look

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


Driver = Callable[[Path, PrivateRTorrent, Path], contextlib.AbstractContextManager[Drop]]


@dataclass(frozen=True, slots=True)
class Turn:
    """One driver's latencies of single files in seconds, and how long a burst took it per file."""

    singles: list[float]
    each: float


def measure(singles: int = 60, burst: int = 2000, rounds: int = 4) -> list[Figure]:
    """For memory and disk: one row for single files, one for the burst; beside pyrosimple in memory only."""
    with scratch() as memory:
        turns = list[Turn]()
        single = or_nothing(lambda: _recorded_turn(turns, _turn(their_watcher, singles, burst // 10, memory)))
        whole = f"{turns[0].each * burst:.0f} s (ten times its {burst // 10})" if turns else single
        beside = (f"; pyrosimple {single}", f"; pyrosimple {whole}")
        figures = _pair(singles, burst, rounds, memory, "in memory", beside)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as disk:
        return [*figures, *_pair(singles, burst, rounds, Path(disk), "on disk", ("", ""))]


def _recorded_turn(turns: list[Turn], turn: Turn) -> str:
    turns.append(turn)
    return milliseconds(turn.singles)


def or_nothing(measure_theirs: Callable[[], str]) -> str:
    """Their figures; pyrosimple 2.14 loads no metafile on rTorrent 0.16 ("info-hash not found")."""
    try:
        return measure_theirs()
    except TimeoutError as error:
        return f"none ({error})"


def _pair(singles: int, burst: int, rounds: int, below: Path, where: str, beside: tuple[str, str]) -> list[Figure]:
    turns: dict[Driver, list[Turn]] = {bare_loop: [], our_watcher: []}
    for _ in range(rounds):
        for driver, done in turns.items():
            done.append(_turn(driver, singles, burst, below))
    bare, ours = (min((each.singles for each in done), key=statistics.median) for done in turns.values())
    bare_burst, our_burst = (min(each.each for each in done) * burst for done in turns.values())
    added = (statistics.median(ours) - statistics.median(bare)) * 1e3
    ratio = our_burst / bare_burst
    return [
        Figure(
            f"file close → item in rTorrent, median / p95, {where}",
            milliseconds(ours),
            f"bare loop {milliseconds(bare)}{beside[0]}",
            f"median ≤ bare + 2 ms (here + {added:.1f} ms)",
            added <= 2.0,
        ),
        Figure(
            f"burst of {burst}: first close → last item, {where}",
            f"{our_burst:.2f} s",
            f"bare loop {bare_burst:.2f} s{beside[1]}",
            f"≤ 1.2 × bare (here {ratio:.2f} ×)",
            ratio <= 1.2,
        ),
    ]


def _turn(driver: Driver, singles: int, burst: int, below: Path) -> Turn:
    folder = Path(tempfile.mkdtemp(dir=below))
    os.sync()
    with PrivateRTorrent(folder / "rt", extra_rc=SEEN_HOOK) as rtorrent:
        watch = folder / "watch"
        watch.mkdir()
        with driver(folder, rtorrent, watch) as drop:
            warm_up(rtorrent, watch, drop)
            return Turn(_single(rtorrent, watch, drop, singles), burst_seconds(rtorrent, watch, drop, burst) / burst)


@contextlib.contextmanager
def bare_loop(folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> Generator[Drop]:
    """The cheapest way there is: the same call as the watcher's, sent by the one who wrote the file."""
    client, (name, commands) = RTorrent(rtorrent.url), same_call(watch / "SAMPLE.torrent")

    def drop(path: Path, metafile: bytes) -> None:
        path.write_bytes(metafile)
        here = os.fsencode(path.name)
        client.call(name, "", metafile, *(text.replace(b"SAMPLE.torrent", here) for text in commands))

    yield drop


class Everything:
    """An rTorrent that sees all files and knows all commands."""

    version = ""
    session_folder = b""

    def sees(self, ours: bytes, theirs: bytes) -> bool:
        return True

    def known(self, command: str) -> bool:
        return True


def same_call(path: Path) -> tuple[str, tuple[bytes, ...]]:
    """The load command and the commands with it, as the watcher with OURS_INI plans them for a file at `path`."""
    job = WatchSettings(name="treewatch", handler="", path=(path.parent,), load_mode="start", queued=True)
    settings = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=(job,))
    path.write_bytes(make_metafile("sample"))
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(open_store(Path(folder) / "ledger.sqlite3", MIGRATIONS)) as store,
    ):
        ledger, found = Ledger(store), look(bytes(path))
        assert found is not None
        ledger.add(job.name, bytes(path.parent), found, time.time(), Sighting(time.time()))
        (row,) = ledger.rows("seen", time.time(), 1)
    plan = prepare(row, LoadJob(job, JobRecipes(job, settings, Layout.below(path.parent))), Everything(), time.time())
    path.unlink()
    assert isinstance(plan, LoadPlan), plan
    return load_command(plan.state, quiet=job.quiet), plan.torrents[0].commands


def our_watcher(folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> contextlib.AbstractContextManager[Drop]:
    return watcher_with(OURS_INI, folder, rtorrent, watch)


@contextlib.contextmanager
def watcher_with(ini: str, folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> Generator[Drop]:
    config_dir = folder / "pyroscope"
    config_dir.mkdir(exist_ok=True)
    (config_dir / "torque.ini").write_text(ini.format(url=rtorrent.url, watch=watch))
    command = [sys.executable, "-m", "pyrotorque_watcher", "--config-dir", str(config_dir)]
    with background(command, environment(), folder / "ours.log"):
        yield write


@contextlib.contextmanager
def their_watcher(folder: Path, rtorrent: PrivateRTorrent, watch: Path) -> Generator[Drop]:
    config = folder / "config.toml"
    config.write_text(THEIR_TOML.format(url=f"scgi+unix://{rtorrent.socket}", watch=watch))
    command = [str(PYROSIMPLE), "--no-fork", "--pid-file", str(folder / "pid")]
    with background(command, dict(os.environ) | {"PYRO_CONF": str(config), "HOME": str(folder)}, folder / "theirs.log"):
        yield write


@contextlib.contextmanager
def background(command: list[str], env: dict[str, str], log: Path) -> Generator[None]:
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
        latencies.append(inserted_at(client, info_hash(metafile)) - closed)
    return latencies


def burst_seconds(rtorrent: PrivateRTorrent, watch: Path, drop: Drop, count: int) -> float:
    """Seconds from the first file close to the insertion of the last item."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    before = len(client.rows("main", ["d.hash="]))
    metafiles = [make_metafile(f"burst {number}") for number in range(count)]
    begin = time.time()
    for number, metafile in enumerate(metafiles):
        drop(watch / f"burst-{number}.torrent", metafile)
    wait_until(lambda: _size(client) >= before + count, 900, lambda: f"{_size(client) - before} of {count} loaded")
    rows = client.rows("main", ["d.name=", "d.custom=bench_seen"])
    return max(int(seen) for name, seen in rows if name.startswith("burst")) / 1e6 - begin


def _size(client: RTorrent) -> int:
    time.sleep(0.2)  # a benchmark's pace, so that asking does not cost what is measured
    return int(str(client.call("view.size", "", "main")))


def inserted_at(client: RTorrent, name: str, timeout: float = 20) -> float:
    """When rTorrent inserted the item, in Unix seconds; polls every 50 ms."""

    def ask() -> bool:
        return name in str(client.call("download_list", "", "main"))

    wait_until(ask, timeout, lambda: f"{name} was not loaded")
    return int(str(client.call("d.custom", name, "bench_seen"))) / 1e6


if __name__ == "__main__":
    from benchmarks.figures import show

    show("loading", measure())
