"""What the command line says reaches the services through `run/options.json`."""

import os
import tempfile
from pathlib import Path

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.layout import Layout


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `pyrotorque` that its services need to know."""

    dry_run: bool = False
    log_level: str | None = None
    config_files: tuple[str, ...] = ()
    foreground: bool = False
    guard_file: str | None = None
    pid_file: str | None = None


def read_options(layout: Layout) -> Options:
    """What the group was started with; nothing special where it was never said, or where it cannot be read any more."""
    try:
        return msgspec.json.decode(layout.options_file.read_bytes(), type=Options)
    except (OSError, msgspec.DecodeError):
        return Options()


def write_options(layout: Layout, options: Options) -> None:
    """Keep `options` for the services of this group."""
    write_atomically(layout.options_file, msgspec.json.encode(options))


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a private file so that a reader sees the old or the new content, never half of it.

    Raises StateError when that cannot be done.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}") from error
