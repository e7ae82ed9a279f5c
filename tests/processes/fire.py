"""Producers of a numbered event stream, and consumers that record what they apply, for test_bus_under_fire.

`python -m tests.processes.fire producer|consumer CONFIG_DIR NAME [POINT]`: exits at POINT as if killed there.
"""

import os
import sys
import time
from pathlib import Path

from pyrotorque.bus import Bus
from pyrotorque.events import TorrentErased
from pyrotorque.layout import Layout
from pyrotorque.outbox import CursorTable, Outbox
from pyrotorque.service.lifecycle import running
from pyrotorque.store import Store, open_store

PRODUCERS: tuple[str, ...] = ("watcher", "scheduler")
CONSUMERS: tuple[str, ...] = ("exporter", "guardian")
COUNT = 3000
PAUSE = 0.004  # slow enough that kills fall while events are still being produced

POINTS: dict[str, tuple[str, ...]] = {
    "producer": ("inside the transaction", "after commit", "after publish", "before answering"),
    "consumer": ("before the effect", "after the effect", "after commit", "after waking"),
}

TABLES = [
    """
    CREATE TABLE applied (source TEXT NOT NULL, name TEXT NOT NULL, applied_at REAL NOT NULL, published REAL NOT NULL);
    CREATE TABLE produced (name TEXT NOT NULL)
    """
]


class Crash:
    """Ends the process the first time a chosen point is reached after a few rounds."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._rounds = 5

    def at(self, point: str) -> None:
        if point == self._point:
            self._rounds -= 1
            if self._rounds <= 0:
                os._exit(9)


def produce(layout: Layout, name: str, crash: Crash) -> None:
    store = open_store(layout.database(name), TABLES)
    outbox = Outbox(store, name)
    with running(name, layout, config_digest=lambda: "", outbox=outbox) as life, Bus(layout, name, outbox) as bus:
        life.on_wake(bus.wake)
        (done,) = store.db.execute("SELECT count(*) FROM produced").fetchone()
        while not life.stopping:
            if done < COUNT:
                _produce_one(store, outbox, done, crash)
                done += 1
                crash.at("after commit")
                bus.publish()
                crash.at("after publish")
            crash.at("before answering")
            bus.wait(PAUSE if done < COUNT else 0.5)


def _produce_one(store: Store, outbox: Outbox, number: int, crash: Crash) -> None:
    with store.transaction() as db:
        db.execute("INSERT INTO produced VALUES (?)", (str(number),))
        outbox.add(TorrentErased(at=time.time(), info_hash="AA", name=str(number)))
        crash.at("inside the transaction")


def consume(layout: Layout, name: str, crash: Crash) -> None:
    store = open_store(layout.database(name), TABLES)
    outbox = Outbox(store, name)
    wanted = {source: [TorrentErased] for source in PRODUCERS}
    bus = Bus(layout, name, outbox, subscribe=wanted, cursors=CursorTable(store))
    with running(name, layout, config_digest=lambda: "", outbox=outbox) as life, bus:
        life.on_wake(bus.wake)
        while not life.stopping:
            woken = bus.wait(0.5)
            crash.at("after waking")
            for delivery in woken.deliveries:
                assert isinstance(delivery.event, TorrentErased)
                crash.at("before the effect")
                with bus.applying(delivery) as db:
                    row = (delivery.envelope.source, delivery.event.name, time.time(), delivery.event.at)
                    db.execute("INSERT INTO applied VALUES (?, ?, ?, ?)", row)
                    crash.at("after the effect")
                crash.at("after commit")


def main() -> None:
    kind, config_dir, name, *point = sys.argv[1:]
    layout = Layout.below(Path(config_dir))
    crash = Crash(point[0] if point else "")
    {"producer": produce, "consumer": consume}[kind](layout, name, crash)


if __name__ == "__main__":
    main()
