"""Stand-ins for the services, under their real names: they live and beat as those do, and misbehave on request.

`python -m pyrotorque_watcher` finds the stand-in because its folder comes first on PYTHONPATH; the guardian is real.
"""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

_MAIN = """
import argparse, sys, time
from pathlib import Path

from pyrotorque import logs
from pyrotorque.bus import Bus
from pyrotorque.layout import Layout
from pyrotorque.service.lifecycle import running
from pyrotorque.outbox import Outbox
from pyrotorque.store import open_store

parser = argparse.ArgumentParser()
parser.add_argument("--config-dir", type=Path)
layout = Layout.below(parser.parse_args().config_dir)
logs.configure("INFO", "NAME", layout)
if (layout.config_dir / "NAME.refuses").exists():
    print("refusing to start", flush=True)
    sys.exit(70)
store = open_store(layout.database("NAME"), [])
outbox = Outbox(store, "NAME")
bus = Bus(layout, "NAME", outbox)
with running("NAME", layout, config_digest=lambda: "", outbox=outbox) as life, bus:
    life.on_wake(bus.wake)
    print("up", flush=True)
    while not life.stopping:
        bus.wait(1.0)
        hangs = layout.config_dir / "NAME.hangs"
        if hangs.exists():
            hangs.unlink()
            with life.step("hanging", time.monotonic() + 0.5):
                while True:
                    time.sleep(0.1)
print("down", flush=True)
"""


# The real limits are 15 and 25 seconds: `make chaos` waits for them, tests do not.
_SHORT_DEADLINES = """
import sys

if any(word.startswith("pyrotorque_") for word in sys.orig_argv):
    import pyrotorque.service.guardian_watch
    import pyrotorque_guardian.decisions

    pyrotorque.service.guardian_watch.SILENT_AFTER = pyrotorque_guardian.decisions.SILENT_AFTER = 4.0
    pyrotorque_guardian.decisions.FIRST_BEAT_WITHIN = 6.0
"""

# Stuck in the middle of a turn permanently, while its thread publishes heartbeats.
_STUCK = """
if "pyrotorque_guardian" in sys.orig_argv:
    import os, threading
    import pyrotorque_guardian.service as guardian

    def hang_where_asked(self, now, check=guardian.Guardian._check_run_files):
        if os.path.exists({trap!r}):
            os.unlink({trap!r})
            threading.Event().wait()
        check(self, now)

    guardian._TURN_WITHIN = 1.0
    guardian.Guardian._check_run_files = hang_where_asked
"""


def short_deadlines(folder: Path) -> None:
    """Let guardian and services call each other silent after 4 seconds; `folder` is where the stand-ins are."""
    (folder / "sitecustomize.py").write_text(_SHORT_DEADLINES)


def deadlocked_by(folder: Path, trap: Path) -> None:
    """As `short_deadlines`; and the guardian's loop hangs as soon as there is a file `trap`, which it removes."""
    (folder / "sitecustomize.py").write_text(_SHORT_DEADLINES + _STUCK.format(trap=str(trap)))


def install(folder: Path, names: tuple[str, ...] = ("scheduler", "watcher", "exporter")) -> str:
    """Write the stand-ins below `folder`; returns the PYTHONPATH that prefers them."""
    for name in names:
        package = folder / f"pyrotorque_{name}"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(_MAIN.replace("NAME", name))
    return os.pathsep.join([str(folder), str(REPOSITORY / "services"), str(REPOSITORY / "shared"), *sys.path[1:]])
