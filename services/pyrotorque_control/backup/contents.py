"""Which files of a configuration directory and a state folder belong in a backup; reads each as it is at one moment."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from pyrotorque.layout import ALL_SERVICES, Layout
from pyrotorque.snapshots import is_database
from pyrotorque.text import printable
from pyrotorque_control.backup.archive import PART_SUFFIX, is_archive
from pyrotorque_control.backup.manifest import CONFIG, INBOX, SESSION_FILE, STATE, name_problem
from pyrotorque_control.exit_codes import EX_CONFIG
from pyrotorque_control.group import CommandError

_CACHES: Final = frozenset(("__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache"))
_LARGE: Final = 64 << 20
_TOO_LARGE: Final = f"it is larger than {_LARGE >> 20} MiB"
_ATTEMPTS: Final = 20
# Our own archives, so that a backup does not contain the earlier ones.
ARCHIVE_PREFIX, ARCHIVE_SUFFIX = "pyrotorque-", ".tar.gz"
_IN_INBOX: Final = f"{STATE}/{INBOX}/"


class SourceFile(NamedTuple):
    """A file to copy, and its name in the archive."""

    name: str
    path: Path


class FileContent(NamedTuple):
    data: bytes
    mtime: float
    mode: int


@dataclass
class Contents:
    """`left_out` has a line for each file that a user would expect in the backup, and that is not in it."""

    layout: Layout
    apart: Sequence[Path] = ()
    """Further folders that are no part of the configuration, though they may be in its directory."""
    left_out: list[str] = field(default_factory=list[str])

    def configuration(self) -> Iterator[SourceFile]:
        """All files below the configuration directory, except those of the running group, archives and sessions. A
        restore replaces the same ones."""
        home = self.layout.config_dir
        own = (self.layout.run_dir, self.layout.state_dir, self.layout.log_dir, *self.apart)
        excluded = {os.path.realpath(path) for path in own} - {os.path.realpath(home)}
        yield from self._walk(home, CONFIG, lambda path: os.path.realpath(path) in excluded)

    def state(self) -> Iterator[SourceFile]:
        """All files below the state folder, except the services' databases and what belongs to a running group."""
        databases = {str(self.layout.database(service)) for service in ALL_SERVICES}
        yield from self._walk(self.layout.state_dir, STATE, lambda path: path in databases)

    def _walk(self, top: Path, area: str, is_excluded: Callable[[str], bool]) -> Iterator[SourceFile]:
        stack = [(str(top), area)]
        while stack:
            folder, name = stack.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.left_out.append(f"{printable(folder)}: {error.strerror}")
                continue
            if area == CONFIG and folder != str(top) and any(map(_is_apart, entries)):
                continue
            for entry in entries:
                inner = f"{name}/{entry.name}"
                if is_excluded(entry.path) or (_is_apart(entry) if area == CONFIG else _is_no_state(entry, inner)):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    is_cache = area == CONFIG and entry.name in _CACHES
                    if not is_cache and not _has_no_place(f"{inner}/x", area, name):
                        stack.append((entry.path, inner))
                elif not _has_no_place(inner, area, name):
                    yield from self._file(entry, inner)

    def _file(self, entry: "os.DirEntry[str]", name: str) -> Iterator[SourceFile]:
        shown = printable(entry.path)
        if problem := name_problem(name):
            self.left_out.append(f"{shown}: {problem}")
        elif name.startswith(_IN_INBOX) and entry.is_symlink():
            self.left_out.append(f"{shown}: a link, where the fleet puts files only")
        elif entry.is_file():
            if entry.stat().st_size > _LARGE and not is_database(Path(entry.path)):
                self.left_out.append(f"{shown}: {_TOO_LARGE}")
            else:
                yield SourceFile(name, Path(entry.path))
        elif entry.is_symlink():
            self.left_out.append(f"{shown}: a link to {printable(os.readlink(entry.path))}, which is no file")


def require_state_apart(layout: Layout) -> None:
    """Raises CommandError if the state is in the configuration directory itself: what is what cannot be said then."""
    if os.path.realpath(layout.state_dir) == os.path.realpath(layout.config_dir):
        raise CommandError(
            "state_dir is the configuration directory", EX_CONFIG, hint="set a folder of its own in [TORQUE]"
        )


def _has_no_place(name: str, area: str, folder: str) -> bool:
    """Whether the file belongs to a running group, which is no reason for a warning."""
    return folder == area and "belongs to" in name_problem(name)


def _is_apart(entry: "os.DirEntry[str]") -> bool:
    """Whether it is an archive, or a file of an rTorrent's session: its folder is one for these."""
    return entry.name == "rtorrent.lock" or SESSION_FILE.fullmatch(entry.name) is not None or _is_archive(entry)


def _is_no_state(entry: "os.DirEntry[str]", inner: str) -> bool:
    """Whether it is an archive, or a metafile that the fleet has not written completely."""
    return entry.name.startswith(".") if inner.startswith(_IN_INBOX) else _is_archive(entry)


def _is_archive(entry: "os.DirEntry[str]") -> bool:
    name = entry.name
    is_named = name.startswith(ARCHIVE_PREFIX) and name.endswith(ARCHIVE_SUFFIX)
    is_read = name.endswith("gz") and entry.is_file() and is_archive(Path(entry.path))
    return is_named or is_read or name.endswith(PART_SUFFIX)


def read_stable(path: Path) -> FileContent | None:
    """The content between two writes of it; None if the file is gone. Raises OSError, for a file that is too large or
    never at rest, too."""
    for _ in range(_ATTEMPTS):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(22, "it is no regular file", str(path))
            if before.st_size > _LARGE:
                raise OSError(27, _TOO_LARGE, str(path))
            data = file.read(_LARGE + 1)
            after = os.fstat(fd)
        if _stamp(before) == _stamp(after) and len(data) == after.st_size:
            return FileContent(data, after.st_mtime, after.st_mode)
    raise OSError(11, "it changes all the time", str(path))


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
