"""Unusual environments in which the command must work, or fail with one line."""

import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest


def nothing() -> None:
    """The process starts as any other."""


@dataclass(frozen=True)
class Environment:
    """How to start a command: changed variables (None removes one), what runs before exec, a command around it."""

    variables: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    before: Callable[[], None] = nothing
    script: str = ""  # shell commands in a mount namespace of its own
    uid: int | None = None  # a user without passwd entry
    output: str = ""  # standard output

    def wrapped(self, command: list[str]) -> list[str]:
        """The command that runs `command` in this environment; the test is skipped where that is not allowed."""
        if self.script:
            return [*mount_namespace(self.script), *command]
        if self.uid is not None:
            return [*user_namespace(self.uid), *command]
        return command

    def applied(self, environ: Mapping[str, str]) -> dict[str, str]:
        changed = {**environ, **{name: value for name, value in self.variables.items() if value is not None}}
        return {name: value for name, value in changed.items() if self.variables.get(name, "") is not None}


def mount_namespace(script: str) -> list[str]:
    """Words before a command that runs after `script`, as root of a mount namespace."""
    words = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    _require(*words)
    return [*words, "sh", "-ec", f'{script}\nexec "$@"', "sh"]


def user_namespace(uid: int) -> list[str]:
    """Words before a command that runs with a user id that has no passwd entry, and with our rights to files."""
    words = ["unshare", "-U", f"--map-user={uid}", f"--map-group={uid}"]
    _require(*words)
    return words


@cache
def _is_allowed(*words: str) -> bool:
    return subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0


def _require(*words: str) -> None:
    if not _is_allowed(*words):
        pytest.skip(f"not tested: `{' '.join(words)}` is not allowed here; run as root, or allow user namespaces")


def limits(**values: int) -> Callable[[], None]:
    """Sets limits such as `NOFILE=32`."""

    def lower() -> None:
        for name, value in values.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    return lower


def closed(*descriptors: int) -> Callable[[], None]:
    """Closes standard streams."""

    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


def ignore_hangup() -> None:
    """As nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def block_signals() -> None:
    """As a thread that leaves all signals to another one, and starts a program."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def hide_all() -> None:
    """A umask that takes all rights from new files."""
    os.umask(0o777)


def enter_removed_folder() -> None:
    """The working directory does not exist."""
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)
    folder.rmdir()


def clean_environment() -> dict[str, str]:
    """Our variables without those that the matrix is about."""
    ours = ("PYRO_CONFIG_DIR", "TZ", "LANG", "COLUMNS")
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("LC_")}
