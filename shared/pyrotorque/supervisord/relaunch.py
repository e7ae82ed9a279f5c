"""`python -m pyrotorque.supervisord.relaunch CONFIG_DIR`: ends a supervisord that hangs, and starts the group again.

The guardian starts it in a session of its own, because it ends together with supervisord.
"""

import os
import sys
from pathlib import Path

from pyrotorque import logs
from pyrotorque.errors import GuardRemoved, PyrotorqueError
from pyrotorque.layout import Layout
from pyrotorque.options import Options, read_options
from pyrotorque.settings import layout_of
from pyrotorque.supervisord import launch
from pyrotorque.supervisord.config import table_services
from pyrotorque.supervisord.restart import keep_guard
from pyrotorque.supervisord.running import end, find_running

_STOP_TIMEOUT = 5.0  # seconds


def main(config_dir: Path) -> int:
    """End the group's supervisord; start it again with the same options.

    Not if it ran in the foreground, or if its guard file was removed.
    """
    layout = layout_of(config_dir)
    options = read_options(layout)
    optional = table_services(config_dir)  # before the files of the group are removed
    logs.configure("INFO", "relaunch", layout)
    found = find_running(layout, Path(options.pid_file) if options.pid_file else layout.pid_file)
    if found is None:
        return 0
    removed = _removed_guard(layout, options)
    # Services end with supervisord; this process must not be among its programs when they are killed.
    end(found, _STOP_TIMEOUT)
    if options.foreground:
        return 0
    if removed:
        logs.owner_event("group repaired", removed)
        return 0
    for name in [name for name in os.environ if name.startswith("SUPERVISOR_")]:
        del os.environ[name]
    try:
        launch.start(layout, options, optional=optional)
    except PyrotorqueError as error:
        logs.owner_event("group failed", f"failed: the group was not started again: {error}")
        return 1
    return 0


def _removed_guard(layout: Layout, options: Options) -> str:
    """Why the group must not be started again: only its guard file was removed. Empty if it may."""
    try:
        keep_guard(layout, options)
    except GuardRemoved as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
