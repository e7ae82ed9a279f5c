"""What a group needs of a host with small limits: open files for each process, and processes and threads of its user.

supervisord does not start where a process may open fewer than 1,024 files, or its user may have fewer than 200
processes, as on shared hosts. The group needs fewer: both minima are lowered to what the host allows.
"""

import re
import resource
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.errors import PyrotorqueError

EX_TEMPFAIL: Final = 75
DEFAULTS: Final = {"minfds": 1024, "minprocs": 200}
"""Of supervisord; without a value in its files or on its command line."""
FILES: Final = 128
"""An idle service has up to 60 open files."""
THREADS: Final = 40
"""An idle group has 35 processes and threads: libzmq ends a process that cannot start one."""
_LIMITS: Final = {"minfds": resource.RLIMIT_NOFILE, "minprocs": resource.RLIMIT_NPROC}
_WORD: Final = re.compile(rb"--(minfds|minprocs)=(\d+)")
_SMALL_STACK: Final = 256 << 10  # bytes


class LimitTooSmall(PyrotorqueError):
    """The limits of this host are too small for the group."""

    exit_code = EX_TEMPFAIL


def lowered_minima(supervisord: int = 0) -> Mapping[str, int]:
    """The minima that a start lowers, here and now; of a running supervisord those that it was started with."""
    if supervisord:
        return _given(supervisord)
    return {name: most for name, most in ((name, _most(name)) for name in DEFAULTS) if most < DEFAULTS[name]}


def minima_words() -> list[str]:
    """Words for the command line of supervisord. They stay in force when it restarts, whatever the limits of the
    process are that requests that.
    """
    return [f"--{name}={value}" for name, value in lowered_minima().items()]


def shortage() -> str:
    """Why the group cannot work here, with the limit to raise; empty if it can. It starts and ends threads."""
    if (files := _most("minfds")) < FILES:
        return (
            f"a process may open {files} files, and the group needs {FILES}: raise the limit (`ulimit -Hn` is {files})"
        )
    if (threads := _startable_threads()) < THREADS:
        limits = (("-u", resource.RLIMIT_NPROC, 1), ("-v", resource.RLIMIT_AS, 1024))
        finite = [
            f"`ulimit {option}` is {soft // unit}"
            for option, kind, unit in limits
            if (soft := resource.getrlimit(kind)[0]) != resource.RLIM_INFINITY
        ]
        cure = f"raise the limit ({', '.join(finite)})" if finite else "the limit is that of the machine or container"
        return f"only {threads} of the {THREADS} processes and threads that the group needs can be started: {cure}"
    return ""


def _given(supervisord: int) -> Mapping[str, int]:
    try:
        words = Path(f"/proc/{supervisord}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return {}
    return {found[1].decode(): int(found[2]) for word in words if (found := _WORD.fullmatch(word))}


def _most(name: str) -> int:
    """The largest minimum that supervisord can have, at most its default: it raises its limits as far as it may."""
    limit, wanted = _LIMITS[name], DEFAULTS[name]
    soft, hard = resource.getrlimit(limit)
    if resource.RLIM_INFINITY in (soft, hard) or hard >= wanted:
        return wanted
    with suppress(OSError, ValueError):  # root may raise it
        resource.setrlimit(limit, (soft, wanted))
        resource.setrlimit(limit, (soft, hard))
        return wanted
    return hard


def _startable_threads() -> int:
    """How many can be started now, at most as many as the group needs."""
    threads: list[threading.Thread] = []
    end = threading.Event()
    before = threading.stack_size(_SMALL_STACK)
    try:
        while len(threads) < THREADS:
            thread = threading.Thread(target=end.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError:  # can't start new thread
        pass
    finally:
        end.set()
        for thread in threads:
            thread.join()
        threading.stack_size(before)
    return len(threads)
