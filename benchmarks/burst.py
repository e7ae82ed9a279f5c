"""Bursts of metafiles: how long the watcher takes beside a bare loop of the same call, and until all are deleted.

All in memory. The bare loop and the watcher are measured in turns, and the better turn of each counts (see `loading`).
"""

import contextlib
import tempfile
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.filled import scratch
from benchmarks.loading import (
    OURS_INI,
    SEEN_HOOK,
    Driver,
    Drop,
    bare_loop,
    burst_seconds,
    our_watcher,
    warm_up,
    watcher_with,
)
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until

ROUNDS = {2_000: 3, 20_000: 1}
"""How often each size is measured."""
DELETED = (2_000, 5_000)

Burst = tuple[PrivateRTorrent, Path, Drop]


def measure() -> Generator[Figure]:
    for count, rounds in ROUNDS.items():
        yield _beside_bare_loop(count, rounds)
    for count in DELETED:
        yield _until_deleted(count)


def _beside_bare_loop(count: int, rounds: int) -> Figure:
    turns: dict[Driver, list[float]] = {bare_loop: [], our_watcher: []}
    for _ in range(rounds):
        for driver, done in turns.items():
            with _driven(driver) as burst:
                done.append(burst_seconds(*burst, count))
    bare, ours = (min(done) for done in turns.values())
    return Figure(
        f"burst of {count:,}: first close → last item",
        f"{ours:.2f} s",
        f"bare loop {bare:.2f} s",
        f"≤ 1.2 × bare (here {ours / bare:.2f} ×)",
        ours <= 1.2 * bare,
    )


def _until_deleted(count: int) -> Figure:
    with _driven(partial(watcher_with, OURS_INI + "job.treewatch.on_loaded = delete\n")) as burst:
        _, watch, _ = burst
        _wait_until_empty(watch)
        began = time.monotonic()
        loaded = burst_seconds(*burst, count)
        _wait_until_empty(watch)
        took = time.monotonic() - began
    return Figure(
        f"burst of {count:,}, on_loaded = delete: first close → last metafile deleted",
        f"{took:.2f} s",
        f"last item {loaded:.2f} s",
        f"≤ last item + 5 s (here + {took - loaded:.2f} s)",
        took - loaded <= 5.0,
    )


def _wait_until_empty(watch: Path) -> None:
    wait_until(lambda: not any(watch.iterdir()), 600, lambda: f"{len(list(watch.iterdir()))} metafiles are left")


@contextlib.contextmanager
def _driven(driver: Driver) -> Generator[Burst]:
    with scratch() as below:
        folder = Path(tempfile.mkdtemp(dir=below))
        watch = folder / "watch"
        watch.mkdir()
        with (
            PrivateRTorrent(folder / "rt", extra_rc=SEEN_HOOK) as rtorrent,
            driver(folder, rtorrent, watch) as drop,
        ):
            warm_up(rtorrent, watch, drop)
            yield rtorrent, watch, drop


if __name__ == "__main__":
    from benchmarks.figures import show

    show("burst", measure())
