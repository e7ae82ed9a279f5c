"""The guardian's process: knows only folders, so that it lives whatever is wrong with the configuration."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pyrotorque import logs
from pyrotorque.bus import Bus
from pyrotorque.errors import PyrotorqueError, StateError
from pyrotorque.events import Heartbeat
from pyrotorque.layout import Layout
from pyrotorque.lifecycle import exit_code, leaving_on_term, running
from pyrotorque.outbox import Outbox
from pyrotorque.store import Store, open_in_memory, open_store
from pyrotorque.supervisord import Supervisord
from pyrotorque.totals import Totals
from pyrotorque_guardian.service import GUARDED, Guardian

log = logging.getLogger(__name__)

_SUPERVISORD_WITHIN = 3.0


@dataclass(frozen=True)
class Given:
    """The command line."""

    layout: Layout
    guard_file: Path | None


def read_arguments(arguments: Sequence[str]) -> Given:
    parser = argparse.ArgumentParser(prog="pyrotorque_guardian", allow_abbrev=False)
    parser.add_argument("--config-dir", type=Path, required=True)
    parser.add_argument("--run-dir", type=Path)
    parser.add_argument("--state-dir", type=Path)
    parser.add_argument("--guard-file", type=Path)
    found = parser.parse_args(arguments)
    return Given(Layout.below(found.config_dir, run_dir=found.run_dir, state_dir=found.state_dir), found.guard_file)


def main() -> int:
    given = read_arguments(sys.argv[1:])
    # Standard output is the protocol; supervisord appends it to the same file.
    logs.configure("INFO", "guardian", given.layout, file=str(_own_log(given.layout)))
    try:
        with leaving_on_term():
            guard(given)
    except PyrotorqueError as error:
        log.error("%s", error)
        return exit_code(error)
    except Exception:
        log.exception("a bug, please report it")
        raise
    return 0


def guard(given: Given) -> None:
    layout = given.layout
    with (
        running("guardian", layout, config_digest=lambda: "", outbox=None) as life,
        closing(_store(layout)) as store,
    ):
        outbox = Outbox(store, "guardian")
        life.carry(outbox)
        with Bus(layout, "guardian", outbox, subscribe={name: [Heartbeat] for name in GUARDED}) as bus:
            life.on_wake(bus.wake)
            supervisord = Supervisord(layout.supervisor_socket, timeout=_SUPERVISORD_WITHIN)
            shared_logs = (layout.log_dir / logs.OWNERS_LOG, _own_log(layout))
            guardian = Guardian(
                bus, store, outbox, supervisord, given.guard_file, shared_logs, _parent_signalled(), Totals()
            )
            guardian.run(life)


def _parent_signalled() -> Callable[[signal.Signals], None]:
    """Signals supervisord, our parent, and never whoever comes to be in its place."""
    parent = os.getppid()

    def send(number: signal.Signals) -> None:
        if os.getppid() == parent:
            os.kill(parent, number)

    return send


def _own_log(layout: Layout) -> Path:
    return layout.log_dir / "guardian.log"


def _store(layout: Layout) -> Store:
    try:
        return open_store(layout.database("guardian"), [])
    except StateError as error:
        # Keeping the others alive comes before keeping records; a new epoch tells listeners of the gap.
        log.error("%s; going on without it", error)
        logs.owner(f"failed: {error}")
        return open_in_memory([], str(error))


if __name__ == "__main__":
    sys.exit(main())
