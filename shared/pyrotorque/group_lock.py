"""The group's identity: a lock in `state/` that supervisord holds, with its pid, start time, folder and socket.

`python -m pyrotorque.group_lock FD (background|foreground) COMMAND…` becomes supervisord and takes the lock along.
"""

import fcntl
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyrotorque.interpreter import module_command
from pyrotorque.linux.processes import ProcessIdentity, boot_id, running_process
from pyrotorque.linux.regular_files import read_regular_file

if TYPE_CHECKING:
    # `--cron` imports this module, and must import little.
    from pyrotorque.layout import Layout

# supervisord closes all descriptors from 5 on when it restarts; its children close those from 3 on.
_INHERITED_FD: Final = 3
# The process that wrote the pid file started before it did; start times have the resolution of clock ticks.
_CLOCK_SLACK: Final = 2.0  # seconds
_ENTRY_MAX: Final = 16384  # bytes; two paths of PATH_MAX
# Last part of a word in supervisord's command line: its script, or `python -m`.
_NAMES: Final = (b"supervisord", b"supervisor.supervisord")


class GroupIdentity(NamedTuple):
    """The content of the lock file: one value per line."""

    pid: int
    start_ticks: int
    boot: str
    config_dir: str
    socket: str

    @property
    def process(self) -> ProcessIdentity:
        return ProcessIdentity(self.pid, self.start_ticks)

    def encode(self) -> bytes:
        return os.fsencode("".join(f"{value}\n" for value in self))


def open_lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`; None if another process holds it. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_identity(path: Path) -> GroupIdentity | None:
    """What the lock file names, whether or not it still runs; None if there is no complete entry."""
    try:
        pid, ticks, boot, config_dir, socket = _read(path).removesuffix(b"\n").split(b"\n")
        return GroupIdentity(int(pid), int(ticks), boot.decode(), os.fsdecode(config_dir), os.fsdecode(socket))
    except (OSError, ValueError):
        return None


def write_identity(path: Path, pid: int, layout_paths: tuple[str, str]) -> None:
    """Record the running process `pid` for the folder and socket `layout_paths`; the file is replaced in place, because
    supervisord may hold a lock on it.
    """
    found = running_process(pid)
    if found is None:
        return
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _write(fd, GroupIdentity(pid, found.start_ticks, boot_id(), *layout_paths))
    finally:
        os.close(fd)


def running_group(lock: Path, config_dir: Path, pid_file: Path) -> ProcessIdentity | None:
    """The supervisord of the group in `config_dir`: the one that the lock names, else the one in the pid file.

    Only files are read. Another process with the same pid is recognised by its start time.
    """
    found = read_identity(lock)
    if found is not None and is_recorded_group(found, config_dir):
        return found.process
    return _in_pid_file(pid_file, config_dir)


def conf_file(pid: int) -> Path | None:
    """The file that a supervisord was started with, and reads at each restart.

    None if the process is none, or was given a relative path: from which folder is not known, because supervisord may
    have changed its own since.
    """
    given = _given_conf(pid)
    return given if given is not None and given.is_absolute() else None


def reads_file(pid: int, conf: Path) -> bool:
    """Whether this supervisord reads `conf` at each restart."""
    found = conf_file(pid)
    return found is not None and os.path.realpath(found) == os.path.realpath(conf)


def is_group_process(pid: int, config_dir: Path) -> bool:
    """Whether the process is a supervisord that was started for the group in `config_dir`.

    One of a container is not, where another folder has the same path.
    """
    conf = conf_file(pid)
    if conf is None:
        return False
    folder = conf.parent.parent if conf.name == "programs.conf" else conf.parent
    return _is_same(folder, config_dir) and _sees(pid, config_dir)


def is_recorded_group(found: GroupIdentity, config_dir: Path) -> bool:
    """Whether this entry of a lock file names a running supervisord of the group in `config_dir`.

    One that was started by hand with a relative path is recorded by its guardian; the entry is the only evidence.
    """
    if found.boot != boot_id() or not found.process.is_running():
        return False
    if is_group_process(found.pid, config_dir):
        return True
    given = _given_conf(found.pid)
    return given is not None and not given.is_absolute() and _is_same(Path(found.config_dir), config_dir)


def _given_conf(pid: int) -> Path | None:
    """What follows `-c` in the command line of a supervisord; None if the process is none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    program = next((place for place, word in enumerate(words) if word.rpartition(b"/")[2] in _NAMES), len(words))
    options = words[program:]
    return Path(os.fsdecode(options[options.index(b"-c") + 1])) if b"-c" in options[:-1] else None


def _is_same(folder: Path, config_dir: Path) -> bool:
    return folder == config_dir or os.path.realpath(folder) == os.path.realpath(config_dir)


def _sees(pid: int, folder: Path) -> bool:
    """Whether the process has the same folder at this path; True where that cannot be known."""
    try:
        ours, theirs = (_stat(f"{root}{os.path.abspath(folder)}") for root in ("", f"/proc/{pid}/root"))
    except OSError:
        return True
    if ours is None or theirs is None:
        return ours is theirs
    return os.path.samestat(ours, theirs)


def _stat(path: str) -> os.stat_result | None:
    """None if there is no such file; raises OSError."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _in_pid_file(pid_file: Path, config_dir: Path) -> ProcessIdentity | None:
    """A supervisord that started before the file was written, as that of version 1.0.0, which holds no lock."""
    try:
        pid = int(read_regular_file(pid_file).split()[0])
        written = pid_file.stat().st_mtime
    except (OSError, ValueError, IndexError):
        return None
    found = running_process(pid)
    if found is None or found.started > written + _CLOCK_SLACK or not is_group_process(pid, config_dir):
        return None
    return found


def holder_command(fd: int, layout: "Layout", command: Sequence[str], *, background: bool) -> list[str]:
    """The command that becomes `command`, holding the lock `fd`, in the background with a session of its own."""
    mode = "background" if background else "foreground"
    paths = (str(layout.config_dir), str(layout.supervisor_socket))
    return module_command("pyrotorque.group_lock", str(fd), mode, *paths, *command)


def main(arguments: Sequence[str]) -> None:
    """Become supervisord; returns in the parent only. Exits with 75 where the limits of this host are too small."""
    from pyrotorque.process_limits import EX_TEMPFAIL, shortage

    number, mode, config_dir, socket, *command = arguments
    fd = int(number)
    if problem := shortage():
        print(problem, file=sys.stderr)
        sys.exit(EX_TEMPFAIL)
    if mode == "background":
        if os.fork():
            os._exit(0)
        os.setsid()
    found = running_process(os.getpid())
    # On a full disk the entry is missing; the lock holds nevertheless.
    with suppress(OSError):
        ticks = found.start_ticks if found else 0
        _write(fd, GroupIdentity(os.getpid(), ticks, boot_id(), config_dir, socket))
    if fd == _INHERITED_FD:
        os.set_inheritable(fd, True)
    else:
        os.dup2(fd, _INHERITED_FD, inheritable=True)
        os.close(fd)
    os.execv(command[0], command)


def _read(path: Path) -> bytes:
    return read_regular_file(path, limit=_ENTRY_MAX)


def _write(fd: int, identity: GroupIdentity) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, identity.encode(), 0)


if __name__ == "__main__":
    main(sys.argv[1:])
