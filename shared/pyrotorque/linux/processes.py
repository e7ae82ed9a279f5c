"""Processes as the kernel describes them in /proc, and what a process arranges for itself and its children."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
_PR_SET_PDEATHSIG: Final = 1
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class ProcessStat(NamedTuple):
    """The fields of /proc/PID/stat that are in use (proc(5)); times are in clock ticks."""

    state: str
    session: int
    user_ticks: int
    system_ticks: int
    start_ticks: int
    resident_pages: int

    @property
    def cpu_seconds(self) -> float:
        return (self.user_ticks + self.system_ticks) / _TICKS_PER_SECOND

    @property
    def resident_bytes(self) -> int:
        return self.resident_pages * resource.getpagesize()

    @property
    def started(self) -> float:
        """The start time in Unix seconds."""
        return boot_time() + self.start_ticks / _TICKS_PER_SECOND


class ProcessIdentity(NamedTuple):
    """One process for as long as the machine runs: its pid may be used again, but not with the same start time.

    The start time counts from boot, so that setting the system clock does not change an identity.
    """

    pid: int
    start_ticks: int

    @property
    def started(self) -> float:
        """The start time in Unix seconds."""
        return boot_time() + self.start_ticks / _TICKS_PER_SECOND

    def is_running(self, proc: Path = PROC) -> bool:
        """Whether this process still runs; a zombie does not."""
        return running_process(self.pid, proc) == self


def process_stat(pid: int, proc: Path = PROC) -> ProcessStat | None:
    """None if there is no such process or it is hidden from this user."""
    try:
        content = (proc / str(pid) / "stat").read_bytes()
        # The second field is the process name in parentheses; it may contain spaces and parentheses.
        fields = content.rpartition(b")")[2].split()
        numbers = [int(fields[index]) for index in (3, 11, 12, 19, 21)]
    except (OSError, ValueError, IndexError):
        return None
    return ProcessStat(fields[0].decode("ascii", "replace"), *numbers)


def running_process(pid: int, proc: Path = PROC) -> ProcessIdentity | None:
    """The process that has this pid now; None if there is none or it is a zombie."""
    found = process_stat(pid, proc) if pid > 0 else None
    return ProcessIdentity(pid, found.start_ticks) if found and found.state not in "ZX" else None


def process_name(pid: int, proc: Path = PROC) -> str:
    """The name of the program that a process runs (at most 15 characters); empty if there is no such process."""
    try:
        return (proc / str(pid) / "comm").read_text(errors="replace").removesuffix("\n")
    except (OSError, ValueError):
        return ""


def runs_program(pid: int, program: str, proc: Path = PROC) -> bool:
    """Whether a process runs this program, by its name: threads, wrappers and versions may add to it."""
    return program in process_name(pid, proc)


def session_members(session: int, proc: Path = PROC) -> Iterator[int]:
    """The pids of all processes in a session."""
    for entry in os.listdir(proc):
        if entry.isdecimal() and (found := process_stat(int(entry), proc)) and found.session == session:
            yield int(entry)


def boot_time() -> float:
    """When the kernel was started, in Unix seconds, rounded to a clock tick so that it is the same at each call.

    Calculated from the clock that start times are measured with: `btime` in /proc/stat has whole seconds only, and
    lxcfs replaces it by the container's start.
    """
    # The shortest of a few readings: between the two clocks this process may have been interrupted.
    readings = [(time.clock_gettime(time.CLOCK_BOOTTIME), time.time()) for _ in range(3)]
    after = [boot for boot, _ in readings[1:]] + [time.clock_gettime(time.CLOCK_BOOTTIME)]
    _, offset = min((end - boot, wall - (boot + end) / 2) for (boot, wall), end in zip(readings, after, strict=True))
    return round(offset * _TICKS_PER_SECOND) / _TICKS_PER_SECOND


def boot_id() -> str:
    """The kernel's identifier of this boot (random(4)); `unknown` if it cannot be read."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def kernel_uptime() -> float:
    """Seconds since the boot of the kernel, suspended ones too; no setting of the system clock changes them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def awake_time() -> float:
    """Seconds since the boot of the kernel without suspended ones; no setting of the system clock changes them."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def parent_death_signal(number: int) -> Callable[[], None]:
    """A function for `preexec_fn`: the kernel sends `number` to the process that calls it when the parent thread ends.

    Libraries are loaded here, not in the returned function, which runs between fork and exec.
    """
    try:
        import ctypes

        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (ImportError, OSError, AttributeError):
        return lambda: None

    def request() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return request


def signal_on_parent_death(number: int) -> None:
    """Request `number` from the kernel when the parent of this process ends; it counts for the calling thread."""
    parent_death_signal(number)()


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process, without a core file, when its parent ends; exit now if that has happened."""
    signal_on_parent_death(signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getppid() != parent:
        sys.exit(0)


@contextmanager
def umask(mask: int) -> Generator[int]:
    """Create files with this umask inside the block; yields the umask outside of it."""
    before = os.umask(mask)
    try:
        yield before
    finally:
        os.umask(before)


def current_umask() -> int:
    """The umask of this process."""
    with suppress(OSError, ValueError, StopIteration):
        # Reading it from /proc does not change it, which other threads would notice.
        status = (PROC / "self/status").read_text(errors="replace")
        return int(next(line for line in status.splitlines() if line.startswith("Umask:")).split()[1], 8)
    with umask(0o077) as before:
        return before
