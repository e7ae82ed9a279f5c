"""One life of the watcher: its file, its role, its bus, and the loop in the middle."""

from pyrotorque.bus import Bus
from pyrotorque.outbox import Outbox
from pyrotorque.service.lifecycle import ServiceStart, running
from pyrotorque.store import open_store
from pyrotorque_watcher.rows import MIGRATIONS
from pyrotorque_watcher.service import Watcher
from pyrotorque_watcher.started import group_started

SERVICE = "watcher"


def run(start: ServiceStart) -> int:
    """Watch until TERM."""
    layout = start.layout
    layout.prepare()
    watcher: Watcher | None = None

    def digest() -> str:
        return (watcher.configuration if watcher else start.configuration).settings.digest

    store = open_store(layout.database(SERVICE), MIGRATIONS)
    try:
        outbox = Outbox(store, SERVICE)
        with (
            running(SERVICE, layout, config_digest=digest, outbox=outbox) as life,
            Bus(layout, SERVICE, outbox) as bus,
        ):
            life.on_wake(bus.wake)
            watcher = Watcher(start.configuration, life, store, outbox, bus, group_started())
            watcher.run()
    finally:
        store.close()
    return 0
