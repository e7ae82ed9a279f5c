"""`pyrotorque --cron`: starts the group unless it runs; reads files only, because rTorrent may be waiting for it."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from pyrotorque.group_lock import running_group
from pyrotorque.home import expand_home
from pyrotorque.interpreter import import_path, module_command
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL

if TYPE_CHECKING:
    from pyrotorque.layout import Layout

# Options that may be combined with a start; with any other, or a sub-command, the full command line is used.
_FLAGS: Final = frozenset(("--cron", "-n", "--dry-run", "-v", "--verbose", "-q", "--quiet", "--debug"))
_VALUES: Final = ("--config-dir", "--pid-file", "--guard-file", "--config-file")


def answer(arguments: Sequence[str]) -> int | None:
    """The exit code: 0 when the group runs or is being started; None when the arguments request more than a start."""
    given = _read(arguments)
    if given is None:
        return None
    home = expand_home(given.get("--config-dir") or os.environ.get("PYRO_CONFIG_DIR") or "~/.pyroscope").absolute()
    pid_file = given.get("--pid-file")
    usual = Path(pid_file) if pid_file else home / "run" / "pyrotorque.pid"
    if running_group(home / "state" / "group.lock", home, usual):
        return EX_OK
    return _start(home, given, arguments)


def _read(arguments: Sequence[str]) -> dict[str, str] | None:
    given: dict[str, str] = {}
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _VALUES:
            given[name] = value if equals else next(rest, "")
        elif word not in _FLAGS:
            return None
    return given


def _start(home: Path, given: dict[str, str], arguments: Sequence[str]) -> int:
    """Start the group in a detached process that writes to log/torque.log."""
    # torque.ini may set other folders; reading it takes longer.
    import subprocess

    from pyrotorque.options import Options
    from pyrotorque.supervisord.folders import full_disk
    from pyrotorque.text import printable
    from pyrotorque_control.group import Group

    group = Group(home, Options(pid_file=given.get("--pid-file"), guard_file=given.get("--guard-file")))
    if running_group(group.layout.group_lock, home, group.pid_file):
        return EX_OK
    if not group.may_start():
        guard_file = printable(str(group.guard_file))
        print(f"pyrotorque: the guard file {guard_file} is missing: the group was not started", file=sys.stderr)
        return EX_TEMPFAIL
    if full := full_disk(group.layout):
        # The process that starts it cannot write an error to the log.
        print(f"pyrotorque: the group is being started: {full}", file=sys.stderr)
    with _owners_log(home) as output:
        subprocess.Popen(
            module_command("pyrotorque_control.cron", str(home), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": import_path()},
        )
    return EX_OK


def start_detached(home: Path, arguments: Sequence[str]) -> int:
    """Run the command line and write its output to log/torque.log, each line with a timestamp."""
    from pyrotorque.layout import Layout
    from pyrotorque_control.cli import run

    return with_output_in_log(Layout.below(home), lambda: run(arguments))


def with_output_in_log(layout: "Layout", act: Callable[[], int]) -> int:
    """Run `act`; what it prints goes to log/torque.log, because cron mails all output. Errors are still raised."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    from pyrotorque import logs
    from pyrotorque.options import read_options

    output = io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            return act()
    finally:
        if lines := output.getvalue().splitlines():
            logs.configure("INFO", "cron", layout, log_format=read_options(layout).log_format)
            logs.owner_event("cron", *lines)


def _owners_log(home: Path) -> BinaryIO:
    from pyrotorque.linux.foreign_links import ForeignLink, open_file

    folder = home / "log"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(open_file(folder / "torque.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
    except ForeignLink:
        return Path(os.devnull).open("ab")
    except OSError as error:
        # Nor can the process that starts it write an error there.
        from pyrotorque.text import printable

        log = printable(str(folder / "torque.log"))
        print(f"pyrotorque: the group is being started, but {log} cannot be written: {error.strerror}", file=sys.stderr)
        return Path(os.devnull).open("ab")


if __name__ == "__main__":
    sys.exit(start_detached(Path(sys.argv[1]), sys.argv[2:]))
