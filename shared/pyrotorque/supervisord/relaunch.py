"""`python -m pyrotorque.supervisord.relaunch CONFIG_DIR RUN_DIR STATE_DIR`: replaces a supervisord that hangs.

The guardian starts it in a session of its own, because it ends together with supervisord. The files are not reviewed
meanwhile: the group comes back in the folders, with the options and with the services it was started with.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pyrotorque import logs
from pyrotorque.errors import GuardRemoved, PyrotorqueError
from pyrotorque.layout import Layout
from pyrotorque.options import Options, read_options
from pyrotorque.settings import SettingsProblems, layout_of
from pyrotorque.settings.problems import Report
from pyrotorque.supervisord import launch
from pyrotorque.supervisord.config import started_services, written_layout
from pyrotorque.supervisord.restart import keep_guard
from pyrotorque.supervisord.running import end, find_running
from pyrotorque.supervisord.validation import check_conf
from pyrotorque.text import one_line

_STOP_TIMEOUT = 5.0  # seconds


def main(paths: Sequence[Path]) -> int:
    """End the group's supervisord; start it again with the same options.

    Not if it ran in the foreground, or if its guard file was removed. It is not ended if it could not start again.
    """
    layout = _started_layout(*paths)
    options = read_options(layout)
    optional = started_services(layout)  # before the files of the group are removed
    logs.configure("INFO", "relaunch", layout)
    found = find_running(layout, Path(options.pid_file) if options.pid_file else layout.pid_file)
    if found is None:
        return 0
    removed = _removed_guard(layout, options)
    try:
        directory = "" if removed else _checked_directory(layout, options, found.pid)
    except PyrotorqueError as error:
        text = f"failed: supervisord hangs, and is not replaced, because it could not start again: {one_line(error)}"
        logs.owner_event("group failed", text)
        return 1
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
        launch.start(layout, options, directory=directory, optional=optional)
    except PyrotorqueError as error:
        logs.owner_event("group failed", f"failed: the group was not started again: {error}")
        return 1
    return 0


def _started_layout(config_dir: Path, run_dir: Path | None = None, state_dir: Path | None = None) -> Layout:
    """The folders of the running group. torque.ini may have been changed since, or emptied."""
    if run_dir is not None:
        return Layout.below(config_dir, run_dir=run_dir, state_dir=state_dir)
    return written_layout(config_dir) or layout_of(config_dir)


def _checked_directory(layout: Layout, options: Options, supervisord: int) -> str:
    """The working directory for supervisord. Raises SettingsProblems when it would not start with its files."""
    report = Report()
    directory = check_conf(layout, options, report, supervisord=supervisord)
    if report.problems:
        raise SettingsProblems(report.problems)
    return directory


def _removed_guard(layout: Layout, options: Options) -> str:
    """Why the group must not be started again: only its guard file was removed. Empty if it may."""
    try:
        keep_guard(layout, options)
    except GuardRemoved as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main([Path(word) for word in sys.argv[1:]]))
