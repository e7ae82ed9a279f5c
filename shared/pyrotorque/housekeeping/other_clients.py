"""Reads the files of other clients on the same disks: sessions of further rTorrents, or folders that they use.

What cannot be read stops the run: an unseen client would lose its files.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyrotorque.errors import RemovalRefused, UserError
from pyrotorque.housekeeping.item_files import ItemContent
from pyrotorque.housekeeping.session_items import ContentFile, SessionItems, is_session_file
from pyrotorque.text import printable

NONE: Final = "none"
_LOCK: Final = b"rtorrent.lock"
_OF_OTHERS: Final = (b".fastresume", b".resume", b"torrents.state", b"resume.dat")
_TRANSMISSION: Final = {b"torrents", b"resume"}
_FOLDERS_MAX: Final = 100_000


@dataclass
class OtherClients:
    """Folders, each a session of another rTorrent, or a folder whose files another client uses."""

    folders: tuple[Path, ...] = ()
    _sessions: dict[bytes, SessionItems] = field(default_factory=dict[bytes, SessionItems])

    def read(self) -> list[ItemContent]:
        """The files of all other clients. Raises RemovalRefused for a folder that cannot be read or is empty."""
        found: list[ItemContent] = []
        for number, folder in enumerate(map(os.fsencode, self.folders), 1):
            owner = f"other client {number}"
            try:
                names = os.listdir(folder)
                if not names:
                    raise RemovalRefused(f"{printable(folder)} (others) is empty: is its disk mounted?")
                if any(name.endswith(_OF_OTHERS) for name in names) or set(names) >= _TRANSMISSION:
                    raise RemovalRefused(
                        f"{printable(folder)} (others) is the session of another client than rTorrent: name the "
                        "folders with its data instead"
                    )
                # Also of a session that ended between the files of its only item.
                is_session = _LOCK in names or any(map(is_session_file, names))
                found += self._session(folder, owner) if is_session else [_folder(folder, owner)]
            except OSError as error:
                raise RemovalRefused(f"{printable(folder)} (others) cannot be read: {error.strerror}") from None
        return found

    def _session(self, folder: bytes, owner: str) -> list[ItemContent]:
        items, problems = self._sessions.setdefault(folder, SessionItems(folder)).read()
        for info_hash, problem in problems.items():
            raise RemovalRefused(f"item {info_hash} in {printable(folder)} (others) cannot be read: {problem}")
        contents: list[ItemContent] = []
        for item in items.values():
            directory = os.path.expanduser(item.directory)
            if not directory.startswith(b"/"):
                raise RemovalRefused(
                    f"item {item.info_hash} in {printable(folder)} (others) has the relative directory "
                    f"{printable(directory)}: name its data folder in `others` as well, and give it an absolute one"
                )
            name = item.name.decode("utf-8", "surrogateescape")
            is_known = not item.is_magnet
            contents.append(ItemContent(item.info_hash, name, directory, item.files, item.multi_file, owner, is_known))
        return contents


def parse_others(job: str, text: str) -> OtherClients | None:
    """The other clients that the setting `others` names; None if it is not set. Raises UserError."""
    if not text:
        return None
    if text.lower() == NONE:
        return OtherClients()
    folders = tuple(Path(part).expanduser() for part in text.split(":") if part)
    for folder in folders:
        if not folder.is_absolute():
            raise UserError(f"job.{job}.others: {printable(str(folder))} is not an absolute path, nor `none`")
    return OtherClients(folders)


def _folder(folder: bytes, owner: str) -> ItemContent:
    files = tuple(ContentFile(path, 0) for path in _walk(folder))
    return ItemContent(printable(folder), printable(folder), folder, files, owner=owner)


def _walk(folder: bytes) -> Iterator[bytes]:
    """All files below a folder, relative to it; links to folders are followed once."""
    pending, seen = [folder], set[tuple[int, int]]()
    while pending:
        current = pending.pop()
        found = os.stat(current)
        if (found.st_dev, found.st_ino) in seen:
            continue
        seen.add((found.st_dev, found.st_ino))
        if len(seen) > _FOLDERS_MAX:
            raise RemovalRefused(f"{printable(folder)} (others) has more than {_FOLDERS_MAX} folders")
        for name in os.listdir(current):
            path = os.path.join(current, name)
            try:
                is_folder = stat.S_ISDIR(os.stat(path).st_mode)
            except FileNotFoundError:  # a dangling link, or removed meanwhile
                continue
            if is_folder:
                pending.append(path)
            else:
                yield os.path.relpath(path, folder)
