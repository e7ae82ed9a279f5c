"""Passes the options of the command line to the services, in `run/options.json`."""

import os
from pathlib import Path

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.layout import Layout


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `pyrotorque` that its services use."""

    dry_run: bool = False
    log_level: str | None = None
    config_files: tuple[str, ...] = ()
    foreground: bool = False
    guard_file: str | None = None
    pid_file: str | None = None


def read_options(layout: Layout) -> Options:
    """The options the group was started with; defaults where the file is missing or unreadable."""
    try:
        return msgspec.json.decode(layout.options_file.read_bytes(), type=Options)
    except (OSError, msgspec.DecodeError):
        return Options()


def write_options(layout: Layout, options: Options) -> None:
    """Write `options` for the services of this group."""
    write_atomically(layout.options_file, msgspec.json.encode(options))


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a private file so that a reader sees the old or the new content, never a part of it.

    Raises StateError when the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}") from error
