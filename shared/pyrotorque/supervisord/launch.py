"""Starts the group under a new supervisord, in the background or the foreground.

A start succeeds, or ends everything that it has started.
"""

import os
import subprocess
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from pyrotorque.errors import AlreadyRunning, LayoutError, PyrotorqueError, StateError
from pyrotorque.foreign_errors import summary
from pyrotorque.group_lock import holder_command, is_group_process, is_recorded_group, open_lock, read_identity
from pyrotorque.interpreter import SERVICE_FLAGS, module_command
from pyrotorque.layout import Layout
from pyrotorque.linux.foreign_links import open_file
from pyrotorque.linux.processes import ProcessIdentity, running_process
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.linux.signals import handled_ends
from pyrotorque.options import Options
from pyrotorque.process_limits import EX_TEMPFAIL, LimitTooSmall, minima_words
from pyrotorque.supervisord.client import Supervisord, SupervisordError
from pyrotorque.supervisord.config import active_guard_files, write_programs
from pyrotorque.supervisord.environment import environment_of_supervisord
from pyrotorque.supervisord.folders import full_disk, socket_problem
from pyrotorque.supervisord.running import end, end_session, find_running
from pyrotorque.text import printable

_START_TIMEOUT = 15.0  # seconds
_POLL_INTERVAL = 0.02  # seconds
_UNDO_TIMEOUT = 10.0  # seconds
# `--run-once` holds the lock that long at most, and a start until it has named its process.
_LOCK_TIMEOUT = 1.0  # seconds


class ForegroundStart(NamedTuple):
    """How to start supervisord in the foreground; `lock` is a descriptor that it must inherit."""

    command: list[str]
    environment: dict[str, str]
    lock: int


def _accept(_started: ProcessIdentity) -> None:
    """The group has started as soon as its supervisord answers."""


def _nothing() -> None:
    """The services have what they need already."""


def start(
    layout: Layout,
    options: Options,
    *,
    directory: str = "",
    optional: Collection[str] = (),
    store: Callable[[], None] = _nothing,
    verify: Callable[[ProcessIdentity], None] = _accept,
) -> int:
    """Start the group in the background, with these optional services.

    `store` writes what the services read: it is called only once no other group can run with these folders. Returns
    supervisord's pid once it answers and `verify` has returned.

    Raises AlreadyRunning, PyrotorqueError with the last line of supervisord's output, or what `verify` raises; then and
    when it is interrupted (Ctrl-C, TERM, HUP), nothing is left of the group.
    """
    lock = _begin(layout, store)
    errors = layout.log_dir / "supervisord.stderr.log"
    with _undone_on_failure(layout, Path(options.pid_file) if options.pid_file else layout.pid_file):
        try:
            guard_files = active_guard_files(layout, options)
            conf = write_programs(layout, options, guard_files=guard_files, optional=optional)
            command = _command(conf, "-n", "-s")
            with open(open_file(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), "wb") as output:
                done = subprocess.run(
                    holder_command(lock, layout, command, background=True),
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output, pass_fds=(lock,),
                    cwd=directory or "/", env=environment_of_supervisord(), timeout=_START_TIMEOUT, check=False,
                )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PyrotorqueError(f"supervisord did not start: {summary(error)}") from error
        finally:
            os.close(lock)
        if done.returncode == EX_TEMPFAIL:
            raise LimitTooSmall(f"the group did not start: {_last_line(errors)}")
        if done.returncode != 0:
            raise _failed(layout, errors)
        found = _wait_until_answers(layout, errors)
        verify(found)
        return found.pid


def foreground_start(
    layout: Layout, options: Options, optional: Collection[str] = (), *, store: Callable[[], None] = _nothing
) -> ForegroundStart:
    """A start of supervisord that stays in the foreground (see `start`); the caller closes the lock after it."""
    lock = _begin(layout, store)
    try:
        command = _command(write_programs(layout, options, guard_files=(), optional=optional), "-n")
    except BaseException:
        os.close(lock)
        raise
    return ForegroundStart(holder_command(lock, layout, command, background=False), environment_of_supervisord(), lock)


def hold(layout: Layout) -> int:
    """Hold the group's lock: no other group runs with these folders, or can start. Close it to let go.

    Raises AlreadyRunning, or StateError if it cannot be written.
    """
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while (lock := _opened_lock(layout)) is None:
        found = read_identity(layout.group_lock)
        if time.monotonic() > deadline or (found is not None and found.process.is_running()):
            raise AlreadyRunning(_holder(layout))
        time.sleep(_POLL_INTERVAL)
    if Supervisord(layout.supervisor_socket).listens():
        os.close(lock)
        raise AlreadyRunning(_listener(layout))
    return lock


def require_free(layout: Layout, running: ProcessIdentity) -> None:
    """Before `running` is ended to start its group with these other folders: raise what that start would raise."""
    layout.prepare()
    if (lock := _opened_lock(layout)) is not None:
        os.close(lock)
    elif (found := read_identity(layout.group_lock)) is None or found.process != running:
        raise AlreadyRunning(_holder(layout))
    supervisord = Supervisord(layout.supervisor_socket, timeout=2.0)
    if supervisord.listens() and not _is_of(supervisord, running):
        raise AlreadyRunning(_listener(layout))
    if problem := socket_problem(layout.run_dir):
        raise LayoutError(problem)


def _is_of(supervisord: Supervisord, running: ProcessIdentity) -> bool:
    try:
        return supervisord.pid() == running.pid
    except SupervisordError:
        return False


def _begin(layout: Layout, store: Callable[[], None]) -> int:
    """Hold the group's lock, and `store`; raises also LayoutError when its sockets would not work."""
    layout.prepare()
    lock = hold(layout)
    try:
        store()
        if problem := socket_problem(layout.run_dir):
            raise LayoutError(problem)
    except BaseException:
        os.close(lock)
        raise
    os.ftruncate(lock, 0)  # from now on it names what this start begins
    return lock


def _opened_lock(layout: Layout) -> int | None:
    try:
        return open_lock(layout.group_lock)
    except OSError as error:
        raise StateError(f"cannot lock {layout.group_lock}: {error.strerror}") from error


def _holder(layout: Layout) -> str:
    found = read_identity(layout.group_lock)
    if found is None or not found.process.is_running():
        return (
            f"another process is starting the group in {layout.config_dir}, or it runs in another container "
            f"({layout.group_lock} is locked)"
        )
    if not is_recorded_group(found, layout.config_dir):
        return (
            f"the group in {printable(found.config_dir)} (pid {found.pid}) uses the same state folder "
            f"{layout.state_dir}: set another state_dir in [TORQUE]"
        )
    return f"the group in {layout.config_dir} is already running, pid {found.pid} (see pyrotorque --status)"


def _listener(layout: Layout) -> str:
    try:
        pid = Supervisord(layout.supervisor_socket, timeout=2.0).pid()
    except SupervisordError:
        pid = 0
    known = read_identity(layout.group_lock)
    is_recorded = known is not None and known.pid == pid and is_recorded_group(known, layout.config_dir)
    if not pid or is_recorded or is_group_process(pid, layout.config_dir):
        return f"the group in {layout.config_dir} is already running (see pyrotorque --status)"
    return (
        f"the supervisord with pid {pid} belongs to another group and uses the same run folder {layout.run_dir}: "
        "set another run_dir in [TORQUE]"
    )


def _failed(layout: Layout, errors: Path) -> PyrotorqueError:
    """Why supervisord has ended; StateError if that is a full disk, which it may not have been able to report."""
    full = full_disk(layout)
    text = f"supervisord did not start: {_last_line(errors) or full or 'no output'}"
    return StateError(text) if full else PyrotorqueError(text)


def _last_line(path: Path) -> str:
    try:
        content = read_regular_file(path)
    except OSError:
        content = b""
    lines = [printable(line) for line in content.splitlines() if line.strip() and not line.startswith(b"For help")]
    return lines[-1] if lines else ""


def _command(conf: Path, *more: str) -> list[str]:
    return module_command("supervisor.supervisord", "-c", str(conf), *more, *minima_words(), flags=SERVICE_FLAGS)


def _wait_until_answers(layout: Layout, errors: Path) -> ProcessIdentity:
    supervisord = Supervisord(layout.supervisor_socket, timeout=2.0)
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            if (found := running_process(supervisord.pid())) is not None:
                return found
        except SupervisordError as error:
            if (lock := open_lock(layout.group_lock)) is not None:
                os.close(lock)
                raise _failed(layout, errors) from error
            if time.monotonic() > deadline:
                raise PyrotorqueError(f"{error}; see {layout.log_dir / 'supervisord.log'}") from error
        time.sleep(_POLL_INTERVAL)


@contextmanager
def _undone_on_failure(layout: Layout, pid_file: Path) -> Generator[None]:
    """End what a start has begun when the block fails or is interrupted, so that the next one is not refused."""
    undoing = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal undoing
        if not undoing:
            undoing = True  # a second signal in the same moment would leave the block before anything is undone
            raise KeyboardInterrupt

    with handled_ends(interrupt):
        try:
            yield
        except BaseException:
            undoing = True
            _end_started(layout, pid_file)
            raise


def _end_started(layout: Layout, pid_file: Path) -> None:
    """End the process that holds the group's lock, which may not be supervisord yet, and its programs."""
    deadline = time.monotonic() + _UNDO_TIMEOUT
    while not _is_unlocked(layout) and time.monotonic() < deadline:
        if (found := find_running(layout, pid_file)) is not None:
            end(found, _UNDO_TIMEOUT)
        else:
            time.sleep(_POLL_INTERVAL)
    if (started := read_identity(layout.group_lock)) is not None:
        end_session(started.pid)
    for path in (layout.supervisor_socket, pid_file):
        with suppress(OSError):
            path.unlink()


def _is_unlocked(layout: Layout) -> bool:
    try:
        lock = open_lock(layout.group_lock)
    except OSError:
        return False
    if lock is not None:
        os.close(lock)
    return lock is not None
