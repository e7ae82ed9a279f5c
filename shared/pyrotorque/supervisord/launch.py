"""Starts the group under a new supervisord, in the background or the foreground, and restarts it."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pyrotorque.errors import AlreadyRunning, PyrotorqueError
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.supervisord.client import Supervisord, SupervisordError
from pyrotorque.supervisord.config import (
    GUARD_FILE_OPTION,
    PYTHON_FLAGS,
    active_guard_file,
    programs_file,
    write_programs,
)
from pyrotorque.text import printable

_START_TIMEOUT = 15.0  # seconds


def start(layout: Layout, options: Options) -> int:
    """Start the group in the background, and return supervisord's pid once it answers.

    Raises AlreadyRunning, or PyrotorqueError with the last line of supervisord's output.
    """
    with _start_lock(layout):
        command = _command(write_programs(layout, options, guard_file=active_guard_file(layout, options)))
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                cwd="/", env=_environment(), start_new_session=True, timeout=_START_TIMEOUT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise PyrotorqueError(f"supervisord did not start within {_START_TIMEOUT:g} s") from error
        if done.returncode != 0:
            raise PyrotorqueError(f"supervisord did not start (exit code {done.returncode}): {_last_line(done.stdout)}")
        return _wait_until_answers(layout)


def foreground_command(layout: Layout, options: Options) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a supervisord that stays in the foreground."""
    return _command(write_programs(layout, options, guard_file=None), "-n"), _environment()


def restart(layout: Layout, options: Options) -> None:
    """Restart all services in the same supervisord with a new process table; the guard file stays as it was."""
    was_guarded = GUARD_FILE_OPTION in programs_file(layout).read_text(encoding="utf-8", errors="replace")
    write_programs(layout, options, guard_file=active_guard_file(layout, options) if was_guarded else None)
    Supervisord(layout.supervisor_socket).restart()


def _last_line(output: bytes) -> str:
    lines = [printable(line) for line in output.splitlines() if line and not line.startswith(b"For help")]
    return lines[-1] if lines else "no output"


def _command(conf: Path, *more: str) -> list[str]:
    return [sys.executable, *PYTHON_FLAGS, "-m", "supervisor.supervisord", "-c", str(conf), *more]


def _environment() -> dict[str, str]:
    """Our environment with absolute import paths: supervisord has another working directory."""
    environment = dict(os.environ)
    if paths := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
    return environment


@contextmanager
def _start_lock(layout: Layout) -> Generator[None]:
    """Allow one start at a time, and none while the group runs."""
    layout.prepare()
    fd = os.open(layout.lock_file("start"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another process is starting the group in {layout.config_dir}") from error
        if Supervisord(layout.supervisor_socket).listens():
            raise AlreadyRunning(f"the group in {layout.config_dir} is already running (see pyrotorque --status)")
        yield
    finally:
        os.close(fd)


def _wait_until_answers(layout: Layout) -> int:
    supervisord = Supervisord(layout.supervisor_socket, timeout=2.0)
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            return supervisord.pid()
        except SupervisordError as error:
            if time.monotonic() > deadline:
                raise PyrotorqueError(f"{error}; see {layout.log_dir / 'torque.log'}") from error
            time.sleep(0.02)
