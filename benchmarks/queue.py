"""One check of the queue at 10,000 stopped items: beside the plain packed call, rTorrent's own cost, and pyrosimple."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.figures import Figure, show
from benchmarks.filled import fill, scratch
from demo.group import REPOSITORY
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import QueueSettings
from tests.scheduling import desk, moment, queue_job

PYROSIMPLE = REPOSITORY / ".venv-pyrosimple" / "bin" / "python"
ORDER = ("d.hash=", "d.name=", "d.size_bytes=", "d.priority=", "d.custom=tm_loaded", "d.load_date=")
_TICKS = os.sysconf("SC_CLK_TCK")


def measure(count: int = 10_000, runs: int = 9) -> list[Figure]:
    """One row for a check that finds everything, and one for each of the cheap ways to find nothing to do."""
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill(rtorrent, count)
        client = RTorrent(rtorrent.url, read_timeout=60)
        plain = _timed(lambda: client.rows("main", ORDER), runs, rtorrent.pid)
        found = _check(folder, rtorrent, runs, downloading_max=50_000)
        theirs = _theirs(rtorrent, runs // 3, "is_complete=no is_ignored=no is_open=no prio>0", 50_000)
        ratio = found[0] / plain[0]
        figures = [
            Figure(
                f"check with {count} startable items, median (processor in rTorrent)",
                _shown(found),
                f"plain packed call {_shown(plain)}; pyrosimple {theirs * 1e3:.0f} ms",
                f"≤ 1.2 × plain call (here {ratio:.2f} ×)",
                ratio <= 1.2,
            )
        ]
        figures += [_cheap(what, _check(folder, rtorrent, runs, **change)) for what, change in CHEAP.items()]
        nothing = _theirs(rtorrent, runs // 3, "is_complete=no is_open=no prio>3", 50_000)
        figures.append(Figure("pyrosimple: nothing startable", "", f"{nothing * 1e3:.0f} ms"))
        return figures


CHEAP: dict[str, dict[str, object]] = {
    "nothing startable (all excluded in rTorrent)": {"startable": "prio>3", "downloading_max": 50_000},
    "nothing startable (message=*lost*)": {"startable": "message=*lost*", "downloading_max": 50_000},
    "no free slot": {"downloading_max": 0, "downloading_min": 0},
    "intermission": {"intermission": 3600.0},
}


def _cheap(what: str, took: tuple[float, float]) -> Figure:
    return Figure(f"check: {what}", _shown(took), "", "≤ 15 ms", took[0] <= 0.015)


def _check(folder: Path, rtorrent: PrivateRTorrent, runs: int, **change: object) -> tuple[float, float]:
    job: QueueSettings = queue_job("queue", dry_run=True, **change)
    name = "-".join(change)
    (folder / name).mkdir(exist_ok=True)
    with desk(rtorrent, folder / name, job) as ours:
        turns = iter(range(1_000_000))
        if "intermission" in change:
            ours.queue.check(moment(15.0 * next(turns)), "tick")
        return _timed(lambda: ours.queue.check(moment(15.0 * next(turns)), "tick"), runs, rtorrent.pid)


def _timed(ask: Callable[[], object], runs: int, pid: int) -> tuple[float, float]:
    """Median wall seconds of `ask`, and mean processor seconds of `pid` for it; the first call does not count."""
    ask()
    before, took = _processor(pid), list[float]()
    for _ in range(runs):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return statistics.median(took), (_processor(pid) - before) / runs


def _theirs(rtorrent: PrivateRTorrent, runs: int, matcher: str, maximum: int) -> float:
    command = [str(PYROSIMPLE), str(REPOSITORY / "benchmarks" / "theirs" / "queue_check.py")]
    words = [f"scgi+unix://{rtorrent.socket}", str(runs), matcher, str(maximum)]
    ended = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=300)
    if ended.returncode:
        raise RuntimeError(ended.stderr[-2000:])
    times: Sequence[float] = json.loads(ended.stdout.splitlines()[-1])
    return statistics.median(times)


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _shown(took: tuple[float, float]) -> str:
    return f"{took[0] * 1e3:.1f} ms ({took[1] * 1e3:.0f} ms)"


if __name__ == "__main__":
    show("queue", measure())
