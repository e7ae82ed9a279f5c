"""rTorrent's session as files: finds its folder, has rTorrent save it, and reads each item between two saves."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pyrotorque.errors import RTorrentError, RTorrentFault, SettingsError
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import process_name, running_process
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.recognition import NOT_COMPARED, RECORD_NAME, KnownSession, SessionGate, decode_record
from pyrotorque.rtorrent.session import is_complete
from pyrotorque.rtorrent.session_mark import read_mark
from pyrotorque.text import printable
from pyrotorque_control.backup.contents import FileContent, read_stable
from pyrotorque_control.backup.manifest import MARK_NAME, SESSION, SESSION_FILE
from pyrotorque_control.exit_codes import EX_TEMPFAIL, EX_UNAVAILABLE
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.rtorrent import rtorrent_of, settings_of

_ADVICE: Final = "with --no-session, the backup is made without it"
_SUFFIXES: Final = (".rtorrent", ".libtorrent_resume", "")
_SAVE_TIMEOUT: Final = 30.0  # seconds
_ITEM_TIMEOUT: Final = 5.0  # seconds
_ALL_ITEMS_TIMEOUT: Final = 60.0  # seconds, for all items together that are not saved completely
_POLL: Final = 0.05  # seconds
_SAVE_CALL_TIMEOUT: Final = 120.0  # seconds: 0.9.8 answers when all items are saved
# File times have the resolution of the kernel's tick.
_TICK: Final = 0.02


class SavedItem(NamedTuple):
    """The files of one item by their names in an archive; empty if it is not saved completely."""

    info_hash: str
    files: dict[str, FileContent]


@dataclass
class SessionSource:
    """The session folder of the group's rTorrent; `rtorrent` is None if it does not answer."""

    folder: Path
    version: str = ""
    rtorrent: RTorrent | None = None
    incarnation: str = ""

    def save(self) -> None:
        """Have rTorrent save all items. What pyrotorque has recorded is saved already, so a failure loses only progress
        of downloads, which rTorrent then finds by checking the data."""
        if self.rtorrent is None:
            return
        begun = time.time() - _TICK
        with suppress(RTorrentError):
            self.rtorrent.call("session.save", "", timeout=_SAVE_CALL_TIMEOUT)
            deadline = time.monotonic() + _SAVE_TIMEOUT
            # 0.16 answers before it has saved.
            while time.monotonic() < deadline and not self._is_saved_since(begun):
                time.sleep(_POLL)

    def check_unchanged(self) -> None:
        """Raises CommandError if rTorrent was restarted, or replaced by another one, since the folder was found."""
        if self.rtorrent is None:
            return
        try:
            incarnation = self.rtorrent.identity().incarnation
        except RTorrentError as error:
            raise CommandError(f"rTorrent stopped during the backup: {error}; try again", EX_TEMPFAIL) from error
        if incarnation != self.incarnation:
            raise CommandError("rTorrent was restarted during the backup; try again", EX_TEMPFAIL)

    def items(self) -> Iterator[SavedItem]:
        """Each item that is in the folder; one that is erased meanwhile is left out."""
        give_up_at = time.monotonic() + _ALL_ITEMS_TIMEOUT
        for info_hash in self.hashes():
            if (item := read_item(self.folder, info_hash, give_up_at)) is not None:
                yield item

    def hashes(self) -> list[str]:
        """The items that have any file in the folder."""
        found = (SESSION_FILE.fullmatch(name) for name in os.listdir(self.folder))
        return sorted({match[1] for match in found if match})

    def mark(self) -> FileContent | None:
        """Our mark, which identifies the session."""
        return read_stable(self.folder / MARK_NAME)

    def _is_saved_since(self, begun: float) -> bool:
        for info_hash in self.hashes():
            try:
                if os.stat(self.folder / f"{info_hash}.torrent.rtorrent").st_mtime < begun:
                    return False
            except FileNotFoundError:
                continue
        return True


def read_item(folder: Path, info_hash: str, give_up_at: float) -> SavedItem | None:
    """The three files of an item between two saves; None if it was erased. Waits for a save in progress."""
    deadline = min(time.monotonic() + _ITEM_TIMEOUT, give_up_at)
    while True:
        names = [f"{info_hash}.torrent{suffix}" for suffix in _SUFFIXES]
        files = {name: content for name in names if (content := _saved_file(folder / name)) is not None}
        if not any(os.path.lexists(folder / name) for name in names):
            return None
        if all(name in files and _mtime(folder / name) == files[name].mtime for name in names):
            return SavedItem(info_hash, {f"{SESSION}/{name}": content for name, content in files.items()})
        if time.monotonic() > deadline:
            return SavedItem(info_hash, {})
        time.sleep(_POLL)


def _saved_file(path: Path) -> FileContent | None:
    """A file that is saved completely."""
    found = read_stable(path)
    return found if found is not None and is_complete(found.data) else None


def _mtime(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return -1.0


def find_session(group: Group, layout: Layout) -> SessionSource:
    """The session of the known rTorrent. Raises CommandError if it cannot be seen from here, or another one answers."""
    try:
        rtorrent = rtorrent_of(settings_of(group))
        identity = rtorrent.identity()
    except (SettingsError, RTorrentError) as error:
        return _recorded(layout, str(error))
    gate = SessionGate(layout.state_dir)
    session = gate.session
    try:
        reason = gate.why_unknown(rtorrent, identity)
        session.locate(rtorrent, identity)
        path = str(rtorrent.call("session.path", ""))
    except RTorrentFault as error:
        raise CommandError(f"rTorrent's session is not known: {error}; {_ADVICE}", EX_UNAVAILABLE) from error
    if reason and not (reason == NOT_COMPARED and _has_no_mark(gate)):
        raise CommandError(f"the session cannot be part of this backup: {reason}", EX_TEMPFAIL)
    if not session.folder:
        what = f"its folder {printable(path)} is not visible from here" if path else "it has none"
        raise CommandError(f"rTorrent's session cannot be copied: {what}; {_ADVICE}", EX_UNAVAILABLE)
    version = f"{identity.client_version}/{identity.library_version}"
    return SessionSource(Path(os.fsdecode(session.folder)), version, rtorrent, identity.incarnation)


def _recorded(layout: Layout, problem: str) -> SessionSource:
    """rTorrent does not answer: the folder where its session was last, if our mark proves that this is it."""
    known = _record(layout)
    if known is None or not known.facts.visible or not known.facts.mark:
        raise CommandError(f"rTorrent's session cannot be found: {problem}; {_ADVICE}", EX_UNAVAILABLE)
    folder = known.facts.session_path
    mark = read_mark(os.fsencode(folder))
    if mark is None or mark.name != known.facts.mark:
        raise CommandError(
            f"rTorrent does not answer ({problem}), and {folder} is not its known session; {_ADVICE}", EX_UNAVAILABLE
        )
    return SessionSource(Path(folder))


def _has_no_mark(gate: SessionGate) -> bool:
    known = decode_record(_read(gate.state_dir / RECORD_NAME))
    return known is not None and not known.facts.mark


def _record(layout: Layout) -> KnownSession | None:
    return decode_record(_read(layout.state_dir / RECORD_NAME))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def lock_holder(folder: Path, hostname: str) -> str:
    """The process that holds rTorrent's lock on this session folder; empty if none does.

    The lock of an rTorrent that was killed stays; it is ignored if its process has ended.
    """
    try:
        text = (folder / "rtorrent.lock").read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"rtorrent.lock cannot be read: {error.strerror}"
    host, _, pid = text.rpartition(":+")
    if not pid.isdecimal():
        return ""
    if host != hostname:
        return f"pid {pid} on {printable(host)}, which cannot be checked; delete rtorrent.lock if it has ended"
    if running_process(int(pid)) is None:
        return ""
    return f"pid {pid} ({process_name(int(pid))}); delete rtorrent.lock if that is no rTorrent"
