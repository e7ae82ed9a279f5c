"""Reads the watch.ini files of a tree when a metafile below them is loaded, and again only after they were written."""

import os
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyrotorque.errors import SettingsError, UserError
from pyrotorque.text import counted, printable
from pyrotorque_watcher.scan.files import WATCH_INI

if TYPE_CHECKING:
    from pyrotorque.watchini import Overrides

_LINES_MAX, _LINE_MAX = 20, 300  # of errors

_Stamp = tuple[int, ...]


class WatchIniUnreadable(UserError):
    """The kernel refuses to read the file now: nothing is known about its content."""


class ConfiguredFolders(Protocol):
    """The folders whose watch.ini had settings when it was read last."""

    def __contains__(self, folder: object, /) -> bool: ...

    def add(self, folder: bytes, /) -> None: ...

    def discard(self, folder: object, /) -> None: ...


class WatchIniFiles:
    """The watch.ini files in one job's trees. Most trees have none, and then the parser is not even imported."""

    def __init__(self, templates: Path, configured: ConfiguredFolders, *, can_move: bool) -> None:
        self._templates = templates
        self._configured = configured
        self._can_move = can_move
        """Whether the job has a folder to move metafiles to."""
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

    def newest(self, folder: bytes, root: bytes) -> float:
        """When one of the files in or above `folder`, or the right to write one, was changed last; 0 without one."""
        newest = 0.0
        for each in folders_between(root, folder):
            path = each + b"/" + WATCH_INI
            with suppress(OSError):
                newest = max(newest, os.lstat(path).st_ctime, os.stat(path).st_ctime)
        return newest

    def of(self, folder: bytes) -> "Overrides | None":
        """The settings in the watch.ini of `folder`; None if there is none."""
        path = folder + b"/" + WATCH_INI
        try:
            stamp = _stamp(os.stat(path), os.lstat(path), os.stat(folder))
        except (FileNotFoundError, NotADirectoryError):
            self._read.pop(folder, None)
            self._configured.discard(folder)
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        if folder not in self._read or self._read[folder][0] != stamp:
            self._read[folder] = (stamp, self._judged(self._parsed(path), path, folder))
        content = self._read[folder][1]
        if isinstance(content, UserError):
            raise content
        return content

    def _judged(self, content: "Overrides | UserError", path: bytes, folder: bytes) -> "Overrides | UserError":
        """An error where a file had settings and has none: an editor, a full disk or a power failure has emptied it.

        What is loaded would lack them. What cannot be parsed was meant to set something.
        """
        if content != _overrides():
            self._configured.add(folder)
        elif folder in self._configured:
            found = "sets nothing" if os.stat(path).st_size else "is empty"
            return UserError(f"{printable(path)} {found}, and had settings: restore them, or remove the file")
        return content

    def _parsed(self, path: bytes) -> "Overrides | UserError":
        try:
            return self._parse(path)
        except (SettingsError, UserError) as error:
            return UserError(_bounded(str(error)))
        except OSError as error:
            raise _unreadable(path, error) from error

    def _parse(self, path: bytes) -> "Overrides":
        from pyrotorque.confinement import distrust
        from pyrotorque.watchini import SIZE_MAX, parse

        shown = printable(path)
        # What is judged is what is read, whatever takes its name meanwhile.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > SIZE_MAX:
                raise UserError(f"{shown} is not a regular file, or has more than {SIZE_MAX} bytes")
            text = file.read(SIZE_MAX).decode("utf-8-sig", "surrogateescape")
            reason = distrust(path, found)
        parsed = parse(text.replace("\r\n", "\n"), file=shown, templates=self._templates, distrust=reason)
        if parsed.on_loaded == "move" and not self._can_move:
            raise UserError(f"{shown}: on_loaded: move requires the setting loaded_path of the job")
        return parsed


def _bounded(text: str) -> str:
    """The reason for each metafile below quotes the file, which may be another person's."""
    lines = text.splitlines()
    shown = [line if len(line) <= _LINE_MAX else f"{line[:_LINE_MAX]} …" for line in lines[:_LINES_MAX]]
    more = len(lines) - len(shown)
    return "\n".join([*shown, f"and {counted(more, 'further error')}"] if more else shown)


def _overrides() -> "Overrides":
    from pyrotorque.watchini import Overrides

    return Overrides()


def _stamp(*found: os.stat_result) -> _Stamp:
    """Of a watch.ini, the link to it, and its folder: whatever its settings and the trust in it depend on."""
    file, link, folder = found
    own = (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
    return (*own, link.st_ino, link.st_ctime_ns, folder.st_ino, folder.st_mode, folder.st_uid, folder.st_gid)


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
