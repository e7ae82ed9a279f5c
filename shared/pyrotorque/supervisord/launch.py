"""Starts the group under a new supervisord, in the background or the foreground, restarts it, and ends it.

A start succeeds, or ends everything that it has started.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from pyrotorque.errors import AlreadyRunning, GuardRemoved, LayoutError, PyrotorqueError
from pyrotorque.foreign_errors import summary
from pyrotorque.group_lock import holder_command, is_group_process, open_lock, read_identity, running_group
from pyrotorque.guard_file import GuardFiles, GuardState, permits_start
from pyrotorque.interpreter import SERVICE_FLAGS, module_command
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import PROC, ProcessIdentity, running_process, session_members
from pyrotorque.linux.signals import handled_ends
from pyrotorque.options import Options
from pyrotorque.supervisord.client import Supervisord, SupervisordError
from pyrotorque.supervisord.config import GUARD_FILE_OPTION, active_guard_file, programs_file, write_programs
from pyrotorque.supervisord.folders import full_disk, socket_problem
from pyrotorque.text import printable

_START_TIMEOUT = 15.0  # seconds
# supervisord waits 5 seconds for each of its programs before it kills it.
STOP_TIMEOUT = 20.0  # seconds
_POLL_INTERVAL = 0.02  # seconds
_UNDO_TIMEOUT = 10.0  # seconds
_FOLLOW_TIMEOUT = 3.0  # seconds
_FOR_OTHER_PYTHONS = (
    "PYTHONDEVMODE",
    "PYTHONINSPECT",
    "PYTHONIOENCODING",
    "PYTHONMALLOC",
    "PYTHONOPTIMIZE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC",
    "PYTHONVERBOSE",
    "PYTHONWARNINGS",
)


class ForegroundStart(NamedTuple):
    """How to start supervisord in the foreground; `lock` is a descriptor that it must inherit."""

    command: list[str]
    environment: dict[str, str]
    lock: int


def _accept(_started: ProcessIdentity) -> None:
    """The group has started as soon as its supervisord answers."""


def start(
    layout: Layout,
    options: Options,
    *,
    directory: str = "",
    optional: Collection[str] = (),
    verify: Callable[[ProcessIdentity], None] = _accept,
) -> int:
    """Start the group in the background, with these optional services.

    Returns supervisord's pid once it answers and `verify` has returned.

    Raises AlreadyRunning, PyrotorqueError with the last line of supervisord's output, or what `verify` raises; then and
    when it is interrupted (Ctrl-C, TERM, HUP), nothing is left of the group.
    """
    lock = _begin(layout)
    errors = layout.log_dir / "supervisord.stderr.log"
    with _undone_on_failure(layout, Path(options.pid_file) if options.pid_file else layout.pid_file):
        try:
            guard_file = active_guard_file(layout, options)
            conf = write_programs(layout, options, guard_file=guard_file, optional=optional)
            command = _command(conf, "-n", "-s")
            with errors.open("wb") as output:
                done = subprocess.run(
                    holder_command(lock, layout, command, background=True),
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output, pass_fds=(lock,),
                    cwd=directory or "/", env=environment_of_supervisord(), timeout=_START_TIMEOUT, check=False,
                )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PyrotorqueError(f"supervisord did not start: {summary(error)}") from error
        finally:
            os.close(lock)
        if done.returncode != 0:
            raise PyrotorqueError(f"supervisord did not start: {_cause(layout, errors)}")
        found = _wait_until_answers(layout, errors)
        verify(found)
        return found.pid


def foreground_start(layout: Layout, options: Options, optional: Collection[str] = ()) -> ForegroundStart:
    """A start of supervisord that stays in the foreground; the caller closes the lock after it."""
    lock = _begin(layout)
    try:
        command = _command(write_programs(layout, options, guard_file=None, optional=optional), "-n")
    except BaseException:
        os.close(lock)
        raise
    return ForegroundStart(holder_command(lock, layout, command, background=False), environment_of_supervisord(), lock)


def restart(layout: Layout, options: Options, optional: Collection[str] = ()) -> None:
    """Restart all services in the same supervisord with a new process table, guarded as it was. Raises GuardRemoved."""
    guarded = _is_guarded(layout, options)
    keep_guard(layout, options)
    guard_file = active_guard_file(layout, options) if guarded else None
    write_programs(layout, options, guard_file=guard_file, optional=optional)
    Supervisord(layout.supervisor_socket).restart()


def keep_guard(layout: Layout, options: Options) -> None:
    """Before a running group is restarted: put its guard file back if it was swept, together with files beside it.

    `options` are those of the group; without the file, it would run on unguarded. Raises GuardRemoved if the file alone
    was removed: the guardian is about to stop the group.
    """
    if not _is_guarded(layout, options):
        return
    guard = GuardFiles.of(layout, Path(options.guard_file) if options.guard_file else layout.guard_file)
    pid_file = Path(options.pid_file) if options.pid_file else layout.pid_file
    state = guard.state((programs_file(layout), pid_file, layout.supervisor_socket))
    if state is GuardState.SWEPT:
        guard.restore()
    if state is GuardState.REMOVED or not permits_start(layout, guard.files[0]):
        raise GuardRemoved(
            f"the guard file {printable(str(guard.files[0]))} is missing: the group is being stopped",
            hint="`touch` it to let the group run in the background",
        )


def _is_guarded(layout: Layout, options: Options) -> bool:
    """Whether the running group was started with a guard file; without a process table, as any in the background."""
    try:
        return GUARD_FILE_OPTION in programs_file(layout).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # swept, and not restored yet
        return not options.foreground


def find_running(layout: Layout, pid_file: Path) -> ProcessIdentity | None:
    """The group's supervisord: by its lock or pid file, else by its command line, as when both files were removed."""
    return running_group(layout.group_lock, layout.config_dir, pid_file) or _in_process_table(layout.config_dir)


def end(found: ProcessIdentity, timeout: float = STOP_TIMEOUT) -> bool:
    """Stop this supervisord and all its programs; False when it had to be killed, with what it had started."""
    started = [found.pid, *(pid for pid in session_members(found.pid) if pid != found.pid)]
    identities = [each for pid in started if (each := running_process(pid)) is not None]
    if found not in identities:
        return True
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
        # One that was stopped (SIGSTOP) would not handle the signal.
        os.kill(found.pid, signal.SIGCONT)
    if _ended(found, timeout):
        return True
    identities += [each for pid in session_members(found.pid) if (each := running_process(pid)) is not None]
    for each in dict.fromkeys(identities):
        if each.is_running():
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
    _ended(found, 2.0)
    return False


def environment_of_supervisord() -> dict[str, str]:
    """Our environment with absolute import paths, because supervisord has another working directory, and without what
    changes how Python runs: with PYTHONWARNINGS=error, supervisord answers no request.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _FOR_OTHER_PYTHONS}
    if paths := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
    return environment


def _begin(layout: Layout) -> int:
    """Hold the group's lock; raises AlreadyRunning, or LayoutError when its sockets would not work."""
    layout.prepare()
    if problem := socket_problem(layout.run_dir):
        raise LayoutError(problem)
    try:
        lock = open_lock(layout.group_lock)
    except OSError as error:
        raise LayoutError(f"cannot lock {layout.group_lock}: {error.strerror}") from error
    if lock is None:
        raise AlreadyRunning(_holder(layout))
    if Supervisord(layout.supervisor_socket).listens():
        os.close(lock)
        raise AlreadyRunning(_listener(layout))
    os.ftruncate(lock, 0)  # from now on it names what this start begins
    return lock


def _holder(layout: Layout) -> str:
    found = read_identity(layout.group_lock)
    if found is None or not found.process.is_running():
        return (
            f"another process is starting the group in {layout.config_dir}, or it runs in another container "
            f"({layout.group_lock} is locked)"
        )
    if not is_group_process(found.pid, layout.config_dir):
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
    if is_group_process(pid, layout.config_dir) or not pid:
        return f"the group in {layout.config_dir} is already running (see pyrotorque --status)"
    return (
        f"the supervisord with pid {pid} belongs to another group and uses the same run folder {layout.run_dir}: "
        "set another run_dir in [TORQUE]"
    )


def _in_process_table(config_dir: Path) -> ProcessIdentity | None:
    own = os.geteuid()
    for entry in os.listdir(PROC):
        if entry.isdecimal() and int(entry) != os.getpid():
            with suppress(OSError):
                if (PROC / entry).stat().st_uid == own and is_group_process(int(entry), config_dir):
                    return running_process(int(entry))
    return None


def _cause(layout: Layout, errors: Path) -> str:
    return _last_line(errors) or full_disk(layout) or "no output"


def _last_line(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    lines = [printable(line) for line in content.splitlines() if line.strip() and not line.startswith(b"For help")]
    return lines[-1] if lines else ""


def _command(conf: Path, *more: str) -> list[str]:
    return module_command("supervisor.supervisord", "-c", str(conf), *more, flags=SERVICE_FLAGS)


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
                raise PyrotorqueError(f"supervisord did not start: {_cause(layout, errors)}") from error
            if time.monotonic() > deadline:
                raise PyrotorqueError(f"{error}; see {layout.log_dir / 'supervisord.log'}") from error
        time.sleep(_POLL_INTERVAL)


@contextmanager
def _undone_on_failure(layout: Layout, pid_file: Path) -> Generator[None]:
    """End what a start has begun when the block fails or is interrupted, so that the next one is not refused."""
    undoing = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not undoing:
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
        _end_session(started.pid)
    for path in (layout.supervisor_socket, pid_file):
        with suppress(OSError):
            path.unlink()


def _end_session(leader: int) -> None:
    """Wait until the programs of a supervisord that has exited have followed it; kill those that do not."""
    deadline = time.monotonic() + _FOLLOW_TIMEOUT
    while (left := list(session_members(leader))) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while list(session_members(leader)) and time.monotonic() < deadline + _FOLLOW_TIMEOUT:
        time.sleep(_POLL_INTERVAL)


def _is_unlocked(layout: Layout) -> bool:
    try:
        lock = open_lock(layout.group_lock)
    except OSError:
        return False
    if lock is not None:
        os.close(lock)
    return lock is not None


def _ended(found: ProcessIdentity, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while found.is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL)
    return True
