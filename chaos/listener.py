"""A durable subscriber to all services in a separate process; records the events that it applies, and its gaps.

`python -m chaos.listener CONFIG_DIR FOLDER ARMED`. If its parent is killed, it removes FOLDER, which stops the group.
"""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final, get_args

from chaos.crash_points import wrap
from pyrotorque.bus import Bus
from pyrotorque.events import Durable, Fact
from pyrotorque.layout import SERVICES, Layout
from pyrotorque.outbox import CursorTable, Outbox
from pyrotorque.service.lifecycle import running
from pyrotorque.store import open_store

NAME: Final = "listener"
TABLES: Final = (
    """
    CREATE TABLE applied (
        source TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
        published_at REAL NOT NULL, applied_at REAL NOT NULL
    )
    """,
)


def database(folder: Path) -> Path:
    return folder / "listener.sqlite3"


def main() -> None:
    config_dir, folder, armed = map(Path, sys.argv[1:])
    parent = os.getppid()
    wrap(NAME, str(armed))
    layout = Layout.below(config_dir)
    kinds: tuple[type[Fact], ...] = get_args(Durable)
    store = open_store(database(folder), TABLES)
    outbox = Outbox(store, NAME)
    bus = Bus(layout, NAME, outbox, subscribe=dict.fromkeys(SERVICES, kinds), cursors=CursorTable(store))
    with running(NAME, layout, config_digest=lambda: "", outbox=outbox) as life, bus:
        life.on_wake(bus.wake)
        while not life.stopping:
            for delivery in bus.wait(0.5).deliveries:
                with bus.applying(delivery) as db:
                    envelope = delivery.envelope
                    row = (envelope.source, envelope.epoch, envelope.seq, delivery.event.at, time.time())
                    db.execute("INSERT INTO applied VALUES (?, ?, ?, ?, ?)", row)
    if os.getppid() != parent:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
