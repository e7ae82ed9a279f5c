"""`make chaos`: injects faults for CHAOS_SECONDS (600), ordered by CHAOS_SEED; exits with 1 for a broken guarantee."""

import os
import random
import sys
import time
from collections.abc import Iterable, Sequence

from chaos.accounting import balance, listener_record
from chaos.faults import Done, Fault, faults
from chaos.final_checks import drain, final_state
from chaos.report import Run, complaints, figures, show
from chaos.scene import Scene, leftovers, scene
from pyrotorque.errors import RTorrentError
from pyrotorque.rtorrent import RTorrent

_SETTLE_TIME = 4.0
"""Seconds reserved after the last fault."""


def main() -> int:
    seconds = float(os.environ.get("CHAOS_SECONDS", "600"))
    rate = float(os.environ.get("CHAOS_RATE", "8"))
    tolerance = float(os.environ.get("CHAOS_TOLERANCE", "1"))
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    only = os.environ.get("CHAOS_FAULTS", "").split(",")
    print(f"seed {seed}, {seconds:g} s, {rate:g} metafiles/s, load {os.getloadavg()[0]:.1f}", flush=True)
    with scene(seed, rate) as made:
        print(f"rTorrent {_version(made)}, Python {sys.version.split()[0]}", flush=True)
        chosen = [fault for fault in faults(own_disk=made.own_disk) if any(part in fault.name for part in only)]
        if not made.own_disk:
            print("disk full: no mount is permitted here; see tests/unit/test_store.py and tests/contracts/test_bus.py")
        with made.stream:
            done = _inject(made, chosen, random.Random(seed), seconds)
        drain(made, made.stream.written)
        found, by_listener, items = final_state(made), listener_record(made.listener.database), made.items()
    found.leftovers = leftovers(made.folder)
    found.not_done = not_done(chosen, done)
    found.had_time_for_all = time_for_all(chosen) <= seconds
    books = balance(
        made.stream.written, items, made.committed.events, by_listener, made.rtorrent_killed, made.stream.replaced
    )
    return _print_result(Run(done, made.stream.written, books, made.committed.events, by_listener, found), tolerance)


def time_for_all(chosen: Iterable[Fault]) -> float:
    """Seconds that a run needs to inject each fault once."""
    return sum(fault.takes for fault in chosen) + _SETTLE_TIME


def not_done(chosen: Iterable[Fault], done: Iterable[Done]) -> list[str]:
    """Faults, including crash points, that were not injected."""
    names = {each.name for each in done if not each.trouble}
    return [fault.name for fault in chosen if fault.name not in names]


def _inject(made: Scene, chosen: Sequence[Fault], chance: random.Random, seconds: float) -> list[Done]:
    """Inject every fault once in a random order, and repeat that until the time is over."""
    end, done = time.monotonic() + seconds, list[Done]()
    waiting: list[Fault] = []
    while True:
        if not waiting:
            waiting = chance.sample(list(chosen), len(chosen))
        left = end - time.monotonic()
        fault = next((fault for fault in waiting if fault.takes + _SETTLE_TIME <= left), None)
        if fault is None:
            return done
        waiting.remove(fault)
        done.append(fault.done_to(made, chance))
        print(f"{left:5.0f} s left  {done[-1].name}: {_shown(done[-1])}", flush=True)


def _shown(done: Done) -> str:
    return done.trouble or f"recovered after {done.recovery:.2f} s"


def _version(made: Scene) -> str:
    try:
        return str(RTorrent(made.rtorrent.url).call("system.client_version"))
    except RTorrentError as error:
        return str(error)


def _print_result(run: Run, tolerance: float) -> int:
    show(run)
    for line in figures(run):
        print(line)
    wrong = complaints(run, tolerance)
    for line in wrong:
        print(f"BROKEN: {line}")
    print(f"{len(run.done)} faults, {len(wrong)} guarantees broken; load {os.getloadavg()[0]:.1f}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
