"""Checks supervisor.conf, before supervisord reads it, with supervisord's own parser in a process of its own.

supervisord reads its files when it starts and at each restart, and exits when they are wrong, with all its programs.
"""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pyrotorque.errors import LayoutError, PyrotorqueError
from pyrotorque.group_lock import conf_file, reads_file
from pyrotorque.interpreter import import_path, module_command
from pyrotorque.json_input import decode_json
from pyrotorque.layout import OPTIONAL_SERVICES, Layout
from pyrotorque.linux.dangling_links import missing_target
from pyrotorque.options import Options
from pyrotorque.settings.problems import Problem, Report, SettingsProblems
from pyrotorque.supervisord.config import (
    control_file,
    programs_file,
    programs_text,
    read_table,
    require_include,
    services_in,
    stub_file,
)
from pyrotorque.supervisord.environment import environment_of_supervisord

_TIMEOUT: Final = 20.0  # seconds
_ENDED: Final = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)


class CheckInterrupted(PyrotorqueError):
    """The check was ended by a signal, as by a supervisord that ends its programs: nothing is known about the files."""


class ConfCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What supervisord would do with the files; `directory` is the working directory that they set.

    It starts with what is `failing`, such as a second copy of a service, which fails then.
    """

    problems: tuple[tuple[str, int, str], ...] = ()
    failing: tuple[tuple[str, int, str], ...] = ()
    warnings: tuple[tuple[str, int, str], ...] = ()
    directory: str = ""


def check_conf(layout: Layout, options: Options, report: Report, *, supervisord: int = 0, strict: bool = False) -> str:
    """Add the problems of supervisor.conf to `report`; the working directory that it sets.

    `supervisord` is the pid of the running one, whose environment and ports count; 0 if there is none. What fails later
    is a warning, or a problem if `strict`.
    """
    if target := missing_target(own := stub_file(layout)):
        text = (
            f"is a link to {target}, which does not exist: its programs are not started. Mount its disk, or remove it"
        )
        # A running group would lose them; a start has worked without them since 1.0.0.
        (report.problems if strict or supervisord else report.warnings).append(Problem(own.name, 0, "", text))
    try:
        table = programs_text(layout, options, optional=OPTIONAL_SERVICES)
    except LayoutError as error:
        report.problems.append(Problem("", 0, "", str(error)))
        return ""
    return _check_files(layout, table, report, supervisord=supervisord, strict=strict)


def _check_files(layout: Layout, table: str, report: Report, *, supervisord: int, strict: bool = False) -> str:
    """`check_conf` with this process table."""
    found = _checked(layout, table, supervisord)
    report.problems.extend(Problem(file, line, "", text) for file, line, text in found.problems)
    (report.problems if strict else report.warnings).extend(
        Problem(file, line, "", text) for file, line, text in found.failing
    )
    report.warnings.extend(Problem(file, line, "", text) for file, line, text in found.warnings)
    return found.directory


def require_conf(layout: Layout, *, supervisord: int = 0) -> Report:
    """The warnings; raises SettingsProblems when the running supervisord would not restart with these files.

    Unlike a start, that does not write the process table: the one on the disk is read.
    """
    report = Report()
    try:
        require_include(layout)
        _check_files(layout, read_table(layout), report, supervisord=supervisord)
    except LayoutError as error:
        report.problems.append(Problem("", 0, "", str(error)))
    if supervisord and conf_file(supervisord) and not reads_file(supervisord, control_file(layout)):
        text = (
            f"the running supervisord reads {conf_file(supervisord)}, a start would read {control_file(layout)}: "
            "`pyrotorque --restart`"
        )
        report.problems.append(Problem("", 0, "", text))
    if report.problems:
        raise SettingsProblems(report.problems)
    return report


def _checked(layout: Layout, table: str, supervisord: int) -> ConfCheck:
    own, programs = stub_file(layout), programs_file(layout)
    question = {
        "conf": os.fspath(own if own.exists() else programs),
        "programs": os.fspath(programs),
        "table": table,
        "services": services_in(table),
        "folders": [os.fspath(folder) for folder in (layout.run_dir, layout.state_dir, layout.log_dir)],
        "supervisord": supervisord,
        "socket": os.fspath(layout.supervisor_socket),
    }
    # From a folder where supervisord runs as well; a relative path means the same to both.
    command = module_command("pyrotorque.supervisord.trial")
    try:
        done = subprocess.run(
            command, input=json.dumps(question).encode(), capture_output=True, timeout=_TIMEOUT, check=False,
            cwd="/", env=_environment(supervisord),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        text = f"the check of this file did not finish within {_TIMEOUT:.0f} s"
        return ConfCheck(problems=((own.name, 0, text),))
    try:
        return decode_json(done.stdout, type=ConfCheck)
    except msgspec.DecodeError:
        if done.returncode in _ENDED:
            raise CheckInterrupted(f"the check of {own.name} was interrupted: try again") from None
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return ConfCheck(problems=((own.name, 0, f"cannot be checked: {last or f'exit code {done.returncode}'}"),))


def _environment(supervisord: int) -> Mapping[str, Any]:
    """supervisord replaces %(ENV_X)s by the values in its own environment."""
    ours = environment_of_supervisord()
    try:
        content = Path(f"/proc/{supervisord}/environ").read_bytes()
    except OSError:
        return ours
    pairs = (entry.partition(b"=") for entry in content.split(b"\0") if b"=" in entry)
    theirs = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    # The modules of this installation, which an upgrade may have moved.
    return theirs | {"PYTHONPATH": import_path()}
