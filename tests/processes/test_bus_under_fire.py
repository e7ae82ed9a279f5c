"""Two producers and two durable consumers, killed and stopped at random: every event is applied once, in order."""

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyrotorque.layout import Layout
from pyrotorque.store import open_readonly
from tests.processes import fire
from tests.processes.standins import REPOSITORY
from tests.waiting import eventually

pytestmark = pytest.mark.process

SECONDS = float(os.environ.get("FIRE_SECONDS", "20"))
SEED = int(os.environ.get("FIRE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
ROLES: dict[str, str] = dict.fromkeys(fire.PRODUCERS, "producer") | dict.fromkeys(fire.CONSUMERS, "consumer")


class Fire:
    """The four processes, each started again whenever it has ended."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout.below(folder)
        self.layout.prepare()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._points: dict[str, list[str]] = {name: list(fire.POINTS[kind]) for name, kind in ROLES.items()}
        self.ends = 0

    def tend(self) -> None:
        """Start each process that does not run: the first times with a point at which it exits."""
        for name in ROLES:
            process = self._running.get(name)
            if process is None or process.poll() is not None:
                self.ends += process is not None
                self._running[name] = self._start(name)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        point = [self._points[name].pop(0)] if self._points[name] else []
        command = [sys.executable, "-m", "tests.processes.fire", ROLES[name], str(self.layout.config_dir), name, *point]
        paths = os.pathsep.join(str(REPOSITORY / part) for part in ("services", "shared", "."))
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, cwd=REPOSITORY)

    @property
    def all_points_visited(self) -> bool:
        return not any(self._points.values())

    def hurt(self, name: str, kind: signal.Signals) -> None:
        self._running[name].send_signal(kind)

    def applied(self, consumer: str) -> dict[str, list[int]]:
        rows = self._rows(consumer, "SELECT source, name FROM applied ORDER BY rowid")
        return {source: [int(str(name)) for found, name in rows if found == source] for source in fire.PRODUCERS}

    def delays(self, consumer: str) -> list[float]:
        return [float(str(delay)) for (delay,) in self._rows(consumer, "SELECT applied_at - published FROM applied")]

    def gaps(self, consumer: str) -> list[tuple[object, ...]]:
        return self._rows(consumer, "SELECT reason FROM bus_gaps")

    def sound(self, name: str) -> bool:
        return self._rows(name, "PRAGMA integrity_check") == [("ok",)]

    def _rows(self, name: str, query: str) -> list[tuple[object, ...]]:
        db = open_readonly(self.layout.database(name))
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    def stop(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def test_every_event_is_applied_once_and_in_order_despite_kills(short_folder: Path) -> None:
    chance = random.Random(SEED)
    under = Fire(short_folder)
    wanted = {source: list(range(fire.COUNT)) for source in fire.PRODUCERS}
    try:
        kills = _fire(under, chance)
        eventually(lambda: _tended_until_applied(under), timeout=60.0, why=f"seed {SEED}")
        for consumer in fire.CONSUMERS:
            assert under.applied(consumer) == wanted, f"seed {SEED}"
            assert under.gaps(consumer) == []
        assert under.all_points_visited
        assert all(under.sound(name) for name in ROLES)
        delays = sorted(delay for consumer in fire.CONSUMERS for delay in under.delays(consumer))
        print(
            f"\nseed {SEED}: {kills} kills and stops, {under.ends} ends, {2 * fire.COUNT} events, 2 consumers, "
            f"lost 0, doubled 0, latency p50 {statistics.median(delays) * 1000:.1f} ms, "
            f"p99 {delays[int(len(delays) * 0.99)] * 1000:.0f} ms, max {delays[-1] * 1000:.0f} ms"
        )
    finally:
        under.stop()


def _fire(under: Fire, chance: random.Random) -> int:
    """Kill or stop a random process every fraction of a second until the time is up; returns how often."""
    end, hurt, next_at = time.monotonic() + SECONDS, 0, time.monotonic() + 1.0
    resume: list[tuple[float, str]] = []
    while (now := time.monotonic()) < end:
        under.tend()
        if now >= next_at:
            name = chance.choice(list(ROLES))
            stopped = chance.random() < 0.2
            under.hurt(name, signal.SIGSTOP if stopped else signal.SIGKILL)
            resume += [(now + 0.5, name)] if stopped else []
            hurt, next_at = hurt + 1, now + chance.uniform(0.1, 0.5)
        for at, name in [due for due in resume if due[0] <= now]:
            under.hurt(name, signal.SIGCONT)
            resume.remove((at, name))
        eventually(lambda: time.monotonic() >= now + 0.01)
    for _, name in resume:
        under.hurt(name, signal.SIGCONT)
    return hurt


def _tended_until_applied(under: Fire) -> bool:
    under.tend()
    return all(len(numbers) >= fire.COUNT for name in fire.CONSUMERS for numbers in under.applied(name).values())
