"""The guard file: the group runs in the background only while it exists.

It is in the configuration directory. Where `run_dir` is elsewhere, a guard file there (as of version 1.0.0) is adopted:
it permits a start, too, and removing either of the two stops the group. Which files a group has is decided by its start
and recorded in its options and its process table: the guardian looks for no other ones, and creates none that is
missing alone.
"""

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pyrotorque.layout import Layout
from pyrotorque.linux.foreign_links import open_file
from pyrotorque.linux.missing import is_missing
from pyrotorque.text import printable


class GuardState(Enum):
    """Whether the group may go on running."""

    KEPT = "kept"
    REMOVED = "removed"
    SWEPT = "swept"


def permits_start(layout: Layout, guard_file: Path) -> bool:
    """Whether a guard file exists; `guard_file` is the one from the command line, or the default."""
    return guard_file.exists() or (guard_file == layout.guard_file and layout.earlier_guard_file.exists())


def guard_command(guard_file: Path) -> str:
    """The shell command that creates the guard file, and its folder where that is absent: after a restore, a logout, or
    a cleaner of temporary files."""
    folder, file = (shlex.quote(printable(str(path))) for path in (guard_file.parent, guard_file))
    return f"touch {file}" if guard_file.parent.is_dir() else f"mkdir -p -m 700 {folder} && touch {file}"


def adopted(layout: Layout, guard_file: Path) -> tuple[Path, ...]:
    """The guard files of a group that starts: `guard_file`, and that of 1.0.0 if it exists and is another one.

    The default file is created if only that of 1.0.0 exists.
    """
    default, earlier = layout.guard_file, layout.earlier_guard_file
    if guard_file not in (default, earlier):
        return (guard_file,)
    if earlier == default or is_missing(earlier):
        return (default,)
    if is_missing(default):
        with suppress(OSError):
            _create(default)
        if is_missing(earlier):  # removed meanwhile
            default.unlink(missing_ok=True)
    return (default, earlier)


@dataclass(frozen=True)
class GuardFiles:
    """The guard file of a running group, and the one of 1.0.0 if the group was started with it."""

    files: tuple[Path, ...]

    @classmethod
    def of(cls, layout: Layout, files: tuple[Path, ...]) -> "GuardFiles":
        """The files of a group, as they were recorded when it started. One of 1.0.0 has only its own until its next
        restart: it is adopted here."""
        started_by_1_0_0 = files == (layout.earlier_guard_file,)
        return cls(adopted(layout, *files) if started_by_1_0_0 else files)

    def state(self, run_files: tuple[Path, ...]) -> GuardState:
        """Removed when a guard file alone is missing; swept when other files beside it are missing as well.

        `run_files` are files that exist while the group runs.
        """
        gone = [path for path in self.files if is_missing(path)]
        if not gone:
            return GuardState.KEPT
        removed = [path for path in gone if path.parent.is_dir() and not _missing_beside(path, run_files)]
        return GuardState.REMOVED if removed else GuardState.SWEPT

    def restore(self) -> None:
        """Create the files, and their folders, where they were swept."""
        for path in self.files:
            with suppress(OSError):
                _create(path)

    def remove(self) -> None:
        """Remove all of them: one that is left would let the watchdog start the group again."""
        for path in self.files:
            with suppress(OSError):
                path.unlink()


def _missing_beside(path: Path, run_files: tuple[Path, ...]) -> bool:
    return any(file.parent == path.parent and is_missing(file) for file in run_files)


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(open_file(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK))
