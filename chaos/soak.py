"""`make soak`: SOAK_MINUTES (30) at 10 metafiles per second with random kills; memory and files must stay bounded.

Each quarter of the time kills another service, so that every process also runs long enough to show growth. Old items
are erased, so that rTorrent does not grow.
"""

import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

import psutil
from rich.console import Console
from rich.table import Table

from chaos.accounting import balance, listener_record
from chaos.faults import Done, killing
from chaos.final_checks import drain, final_state
from chaos.report import Run, complaints, figures
from chaos.scene import Scene, leftovers, scene
from pyrotorque.errors import RTorrentError
from pyrotorque.layout import SERVICES
from pyrotorque.rtorrent import RTorrent

RATE: Final = 10.0
KEPT: Final = 500
"""Number of items that stay in rTorrent."""
VICTIMS: Final = ("watcher", "scheduler", "exporter", "guardian")
WATCHED: Final = (*SERVICES, "supervisord")

MEMORY_GROWS: Final = 4 << 20
DESCRIPTORS_GROW: Final = 8
THREADS_GROW: Final = 1
STATE_BASE: Final = 96 << 20
"""The watcher's write-ahead log alone may take 80 MB under constant load."""
STATE_EACH: Final = 4 << 10


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment; `state` is the size of its files."""

    minute: float
    service: str
    pid: int
    memory: int
    descriptors: int
    threads: int
    state: int


def main() -> int:
    minutes = float(os.environ.get("SOAK_MINUTES", "30"))
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"seed {seed}, {minutes:g} minutes, {RATE:g} metafiles/s, load {os.getloadavg()[0]:.1f}", flush=True)
    with scene(seed, RATE, crash_points=False) as made:
        eraser = Eraser(made)
        with made.stream, eraser:
            done, samples = _soak(made, random.Random(seed), minutes * 60)
        drain(made, made.stream.written[eraser.erased :])
        found = final_state(made)
        items, by_listener = made.items(), listener_record(made.listener.database)
    found.leftovers = leftovers(made.folder)
    _show(samples)
    erased = {each.info_hash for each in made.stream.written[: eraser.erased]}
    books = balance(made.stream.written, items, made.committed.events, by_listener, [])
    books = replace(books, lost=books.lost - erased)
    run = Run(done, made.stream.written, books, made.committed.events, by_listener, found)
    for line in figures(run):
        print(line)
    wrong = complaints(run, float(os.environ.get("CHAOS_TOLERANCE", "1")))
    wrong += [f"{info} was erased and loaded again" for info in erased & items.keys()]
    wrong += grown(samples, len(made.stream.written))
    for line in wrong:
        print(f"BROKEN: {line}")
    print(f"{len(done)} kills, {eraser.erased} items erased, {len(wrong)} guarantees broken")
    return 1 if wrong else 0


def _soak(made: Scene, chance: random.Random, seconds: float) -> tuple[list[Done], list[Sample]]:
    begin = time.monotonic()
    every = min(60.0, seconds / 20)
    kill_at, sample_at = begin + 10.0, begin + every
    done, samples = list[Done](), list[Sample]()
    while (now := time.monotonic()) < begin + seconds:
        if now >= sample_at:
            sample_at += every
            samples += _sampled(made, (now - begin) / 60)
        if now >= kill_at:
            kill_at = now + chance.uniform(8.0, 20.0)
            victim = VICTIMS[min(3, int(4 * (now - begin) / seconds))]
            done.append(killing(chance.choice([victim, victim, "listener"])).done_to(made, chance))
        time.sleep(0.2)
    return done, samples


class Eraser:
    """Erases items and removes their metafiles, oldest first, in its own thread."""

    def __init__(self, made: Scene) -> None:
        self.erased = 0
        self._made = made
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eraser")

    def __enter__(self) -> "Eraser":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        client = RTorrent(self._made.rtorrent.url, read_timeout=30.0)
        while not self._stop.wait(1.0):
            with suppress(RTorrentError):
                self._erase(client)

    def _erase(self, client: RTorrent) -> None:
        written, there = self._made.stream.written, self._made.items()
        old = written[self.erased : max(self.erased, len(written) - KEPT)]
        # Only items that are loaded and started are erased.
        ready = list(takewhile(lambda each: there.get(each.info_hash), old))
        if ready:
            client.multicall([("d.erase", (each.info_hash,)) for each in ready])
        for each in ready:
            each.path.unlink(missing_ok=True)
            with suppress(OSError):
                each.path.parent.rmdir()
        self.erased += len(ready)


def _sampled(made: Scene, minute: float) -> list[Sample]:
    pids = {service: made.holder(service) for service in SERVICES}
    pids["supervisord"] = made.group.supervisord_pid() or 0
    found: list[Sample] = []
    for service, pid in pids.items():
        files = made.layout.state_dir.glob(f"{service}.sqlite3*")
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            memory = process.memory_full_info().pss
            state = sum(path.stat().st_size for path in files)
            found.append(Sample(minute, service, pid, memory, process.num_fds(), process.num_threads(), state))
    print("  ".join([f"{minute:5.1f} min", *map(_in_short, found)]), flush=True)
    return found


def _in_short(sample: Sample) -> str:
    return (
        f"{sample.service} {sample.memory / 2**20:.1f} MiB {sample.descriptors} fds {sample.threads} threads"
        f" {sample.state / 2**20:.1f} MiB state"
    )


def grown(samples: Iterable[Sample], metafiles: int) -> list[str]:
    """Growth beyond the bounds: of one process over time, or of state files per written metafile."""
    wrong: list[str] = []
    lives: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        lives.setdefault((sample.service, sample.pid), []).append(sample)
        if sample.state > STATE_BASE + STATE_EACH * metafiles:
            wrong.append(f"state files of {sample.service} take {sample.state >> 20} MiB")
    for (service, pid), life in lives.items():
        # The first samples are from the warm-up.
        settled = life[len(life) // 4 :]
        if len(settled) < 6:
            continue
        first, last = settled[:3], settled[-3:]
        for what, bound in (("memory", MEMORY_GROWS), ("descriptors", DESCRIPTORS_GROW), ("threads", THREADS_GROW)):
            before, after = (statistics.median(getattr(each, what) for each in three) for three in (first, last))
            if after - before > bound:
                wrong.append(f"{what} of {service} (pid {pid}) grew from {before:.0f} to {after:.0f}")
    return wrong


def _show(samples: list[Sample]) -> None:
    table = Table(title="soak", title_justify="left")
    for column in ("process", "lives sampled", "PSS (first / last / most)", "descriptors", "threads", "state files"):
        table.add_column(column)
    for service in WATCHED:
        own = [sample for sample in samples if sample.service == service]
        if not own:
            continue
        table.add_row(
            service,
            str(len({sample.pid for sample in own})),
            _spread([sample.memory / 2**20 for sample in own], " MiB"),
            _spread([sample.descriptors for sample in own]),
            _spread([sample.threads for sample in own]),
            _spread([sample.state / 2**20 for sample in own], " MiB"),
        )
    Console(width=140, highlight=False).print(table)


def _spread(values: Sequence[float], unit: str = "") -> str:
    return f"{values[0]:.4g} / {values[-1]:.4g} / {max(values):.4g}{unit}"


if __name__ == "__main__":
    sys.exit(main())
