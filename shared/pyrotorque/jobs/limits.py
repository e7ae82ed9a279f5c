"""Limits the memory of a worker process before it runs the code of a job."""

import resource
from pathlib import Path


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
