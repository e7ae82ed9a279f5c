"""A scrape at 1,000 and 10,000 items: duration, rTorrent's processor time, the exporter's memory; and pyrosimple's."""

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, milliseconds, show
from benchmarks.filled import fill, scratch
from demo.group import REPOSITORY, environment, free_port
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque_exporter.groups import DEFAULT

PYROSIMPLE = REPOSITORY / ".venv-pyrosimple" / "bin" / "python"
STATS = ("up.total", "down.total", "size_bytes", "ratio")
ITEMS_MAX = 20_000
# Scrapes within one second share one answer.
APART = 1.1

INI = """\
[TORQUE]
scgi_url = {url}
job.exporter.active     = True
job.exporter.port       = {port}
job.exporter.jobs       = system, tracker, item
job.exporter.item_stats = {stats}
job.exporter.items_max  = {items_max}
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """The groups of a scrape, and the most similar jobs of pyrosimple.

    Its `system` reads no items: it has no counts by state, size and view.
    """

    what: str
    groups: Sequence[str]
    their_jobs: str
    goal: float | None = None


KINDS = (
    Kind("default groups", DEFAULT, "system", 0.150),
    Kind("default groups and trackers", (*DEFAULT, "trackers"), "system,tracker"),
    Kind("items with 4 metrics", ("items",), "item", 0.350),
)


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Durations of several scrapes of one kind, and rTorrent's processor time for each."""

    seconds: list[float]
    rtorrent: float
    samples: int


def measure(counts: Sequence[int] = (1_000, 10_000), runs: int = 7) -> list[Figure]:
    """A row for each number of items and kind of scrape, and one for the memory."""
    figures: list[Figure] = []
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        loaded = 0
        for count in counts:
            fill(rtorrent, count - loaded, prefix=f"item {count}")
            loaded = count
            with _exporter(folder / f"config-{count}", rtorrent) as (port, pid):
                idle = _memory(pid, "VmRSS")
                for kind in KINDS:
                    figures += _row(kind, count, _ours(kind, port, rtorrent.pid, runs), rtorrent, runs)
                memory = f"{idle:.1f} MiB idle, {_memory(pid, 'VmHWM'):.1f} MiB at most (resident)"
                figures.append(Figure(f"exporter's memory, {count} items", memory))
    return figures


def _row(kind: Kind, count: int, ours: Scrapes, rtorrent: PrivateRTorrent, runs: int) -> list[Figure]:
    goal = kind.goal if count >= 10_000 else None
    return [
        Figure(
            f"scrape, {kind.what}, {count} items",
            f"{milliseconds(ours.seconds)}, {ours.samples} samples; rTorrent's processor {ours.rtorrent * 1e3:.1f} ms",
            _theirs(kind, rtorrent, runs),
            f"{goal * 1e3:.0f} ms" if goal else "",
            statistics.median(ours.seconds) <= goal if goal else None,
        )
    ]


def _ours(kind: Kind, port: int, rtorrent: int, runs: int) -> Scrapes:
    query = "&".join(f"collect[]={group}" for group in kind.groups)
    url = f"http://127.0.0.1:{port}/metrics?{query}"
    urllib.request.urlopen(url, timeout=60).read()
    seconds, used, body = list[float](), 0.0, b""
    for _ in range(runs):
        time.sleep(APART)
        before, began = _processor(rtorrent), time.perf_counter()
        body = urllib.request.urlopen(url, timeout=60).read()
        seconds.append(time.perf_counter() - began)
        used += _processor(rtorrent) - before
    samples = sum(1 for line in body.splitlines() if not line.startswith(b"#"))
    return Scrapes(seconds, used / runs, samples)


def _theirs(kind: Kind, rtorrent: PrivateRTorrent, runs: int) -> str:
    """The same measurement of pyrosimple's exporter; empty if it is not installed.

    Raises RuntimeError when it fails: a missing comparison must not look like one that was not intended.
    """
    if not PYROSIMPLE.exists():
        return ""
    script = REPOSITORY / "benchmarks" / "theirs" / "exporter.py"
    stats = ",".join(f"d.{stat}" for stat in STATS)
    url = rtorrent.url.replace("scgi://", "scgi+unix://")
    words = [PYROSIMPLE, script, url, rtorrent.pid, runs, kind.their_jobs, stats, free_port()]
    ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
    if ended.returncode:
        raise RuntimeError(f"pyrosimple's exporter failed ({kind.their_jobs}): {ended.stderr[-800:]}")
    measured = json.loads(ended.stdout.splitlines()[-1])
    return (
        f"pyrosimple {milliseconds(measured['seconds'])}; rTorrent's processor {measured['rtorrent'] * 1e3:.1f} ms;"
        f" {measured['peak_kib'] // 1024} MiB at most"
    )


@contextlib.contextmanager
def _exporter(folder: Path, rtorrent: PrivateRTorrent) -> Generator[tuple[int, int], None, None]:
    """Our exporter alone, without its group: (port, pid)."""
    folder.mkdir()
    port = free_port()
    ini = INI.format(url=rtorrent.url, port=port, stats=", ".join(STATS), items_max=ITEMS_MAX)
    (folder / "torque.ini").write_text(ini)
    (folder / "log").mkdir()
    with (folder / "exporter.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyrotorque_exporter", "--config-dir", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
        )
    try:
        wait_until(lambda: _listens(port), 20, lambda: (folder / "exporter.log").read_text())
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _processor(pid: int) -> float:
    """Seconds that the threads of `pid` have run (proc_pid_schedstat, finer than the ticks of proc_pid_stat)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _memory(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    show("exporter", measure(), as_json="--json" in sys.argv)
