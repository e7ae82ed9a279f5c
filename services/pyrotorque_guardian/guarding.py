"""One life of the guardian: its role, its file (or memory where there is none), its bus, and the loop in the middle."""

import logging
import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pyrotorque import logs
from pyrotorque.bus import Bus
from pyrotorque.errors import StateError
from pyrotorque.events import Heartbeat
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox
from pyrotorque.service.lifecycle import running
from pyrotorque.store import Store, open_in_memory, open_store
from pyrotorque.supervisord import Supervisord
from pyrotorque.totals import Totals
from pyrotorque_guardian.service import GUARDED, Guardian

log = logging.getLogger(__name__)

_SUPERVISORD_WITHIN = 3.0


def guard(layout: Layout, guard_file: Path | None, log_file: Path) -> None:
    """Guard until TERM, or until supervisord is gone."""
    with (
        running("guardian", layout, config_digest=lambda: "", outbox=None) as life,
        closing(_store(layout)) as store,
    ):
        outbox = Outbox(store, "guardian")
        life.attach_outbox(outbox)
        with Bus(layout, "guardian", outbox, subscribe={name: [Heartbeat] for name in GUARDED}) as bus:
            life.on_wake(bus.wake)
            supervisord = Supervisord(layout.supervisor_socket, timeout=_SUPERVISORD_WITHIN)
            shared_logs = (layout.log_dir / logs.OWNERS_LOG, log_file)
            guardian = Guardian(bus, store, outbox, supervisord, guard_file, shared_logs, _parent_signalled(), Totals())
            guardian.run(life)


def _parent_signalled() -> Callable[[signal.Signals], None]:
    """Signals supervisord, our parent, and never whoever comes to be in its place."""
    parent = os.getppid()

    def send(number: signal.Signals) -> None:
        if os.getppid() == parent:
            os.kill(parent, number)

    return send


def _store(layout: Layout) -> Store:
    try:
        return open_store(layout.database("guardian"), [])
    except StateError as error:
        # Keeping the others alive comes before keeping records; a new epoch tells listeners of the gap.
        log.error("%s; going on without it", error)
        logs.owner_log(f"failed: {error}")
        return open_in_memory([], str(error))
