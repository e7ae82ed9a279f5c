"""Symbolic links and moves: each link leads to the same file after a move as before, or the data stays.

A link is moved as it is. A relative one then leads elsewhere, and so does any link to what was moved away.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.linux.filesystems import is_within
from pyrotorque.text import printable

_FOLDERS_MAX: Final = 200_000
_SETTLED: Final = 2.0  # seconds: within it, a folder may change without another time of modification


class _Folder(NamedTuple):
    """What a folder had; `version` differs after each change of its names."""

    version: tuple[int, int, int]
    links: tuple[bytes, ...]
    folders: tuple[bytes, ...]


@dataclass
class FolderLinks:
    """The symbolic links in folders; a folder that has not changed is not read again."""

    _known: dict[bytes, _Folder] = field(default_factory=dict[bytes, _Folder])

    def below(self, path: bytes) -> Iterator[bytes]:
        """The paths of all links below a folder, which may be a link itself. What cannot be read has none."""
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            found = self._read(folder)
            yield from (os.path.join(folder, name) for name in found.links)
            waiting += (os.path.join(folder, name) for name in found.folders)

    def _read(self, folder: bytes) -> _Folder:
        try:
            seen = os.stat(folder)
            version = seen.st_dev, seen.st_ino, seen.st_mtime_ns
            known = self._known.get(folder)
            if known is not None and known.version == version:
                return known
            with os.scandir(folder) as entries:
                listed = [(each.name, each.is_symlink(), each.is_dir(follow_symlinks=False)) for each in entries]
        except OSError:
            return _Folder((0, 0, 0), (), ())
        found = _Folder(
            version,
            tuple(name for name, is_link, _ in listed if is_link),
            tuple(name for name, _, is_folder in listed if is_folder),
        )
        if len(self._known) >= _FOLDERS_MAX:
            self._known.clear()
        if time.time() - seen.st_mtime > _SETTLED:
            self._known[folder] = found
        else:
            self._known.pop(folder, None)
        return found


def require_same_targets(source: Path, final: Path, links: FolderLinks) -> None:
    """Raise MoveRefused if a link in the data, or that is the data, would lead elsewhere from its final path."""
    data = bytes(source)
    own = [data] if os.path.islink(data) else links.below(data) if os.path.isdir(data) else ()
    before, after = (_without_links_above(bytes(each)) for each in (source, final))
    for link in own:
        inside = link[len(data) :]
        try:
            text = os.readlink(link)
        except OSError:  # removed meanwhile
            continue
        target = os.path.realpath(link)
        if not os.path.lexists(target) or _stays_inside(inside, text):
            continue
        expected = after + target[len(before) :] if is_within(target, before) else target
        path = os.path.join(os.path.dirname(after + inside), text)
        if os.path.realpath(path) != expected or _leads_through(path, before):
            other = "a relative" if text.startswith(b"/") else "an absolute"
            raise MoveRefused(
                f"{printable(link)} is a symbolic link to {printable(text)}, and would not lead to the same file from "
                f"{printable(str(final))}: replace it by the file, or by a link with {other} path",
                "target",
            )


def _without_links_above(path: bytes) -> bytes:
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def _leads_through(path: bytes, folder: bytes) -> bool:
    """Whether the kernel passes this folder on the way to `path`."""
    parts = path.split(b"/")
    return any(is_within(os.path.realpath(b"/".join(parts[:at])), folder) for at in range(2, len(parts) + 1))


def _stays_inside(inside: bytes, text: bytes) -> bool:
    """Whether a relative link, at `inside` of the data, leads to what is moved along."""
    if text.startswith(b"/") or not inside:
        return False
    reached = os.path.normpath(os.path.join(os.path.dirname(inside).lstrip(b"/"), text))
    return reached != b".." and not reached.startswith(b"../")
