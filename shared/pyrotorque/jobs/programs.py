"""Runs a program for a job: little in its environment, a deadline for it and what it starts, no shell in between."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.errors import UserError
from pyrotorque.text import printable

KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None)


class ProgramFailed(UserError):
    """A program could not be run, left with a status that is not 0, or did not end in time."""


def environment(ours: Mapping[str, str], extra: Sequence[str] = ()) -> dict[str, str]:
    """What a program gets of our environment: the usual names, the locale's, and `extra`."""
    kept = {name: value for name, value in ours.items() if name in KEPT or name in extra or name.startswith("LC_")}
    return {"PATH": _PATH, **kept}


def run(argv: Sequence[str], *, within: float, cwd: Path | None = None, extra: Sequence[str] = ()) -> None:
    """Run it to its end; what it prints goes where ours goes. Raises ProgramFailed."""
    shown = printable(argv[0])
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            env=environment(os.environ, extra),
            cwd=cwd,
            process_group=0,
            # We have no threads here: a worker's job runs in its main one, and the child goes on to exec at once.
            preexec_fn=_die_with_us,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramFailed(f"{shown} cannot be run: {getattr(error, 'strerror', None) or error}") from error
    try:
        status = process.wait(within)
    except subprocess.TimeoutExpired:
        raise ProgramFailed(f"{shown} did not end within {within:g} s, and was killed") from None
    finally:
        _end(process)
    if status:
        ended = f"was ended by signal {-status}" if status < 0 else f"left with exit status {status}"
        raise ProgramFailed(f"{shown} {ended}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Nothing that it started may outlive it, but for what made itself a session of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _die_with_us() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
