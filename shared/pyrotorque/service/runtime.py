"""What a running service holds: its role, state file, outbox and bus, opened and closed in one place."""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from pyrotorque import logs
from pyrotorque.bus import Bus
from pyrotorque.errors import StateError
from pyrotorque.group_state import require_group_state
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox
from pyrotorque.service.lifecycle import Lifecycle, running
from pyrotorque.store import Store, open_in_memory, open_store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """The open resources of one service; they belong to the thread of its loop."""

    life: Lifecycle
    store: Store
    outbox: Outbox
    bus: Bus


@contextmanager
def open_runtime(
    service: str, layout: Layout, migrations: Sequence[str], *, config_digest: Callable[[], str]
) -> Generator[Runtime]:
    """Hold the role of `service` until the block ends; must be entered in the main thread.

    Raises AlreadyRunning while another process has the role or the state file, and StateError without a usable one.
    """
    require_group_state(layout)
    layout.prepare()
    with _opened(service, layout, open_store(layout.database(service), migrations), config_digest) as runtime:
        yield runtime


@contextmanager
def open_runtime_without_state(service: str, layout: Layout) -> Generator[Runtime]:
    """As `open_runtime` for a service that keeps no state but its events: without a usable file they stay in memory."""
    layout.prepare_without_state()
    try:
        require_group_state(layout)
        layout.prepare()
        store = open_store(layout.database(service), [])
    except StateError as error:
        # Subscribers see a new epoch, and record a gap.
        log.error("%s; continuing without it: events are lost when this process ends", error)
        logs.owner_event("state damaged", f"failed: {error}")
        store = open_in_memory([], str(error))
    with _opened(service, layout, store, lambda: "") as runtime:
        yield runtime


@contextmanager
def _opened(service: str, layout: Layout, store: Store, config_digest: Callable[[], str]) -> Generator[Runtime]:
    with closing(store):
        outbox = Outbox(store, service)
        with (
            running(service, layout, config_digest=config_digest, outbox=outbox) as life,
            Bus(layout, service, outbox) as bus,
        ):
            life.on_wake(bus.wake)
            yield Runtime(life, store, outbox, bus)
            with suppress(StateError):
                outbox.close()
