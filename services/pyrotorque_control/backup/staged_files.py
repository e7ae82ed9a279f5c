"""Unpacks an archive into staging folders, each inside the folder that its files are for, so on the same disk."""

import fcntl
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyrotorque.errors import SettingsError
from pyrotorque.layout import Layout
from pyrotorque.settings import layout_of
from pyrotorque.text import printable
from pyrotorque_control.backup.archive import Member
from pyrotorque_control.backup.contents import require_state_apart
from pyrotorque_control.backup.free_space import require_space
from pyrotorque_control.backup.manifest import CONFIG, SESSION, STAGING, STATE
from pyrotorque_control.backup.moved_paths import MovedPaths, rewrite
from pyrotorque_control.backup.swap import require_no_unfinished_restore
from pyrotorque_control.exit_codes import EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import CommandError

_SETTINGS_FILES: Final = ("*.ini", "supervisor.conf")


@dataclass(frozen=True)
class RestoreRequest:
    """`session` is where to restore rTorrent's session; without one, and with `without_session`, it is left out."""

    archive: Path
    session: Path | None
    without_session: bool
    replace: bool
    moved: MovedPaths
    dry_run: bool


@dataclass
class NewFolders:
    """The folders that did not exist before, removed again unless the restore succeeds."""

    made: list[Path] = field(default_factory=list[Path])

    def make(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(mode=0o700)
            self.made.append(path)

    def keep(self) -> None:
        self.made.clear()


@contextmanager
def new_folders() -> Generator[NewFolders]:
    folders = NewFolders()
    try:
        yield folders
    finally:
        for path in reversed(folders.made):
            with suppress(OSError):
                path.rmdir()


def require_own(folder: Path) -> None:
    """The restored files belong to the user that restores them: raises CommandError if others need them.

    A folder that root would create belongs to the user of the one above it.
    """
    place = next(path for path in (folder, *folder.parents) if path.exists())
    owner, user = place.stat().st_uid, os.geteuid()
    if owner != user and (place == folder or user == 0):
        shown = printable(str(place))
        raise CommandError(f"{shown} belongs to user {owner}", EX_USAGE, hint="restore it as that user")


@contextmanager
def exclusive(folder: Path) -> Generator[None]:
    """One restore to this folder at a time; raises CommandError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise CommandError(f"another restore to {printable(str(folder))} is running", EX_TEMPFAIL) from None
    try:
        yield
    finally:
        os.close(fd)


@dataclass
class StagedFiles:
    """Receives the files of an archive in a staging folder inside each folder that they are for."""

    config_dir: Path
    request: RestoreRequest
    new_folders: NewFolders
    layout: Layout | None = None
    rewritten: int = 0
    used: set[Path] = field(default_factory=set[Path])
    locks: ExitStack = field(default_factory=ExitStack)

    def receive(self, member: Member, chunks: Iterator[bytes]) -> None:
        """Write the file, unless it is of a session that is not restored."""
        area, _, rest = member.name.partition("/")
        if area == SESSION and self.request.session is None:
            return
        staging = self.staging(area)
        require_space(staging, member.size, printable(member.name))
        path = staging / rest
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as file:
            for data in chunks:
                file.write(data)
            os.fchmod(file.fileno(), 0o600 if area == STATE else (member.mode | 0o600))
        os.utime(path, (member.mtime, member.mtime))

    def staging(self, area: str) -> Path:
        """The staging folder of an area. The configuration comes first: it sets where the state is."""
        if area != CONFIG and self.layout is None:
            self.layout = self._read_layout()
        folder = {CONFIG: self.config_dir, SESSION: self.request.session}.get(area) or self.complete_layout.state_dir
        staging = folder / STAGING
        if staging not in self.used:
            require_own(folder)
            self.new_folders.make(folder)
            self.locks.enter_context(exclusive(folder))
            require_no_unfinished_restore(folder)
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(mode=0o700)
            self.used.add(staging)
        return staging

    @property
    def complete_layout(self) -> Layout:
        if self.layout is None:
            self.layout = self._read_layout()
        return self.layout

    def remove(self) -> None:
        for staging in self.used:
            shutil.rmtree(staging, ignore_errors=True)
        self.locks.close()

    def _read_layout(self) -> Layout:
        """The folders of the restored group: those in its torque.ini, with moved paths."""
        staged = self.staging(CONFIG)
        for pattern in _SETTINGS_FILES:
            for path in staged.glob(pattern):
                text = path.read_bytes()
                self.rewritten += len(self.request.moved.lines(text))
                rewrite(path, self.request.moved.text(text))
        try:
            found = layout_of(staged)
        except SettingsError:
            found = Layout.below(staged)
        folders = [
            self.config_dir / path.relative_to(staged) if path.is_relative_to(staged) else path
            for path in (found.run_dir, found.state_dir)
        ]
        layout = Layout.below(self.config_dir, run_dir=folders[0], state_dir=folders[1])
        require_state_apart(layout)
        return layout
