"""Decides whether a file in a watched tree is trusted with paths, and where its paths may lead.

Otherwise each user who may write a watch.ini could have the content of a torrent stored over the configuration, which
contains code.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from pyrotorque.layout import Layout
from pyrotorque.linux.filesystems import Locations, is_within, read_mounts
from pyrotorque.text import printable

_FILES_MAX: Final = 100_000
UNKNOWN_FILES: Final = "a magnet link does not say which files it has"
_ACL: Final = "system.posix_acl_access"


def distrust(path: bytes, found: os.stat_result) -> str:
    """Why the file at `path`, opened and found like this, is not trusted with paths; empty if it is."""
    if found.st_uid not in (os.geteuid(), 0):
        return f"it belongs to {_user(found.st_uid)}"
    if found.st_nlink > 1:
        return "it has several links, so another user may have put it there"
    if who := _other_writers(path, found):
        return f"{who} may write it"
    folder = os.path.dirname(path)
    try:
        above = os.stat(folder)
        entry = os.lstat(path)
    except OSError as error:
        return f"its folder cannot be examined: {error.strerror}"
    if entry.st_uid not in (os.geteuid(), 0):
        return f"it is a link of {_user(entry.st_uid)}"
    if above.st_uid not in (os.geteuid(), 0):
        return f"its folder belongs to {_user(above.st_uid)}"
    if who := _other_writers(folder, above):
        return f"{who} may write its folder"
    return ""


def _other_writers(path: bytes, found: os.stat_result) -> str:
    if found.st_mode & stat.S_IWOTH:
        return "everyone"
    if not found.st_mode & stat.S_IWGRP:
        return ""
    with suppress(OSError):
        if _ACL in os.listxattr(path):
            return "another user (it has an access control list)"
    return "" if _is_private_group(found.st_gid) else f"group {found.st_gid}"


def _is_private_group(gid: int) -> bool:
    """Whether only the owner of this process is in the group: many systems give each user such a group."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def private_folders(layout: Layout, session: bytes = b"") -> tuple[Path, ...]:
    """The folders and files of pyrotorque and rTorrent into which no content of torrents may be stored."""
    own = (layout.config_dir, layout.run_dir, layout.state_dir, layout.log_dir)
    home = Path(os.path.expanduser("~"))
    rtorrents = (home / ".rtorrent.rc", home / ".config" / "rtorrent")
    return (*own, *rtorrents, *((Path(os.fsdecode(session)),) if session else ()))


# Below the home. What they have for other programs is run by these, such as the units of systemd.
_OF_ALL_PROGRAMS: Final = frozenset(
    (b".config", b".local", b".local/share", b".local/state", b".local/lib", b".cache", b".var", b".var/app")
)


@dataclass(frozen=True, slots=True)
class StorageLimits:
    """Where the content of torrents may be stored: `below` these folders (empty: anywhere), never in `private` ones."""

    below: Sequence[Path]
    private: Sequence[Path]
    locations: Locations | None = None
    """What was looked at before, to be used instead of reading the mounts each time."""
    home: Path | None = None
    """While `below` is empty, its hidden files and folders are private, too: programs run what is in them."""
    root: bytes = b""
    """The hidden folder with this watched root is not, such as `~/.rtorrent`, or `~/.config/rtorrent`."""

    def refusal(self, folder: bytes, files: Iterable[bytes] | None) -> str:
        """Why content must not be stored in `folder`; empty if it may.

        `files` are the paths of the content in it; None if they are not known yet.
        """
        locations = self.locations or Locations(read_mounts())
        allowed = [locations.of(bytes(path)) for path in self.below]
        private = [locations.of(bytes(path)) for path in self.private]
        for path in self._paths(folder, files):
            there = locations.of(path)
            if allowed and not any(is_within(there, each) for each in allowed):
                return f"{printable(path)} is not below {', '.join(map(str, self.below))} (job.NAME.below)"
            for number, each in enumerate(private):
                if is_within(there, each):
                    return f"{printable(path)} is in {self.private[number]}, where no content of torrents may be stored"
            if self.home and not allowed and self._is_hidden(there, locations.of(bytes(self.home)), locations):
                return (
                    f"{printable(path)} is a hidden file or folder of your home, or in one: if you want this, set "
                    "job.NAME.below to the folders for content"
                )
        if files is not None:
            return ""
        hidden = [locations.of(bytes(self.home))] if self.home and not allowed else []
        return self._unknown_name(folder, [*private, *hidden], locations.of(folder))

    def _is_hidden(self, there: bytes, home: bytes, locations: Locations) -> bool:
        own = _own_folder(locations.of(self.root), home) if self.root else b""
        return _below(there, home).startswith(b".") and not (own and is_within(there, own))

    def _unknown_name(self, folder: bytes, private: Sequence[bytes], there: bytes) -> str:
        for number, each in enumerate(private):
            if is_within(each, there):
                found = [*self.private, self.home][number]
                return f"{printable(folder)} contains {found}, and {UNKNOWN_FILES}"
        return ""

    @staticmethod
    def _paths(folder: bytes, files: Iterable[bytes] | None) -> Iterable[bytes]:
        """`folder`, and each file in it: an existing link or folder of the same name may lead elsewhere."""
        yield folder
        for file in islice(files or (), _FILES_MAX):
            yield os.path.join(folder, file)


def _below(path: bytes, folder: bytes) -> bytes:
    """The path from `folder` to `path`; empty if it is not below it."""
    return path[len(folder.rstrip(b"/")) + 1 :] if is_within(path, folder) else b""


def _own_folder(root: bytes, home: bytes) -> bytes:
    """The first folder on the way from the home to `root` that is not one for all programs; empty if there is none."""
    parts = _below(root, home).split(b"/")
    for count in range(1, len(parts) + 1):
        folder = b"/".join(parts[:count])
        if folder and folder not in _OF_ALL_PROGRAMS:
            return os.path.join(home, folder)
    return b""
