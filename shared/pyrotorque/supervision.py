"""How supervisord is told what to run, and how the group is started and stopped."""

import fcntl
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pyrotorque.errors import AlreadyRunning, LayoutError, PyrotorqueError
from pyrotorque.layout import Layout
from pyrotorque.options import Options, write_atomically
from pyrotorque.supervisord import Supervisord, SupervisordError
from pyrotorque.text import printable

# -P: a stray package in the working directory is never ours. utf8: names and configuration do not depend on a locale.
# no_debug_ranges: about a tenth of the memory of our code.
PYTHON_FLAGS = ("-P", "-X", "utf8", "-X", "no_debug_ranges")

_BLANK = re.compile(r"\{(\w+)\}")
_GUARD_FILE = "--guard-file"
_STARTED_WITHIN = 15.0

STUB = """\
; Yours: pyrotorque never overwrites this file. Add programs of your own below, they run beside pyrotorque's.
;
;   supervisorctl -c {conf} status
;
; The programs scheduler, watcher, exporter and guardian are written to run/programs.conf at each start of pyrotorque.

[include]
files = run/programs.conf

[supervisorctl]
serverurl = unix://{socket}

; [program:mine]
; command = /home/me/bin/mine
"""


def packaged() -> str:
    """The process table with its blanks: from the wheel, or from the root of the checkout."""
    here = Path(__file__).resolve().parent
    for path in (here / "supervisor.conf", here.parents[1] / "supervisor.conf"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise LayoutError(f"supervisor.conf is missing beside {here}: install pyrotorque again")


def filled(text: str, blanks: Mapping[str, str]) -> str:
    """The process table with every `{blank}` filled, in the form that supervisord reads back unchanged."""
    return _BLANK.sub(lambda found: blanks[found[1]].replace("%", "%%"), text)


def blanks(layout: Layout, options: Options, *, python: str, umask: int, guard_file: Path | None) -> dict[str, str]:
    """What is filled in; raises LayoutError for a path that no supervisord file can hold."""
    pid_file = options.pid_file or str(layout.pid_file)
    paths = {
        "log_dir": str(layout.log_dir),
        "pid_file": pid_file,
        "socket": str(layout.supervisor_socket),
    }
    words = [
        "--config-dir",
        str(layout.config_dir),
        "--run-dir",
        str(layout.run_dir),
        "--state-dir",
        str(layout.state_dir),
    ]
    if guard_file is not None:
        words += [_GUARD_FILE, str(guard_file)]
    for path in (*paths.values(), *words, python):
        _refuse_unwritable(path)
    return {
        **paths,
        # supervisord 4.3 expands the log files of programs twice.
        "logs": str(layout.log_dir).replace("%", "%%"),
        "python": shlex.join([python, *PYTHON_FLAGS]),
        "config_dir_word": shlex.quote(str(layout.config_dir)),
        "guardian_words": shlex.join(words),
        "umask": f"{umask:03o}",
    }


def programs_file(layout: Layout) -> Path:
    """Always beside the user's own supervisor.conf, wherever `run_dir` is, so that the stub finds it."""
    return layout.config_dir / "run" / "programs.conf"


def stub_file(layout: Layout) -> Path:
    return layout.config_dir / "supervisor.conf"


def stub(layout: Layout) -> str:
    """What `init` writes as the user's own file."""
    socket = layout.supervisor_socket
    below = socket.is_relative_to(layout.config_dir)
    shown = f"%(here)s/{socket.relative_to(layout.config_dir)}" if below else str(socket).replace("%", "%%")
    return STUB.replace("{conf}", str(stub_file(layout))).replace("{socket}", shown)


def guarding(layout: Layout, options: Options) -> Path | None:
    """The guard file whose end is the group's: the one that is there when the group is started in the background."""
    found = Path(options.guard_file) if options.guard_file else layout.guard_file
    return found if found.exists() and not options.foreground else None


def write_programs(layout: Layout, options: Options, *, guard_file: Path | None) -> Path:
    """Write the process table for this start; returns the file that supervisord is to be started with.

    That is the user's own supervisor.conf, or, where `init` never ran, the table itself.
    """
    layout.prepare()
    path = programs_file(layout)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    filling = blanks(layout, options, python=sys.executable, umask=_umask(), guard_file=guard_file)
    table = filled(packaged(), filling)
    write_atomically(path, table.encode())
    own = stub_file(layout)
    if not own.exists():
        return path
    if any(char in str(layout.config_dir) for char in "*?["):
        raise LayoutError(f"supervisord cannot include files below {layout.config_dir}: its name has one of * ? [")
    if "run/programs.conf" not in own.read_text(encoding="utf-8", errors="replace"):
        raise LayoutError(f"{own} does not include run/programs.conf: add `[include]` with `files = run/programs.conf`")
    return own


def control_file(layout: Layout) -> Path:
    """The file for `supervisorctl -c`."""
    return stub_file(layout) if stub_file(layout).exists() else programs_file(layout)


def start(layout: Layout, options: Options) -> int:
    """Start the group in the background; returns supervisord's pid once it answers.

    Raises AlreadyRunning, or PyrotorqueError with what supervisord said.
    """
    with _starting(layout):
        command = _supervisord(write_programs(layout, options, guard_file=guarding(layout, options)))
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                cwd="/", env=_environment(), start_new_session=True, timeout=_STARTED_WITHIN, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise PyrotorqueError(f"supervisord did not start within {_STARTED_WITHIN:g} s") from error
        if done.returncode != 0:
            raise PyrotorqueError(f"supervisord did not start (exit code {done.returncode}): {_said(done.stdout)}")
        return _wait_until_answers(layout)


def foreground_command(layout: Layout, options: Options) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a supervisord in the foreground, for who stays beside it to show the logs."""
    return _supervisord(write_programs(layout, options, guard_file=None), "-n"), _environment()


def restart(layout: Layout, options: Options) -> None:
    """Start everything anew on today's files, in the same supervisord; guarded as it was."""
    was_guarded = _GUARD_FILE in programs_file(layout).read_text(encoding="utf-8", errors="replace")
    write_programs(layout, options, guard_file=guarding(layout, options) if was_guarded else None)
    Supervisord(layout.supervisor_socket).restart()


def _said(output: bytes) -> str:
    lines = [printable(line) for line in output.splitlines() if line and not line.startswith(b"For help")]
    return lines[-1] if lines else "it said nothing"


def _supervisord(conf: Path, *more: str) -> list[str]:
    return [sys.executable, *PYTHON_FLAGS, "-m", "supervisor.supervisord", "-c", str(conf), *more]


def _environment() -> dict[str, str]:
    """Ours; relative import paths are made absolute, for supervisord works elsewhere."""
    environment = dict(os.environ)
    if paths := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
    return environment


@contextmanager
def _starting(layout: Layout) -> Generator[None]:
    """One start at a time, and none where the group runs."""
    layout.prepare()
    fd = os.open(layout.lock_file("start"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"somebody is starting the group in {layout.config_dir} just now") from error
        if Supervisord(layout.supervisor_socket).listens():
            raise AlreadyRunning(f"the group in {layout.config_dir} runs already (see pyrotorque --status)")
        yield
    finally:
        os.close(fd)


def _wait_until_answers(layout: Layout) -> int:
    supervisord = Supervisord(layout.supervisor_socket, timeout=2.0)
    deadline = time.monotonic() + _STARTED_WITHIN
    while True:
        try:
            return supervisord.pid()
        except SupervisordError as error:
            if time.monotonic() > deadline:
                raise PyrotorqueError(f"{error}; see {layout.log_dir / 'torque.log'}") from error
            time.sleep(0.02)


def _refuse_unwritable(path: str) -> None:
    """supervisord's files know no quoting of values: what would be cut, joined or misread is refused."""
    bad = not path.isprintable() or path != path.strip() or any(f" {mark}" in path for mark in ";#")
    if bad:
        raise LayoutError(
            f"supervisord cannot use the path {printable(path)}: it has control characters, bytes that are not UTF-8, "
            "blanks at its ends, or a blank before ; or #"
        )


def _umask() -> int:
    ours = os.umask(0o077)
    os.umask(ours)
    return ours
