"""Passes the options of the command line to the services, in `state/options.json`."""

import logging
import os
from pathlib import Path

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.json_input import decode_json
from pyrotorque.layout import Layout
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.text import printable

log = logging.getLogger(__name__)

_warned: set[Path] = set()


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `pyrotorque` that its services use."""

    dry_run: bool = False
    log_level: str | None = None
    log_format: str = "text"
    """Of the configuration with which the group was started last; the guardian reads no configuration."""
    config_files: tuple[str, ...] = ()
    foreground: bool = False
    guard_file: str | None = None
    earlier_guard_file: str | None = None
    """That of version 1.0.0, if the group was started with it as well."""
    pid_file: str | None = None

    def guard_files(self, layout: Layout) -> tuple[Path, ...]:
        """The guard files of the group, or the default one."""
        given = (self.guard_file, self.earlier_guard_file)
        return tuple(Path(path) for path in given if path) or (layout.guard_file,)

    def guarded_by(self, files: tuple[Path, ...]) -> "Options":
        """These options, for a group with one or two guard files."""
        guard_file, earlier = (*map(str, files), None)[:2]
        return msgspec.structs.replace(self, guard_file=guard_file, earlier_guard_file=earlier)


def read_options(layout: Layout) -> Options:
    """The options the group was started with; defaults where they are missing or unreadable.

    The file in `run_dir` is that of version 1.0.0; if both exist, the newer one counts.
    """
    for path in sorted((layout.options_file, layout.earlier_options_file), key=_written, reverse=True):
        try:
            return decode_json(read_regular_file(path), type=Options)
        except (FileNotFoundError, NotADirectoryError):
            continue  # a file instead of the folder is the subject of a message of its own
        except (OSError, msgspec.DecodeError) as error:
            _warn_once(path, getattr(error, "strerror", None) or str(error))
    return Options()


def _warn_once(path: Path, reason: str) -> None:
    if path not in _warned:
        _warned.add(path)
        log.warning(
            "%s cannot be read: %s; options such as --dry-run may be forgotten, until `pyrotorque --restart` with them",
            printable(str(path)),
            reason,
        )


def write_options(layout: Layout, options: Options) -> None:
    """Write `options` for the services of this group, of this version and of 1.0.0."""
    content = msgspec.json.encode(options)
    write_atomically(layout.earlier_options_file, content)
    write_atomically(layout.options_file, content)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a private file so that a reader sees the old or the new content, never a part of it.

    Raises StateError when the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
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
        raise StateError(f"cannot write {printable(str(path))}: {error.strerror}") from error
