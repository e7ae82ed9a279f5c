"""Conditions: matching 10,000 items, how soon rTorrent excludes them all, and the same answers as rtcontrol."""

import json
import subprocess
import time
from collections.abc import Callable

from benchmarks.expressions import ALIKE, OTHERWISE, differences, load_all
from benchmarks.figures import Figure, show
from benchmarks.filled import fill, scratch
from benchmarks.queue import their_check
from demo.group import REPOSITORY
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.conditions import parse
from pyrotorque.errors import ConditionError
from pyrotorque.items import ItemReader, read_items
from pyrotorque.rtorrent import RTorrent

THEIRS = REPOSITORY / ".venv-pyrosimple" / "bin"
MANUAL = 'is_ignored=0 message="" prio>0 [ prio>2 OR [ NOT [ traits=audio kind_25=jpg,png,tif,bmp ] ] ]'
# The same as far as pyrosimple reads it: it has neither lists nor NOT.
THEIR_MANUAL = 'is_ignored=0 message="" prio>0 [ prio>2 OR traits!=audio OR kind_25!=jpg ]'
NOTHING = "is_complete=no is_open=no message=*lost*"


def measure(count: int = 10_000, runs: int = 9) -> list[Figure]:
    """Matching and excluding at `count` items, and how many of the expressions are answered as rtcontrol does."""
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill(rtorrent, count)
        figures = [_matching(rtorrent, count, runs), _excluded(rtorrent, count, runs)]
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        load_all(rtorrent)
        return [*figures, *_compared(rtorrent)]


def _matching(rtorrent: PrivateRTorrent, count: int, runs: int) -> Figure:
    """After the fetch, in Python: ours over fresh items, theirs over items that it has matched before.

    The processor's time is counted, so that another process in between does not lengthen it, nor does rTorrent, which
    pyrosimple calls rTorrent again for each item that gets to `kind_25`.
    """
    reader, condition = ItemReader(RTorrent(rtorrent.url, read_timeout=60)), parse(MANUAL)
    took: list[float] = []
    found = 0
    for _ in range(runs):
        items = reader.read("main", None, condition.fields, time.time())
        began = time.process_time()
        found = len(condition.select(items, time.time()))
        took.append(time.process_time() - began)
    theirs = _their_matching(rtorrent, runs // 3)
    return Figure(
        f"matching {count} items with the manual's condition ({found} match)",
        f"{min(took) * 1e3:.1f} ms",
        f"pyrosimple {theirs}",
        "≤ 40 ms",
        min(took) <= 0.040,
    )


def _excluded(rtorrent: PrivateRTorrent, count: int, runs: int) -> Figure:
    client, condition = RTorrent(rtorrent.url, read_timeout=60), parse(NOTHING)
    reader = ItemReader(client)

    def read() -> object:
        return reader.find("main", condition, ("name",), time.time(), any_order=True)

    for _ in range(3):
        read()
    ours, plain = _best(read, runs), _best(lambda: client.rows("main", ["d.hash=", "d.message="]), runs)
    what = f"reading {count} items of which rTorrent excludes all"
    theirs = their_check(rtorrent, runs // 3, NOTHING, 9)
    beside = f"hash and message of all: {plain * 1e3:.0f} ms; a check of pyrosimple's queue {theirs * 1e3:.0f} ms"
    return Figure(what, f"{ours * 1e3:.1f} ms", beside, "≤ 15 ms", ours <= 0.015)


def _compared(rtorrent: PrivateRTorrent) -> list[Figure]:
    """Side by side on one rTorrent: what both read alike, and where they are known to differ."""
    client = RTorrent(rtorrent.url)

    def ours(text: str) -> set[str] | None:
        try:
            condition = parse(text)
        except ConditionError:
            return None
        return {item["name"] for item in read_items(client, "main", condition, ("name",), time.time())}

    def theirs(text: str) -> set[str] | None:
        return _rtcontrol(rtorrent, text)

    alike, otherwise = (differences(texts, theirs, ours) for texts in (ALIKE, OTHERWISE))
    what = f"{len(ALIKE)} expressions that rtcontrol reads alike: answered alike"
    return [
        Figure(what, str(len(ALIKE) - len(alike)), "; ".join(alike), "all", not alike),
        Figure(f"{len(OTHERWISE)} that it reads otherwise: differ", str(len(otherwise)), "; ".join(otherwise)),
    ]


def _rtcontrol(rtorrent: PrivateRTorrent, text: str) -> set[str] | None:
    """The names that it finds; None when it refuses the expression. Exit code 44 means that nothing matched."""
    command = [str(THEIRS / "rtcontrol"), "-U", f"scgi+unix://{rtorrent.socket}", "-q", "-o", "name", "--"]
    ended = subprocess.run([*command, *text.split()], capture_output=True, text=True, check=False, timeout=60)
    return set(ended.stdout.split("\n")) - {""} if ended.returncode in (0, 44) else None


def _their_matching(rtorrent: PrivateRTorrent, runs: int) -> str:
    script = REPOSITORY / "benchmarks" / "theirs" / "matching.py"
    words = [f"scgi+unix://{rtorrent.socket}", str(runs), THEIR_MANUAL]
    ended = subprocess.run([str(THEIRS / "python"), str(script), *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        return f"fails: {ended.stderr.strip().splitlines()[-1][:120]}"
    answer = json.loads(ended.stdout.splitlines()[-1])
    return f"{min(answer['seconds']) * 1e3:.0f} ms ({answer['found']} match)"


def _best(ask: Callable[[], object], runs: int) -> float:
    took: list[float] = []
    for _ in range(runs):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return min(took)


if __name__ == "__main__":
    show("conditions", measure())
