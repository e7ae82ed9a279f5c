"""Runs a program for a job: a minimal environment, a deadline for it and its process group, no shell in between."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.errors import UserError
from pyrotorque.linux.processes import parent_death_signal
from pyrotorque.text import printable

PASSED_ON: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class ProgramFailed(UserError):
    """A program could not be run, exited with a status other than 0, or exceeded its deadline."""


def environment(ours: Mapping[str, str], extra: Sequence[str] = ()) -> dict[str, str]:
    """The environment of a program: the usual variables, those of the locale, and `extra`."""
    kept = {name: value for name, value in ours.items() if name in PASSED_ON or name in extra or name.startswith("LC_")}
    return {"PATH": _PATH, **kept}


def run(argv: Sequence[str], *, within: float, cwd: Path | None = None, extra: Sequence[str] = ()) -> None:
    """Run the program and wait for it; it shares our output. Raises ProgramFailed."""
    shown = printable(argv[0])
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            env=environment(os.environ, extra),
            cwd=cwd,
            process_group=0,
            # Safe without threads: a worker runs its job in the main thread, and the child calls exec immediately.
            preexec_fn=parent_death_signal(signal.SIGKILL),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramFailed(f"{shown} cannot be run: {getattr(error, 'strerror', None) or error}") from error
    try:
        status = process.wait(within)
    except subprocess.TimeoutExpired:
        raise ProgramFailed(f"{shown} exceeded its deadline of {within:g} s and was killed") from None
    finally:
        _kill_group(process)
    if status:
        ended = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
        raise ProgramFailed(f"{shown} {ended}")


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill what the program started, except processes that created their own session."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
