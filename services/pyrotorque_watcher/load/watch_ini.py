"""Reads the watch.ini files of a tree when a metafile below them is loaded, and again only after they were written."""

import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pyrotorque.errors import UserError
from pyrotorque.text import printable
from pyrotorque_watcher.scan.files import WATCH_INI

if TYPE_CHECKING:
    from pyrotorque.watchini import Overrides

_Stamp = tuple[int, int, int]


class WatchIniUnreadable(UserError):
    """The kernel refuses to read the file now: nothing is known about its content."""


class WatchIniFiles:
    """The watch.ini files in one job's trees. Most trees have none, and then the parser is not even imported."""

    def __init__(self, templates: Path) -> None:
        self._templates = templates
        self._read: dict[bytes, tuple[_Stamp, Overrides | UserError]] = {}

    def above(self, path: bytes, root: bytes) -> "Overrides | None":
        """The settings for a metafile at `path`, those of the nearest folder first; None if there is no watch.ini.

        Raises UserError if one of the files is invalid: then the intention of its owner is not known. Raises
        WatchIniUnreadable if one cannot be read now.
        """
        folders = folders_between(root, path.rpartition(b"/")[0])
        found = [one for folder in folders if (one := self.of(folder)) is not None]
        if not found:
            return None
        from pyrotorque.watchini import inherited

        return inherited(*found)

    def of(self, folder: bytes) -> "Overrides | None":
        """The settings in the watch.ini of `folder`; None if there is none."""
        path = folder + b"/" + WATCH_INI
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._read.pop(folder, None)
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if folder not in self._read or self._read[folder][0] != stamp:
            self._read[folder] = (stamp, self._parsed(path, found))
        content = self._read[folder][1]
        if isinstance(content, UserError):
            raise content
        return content

    def _parsed(self, path: bytes, found: os.stat_result) -> "Overrides | UserError":
        from pyrotorque.errors import SettingsError
        from pyrotorque.watchini import SIZE_MAX, parse

        shown = printable(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > SIZE_MAX:
            return UserError(f"{shown} is not a regular file, or has more than {SIZE_MAX} bytes")
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return parse(file.read(SIZE_MAX), file=shown, templates=self._templates)
        except (SettingsError, UserError) as error:
            return UserError(str(error))
        except OSError as error:
            raise _unreadable(path, error) from error


def _unreadable(path: bytes, error: OSError) -> WatchIniUnreadable:
    return WatchIniUnreadable(f"{printable(path)} cannot be read: {error.strerror}")


@lru_cache(maxsize=64)
def folders_between(root: bytes, folder: bytes) -> list[bytes]:
    """From `root` down to `folder`."""
    found = list[bytes]()
    while len(folder) > len(root):
        found.append(folder)
        folder = os.path.dirname(folder)
    return [root, *reversed(found)]
