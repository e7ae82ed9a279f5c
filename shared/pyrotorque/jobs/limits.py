"""What the kernel is told about a worker's process before foreign code runs in it."""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with(parent: int) -> None:
    """End at once when the scheduler does, and leave no core file."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getppid() != parent:
        sys.exit(0)


def limit_memory(allowance: int) -> None:
    """Let this process have so many bytes more than it has now.

    What counts is address space (RLIMIT_AS): also what was mapped and never touched, and each thread's stack. Each
    child process may have as much again; what the kernel keeps in its caches for us does not count.
    """
    if allowance > 0:
        most = address_space() + allowance
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def address_space() -> int:
    """The bytes of address space that this process has (proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
