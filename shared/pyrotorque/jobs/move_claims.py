"""Whether data may leave its place: no other item has any of it, and its folder holds nothing that must stay.

A move takes a whole folder along. Other items whose files are in it would lose them without an error from rTorrent.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.fields.converters import path as path_of
from pyrotorque.jobs.item_path import exact_path, plain_path
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.jobs.move_links import FolderLinks
from pyrotorque.jobs.unfinished_changes import UnfinishedChanges
from pyrotorque.linux.filesystems import Mount, is_within, location, mounts_below, read_mounts
from pyrotorque.linux.name_forms import same_spelling
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque.text import printable

_COLUMNS: Final = ("d.hash=", "d.base_path=", "d.directory=", "d.name=", "d.is_multi_file=")
# What rTorrent may have put in the place of other characters.
_ALTERED: Final = re.compile("[%?\ufffd\ud800-\udfff]")


@dataclass
class DataClaims:
    """`private` are folders of pyrotorque and rTorrent; with `gate`, only the known rTorrent counts.

    With `changes`, the data is left to another job that has begun to move or remove it.
    """

    rtorrent: RTorrent
    private: Sequence[Path]
    gate: SessionGate | None = None
    links: FolderLinks = field(default_factory=FolderLinks)
    changes: UnfinishedChanges | None = None
    _source: bytes = b""
    _real: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    _mounts: list[Mount] = field(default_factory=list[Mount])
    _places: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    def require_alone(self, info_hash: str, source: Path, *, multi_file: bool) -> None:
        """Raise MoveRefused if `source`, the data of this item, may not be moved; SessionNotKnown, RTorrentError.

        One call to rTorrent for all items; and one for each item whose folder is around `source`.
        """
        if self.changes is not None and (refusal := self.changes.refusal(info_hash)):
            raise MoveRefused(refusal, "shared")
        examine = partial(self._examine, info_hash, source, multi_file)
        if self.gate is None:
            examine()
        else:
            self.gate.read(self.rtorrent, examine)

    def _examine(self, info_hash: str, source: Path, multi_file: bool) -> None:
        self._mounts, self._places, self._real = read_mounts(), {}, {}
        self._source = os.path.join(os.path.realpath(bytes(source.parent)), os.fsencode(source.name))
        there = self._place(bytes(source))
        if multi_file:
            self._require_plain_folder(source, there)
            self._require_own_files(info_hash, source)
        seen = os.lstat(source) if os.path.lexists(source) else None
        for other, path, is_folder in self._others(info_hash, source):
            at = self._place(path)
            if is_within(at, there) or (seen and _may_show(path, bytes(source), seen)):
                raise _shared(source, self._name(other))
            inside = there[len(at) :] if is_within(there, at) else seen and _shown_inside(bytes(source), path)
            if is_folder and inside and self._has_file_at(other, inside.strip(b"/"), path):
                raise _shared(source, self._name(other))
            if is_folder and self._has_link_to(other, path, there):
                raise _shared(source, self._name(other))

    def _has_link_to(self, other: str, path: bytes, there: bytes) -> bool:
        """Whether a file of the item in the folder `path` is, by a symbolic link, one at or below `there`."""
        for link in self.links.below(path):
            target, inside = self._place(link), link[len(path) :].strip(b"/")
            if is_within(target, there) and self._has_file_at(other, inside):
                return True
            if is_within(there, target) and self._has_file_at(
                other, os.path.join(inside, there[len(target) :].strip(b"/"))
            ):
                return True
        return False

    def _require_own_files(self, info_hash: str, source: Path) -> None:
        """A folder that is not named as the torrent may hold more than its files, for example a whole category."""
        if self.rtorrent.text(info_hash, "d.name=").text == source.name or not source.is_dir():
            return
        own = {bytes(source / path) for path in self._files(info_hash)}
        for folder, _, names in os.walk(bytes(source)):
            for name in names:
                if (path := os.path.join(folder, name)) not in own and not _ALTERED.search(os.fsdecode(path)):
                    raise MoveRefused(
                        f"its folder {printable(str(source))} is not named as the torrent and holds other files, such "
                        f"as {printable(path)}: they would be moved, too",
                        "shared",
                    )

    def _require_plain_folder(self, source: Path, there: bytes) -> None:
        default = os.fsencode(os.path.expanduser(str(self.rtorrent.call("directory.default", ""))))
        if default and is_within(self._place(default), there):
            raise MoveRefused(f"its folder {printable(str(source))} is rTorrent's folder for all downloads", "shared")
        for folder in self.private:
            if is_within(self._place(bytes(folder)), there):
                raise MoveRefused(f"its folder {printable(str(source))} contains {printable(str(folder))}", "shared")
        for mount in mounts_below(os.path.realpath(bytes(source)), self._mounts):
            raise MoveRefused(f"in its folder another disk is mounted at {printable(mount.point)}", "shared")

    def _others(self, info_hash: str, source: Path) -> Iterator[tuple[str, bytes, bool]]:
        """The info-hash of each other item, the path of its data, and whether that is a folder."""
        for other, base, directory, name, multi in self.rtorrent.rows("main", _COLUMNS):
            if other == info_hash:
                continue
            printed = os.path.expanduser(path_of(base, directory, name, multi))
            if _ALTERED.search(printed):
                try:
                    printed = str(exact_path(self.rtorrent, other, multi == "1"))
                except (MoveRefused, RTorrentFault):
                    if _may_be_related(printed, str(source)):
                        raise MoveRefused(
                            f"rTorrent prints the path of {printable(name)} altered, as {printable(printed)}: it may "
                            "have the same data",
                            "altered",
                        ) from None
                    continue
            if printed and not printed.startswith("/"):
                printed = os.path.join(self._working_folder(name), printed)
            if printed:
                yield other, bytes(plain_path(printed)), multi == "1"

    def _working_folder(self, name: str) -> str:
        """Where rTorrent looks up relative paths."""
        try:
            return os.readlink(f"/proc/{self.rtorrent.call('system.pid', '')!s}/cwd")
        except OSError:
            raise MoveRefused(
                f"the path of {printable(name)} is relative to the working directory of rTorrent, which is not known: "
                "it may have the same data",
                "shared",
            ) from None

    def _place(self, path: bytes) -> bytes:
        """As `location`, with one look at each folder: thousands of items are in a few folders."""
        path = self._spelled(path)
        folder, name = os.path.split(path)
        if not name or any(mount.point == path for mount in self._mounts):
            return location(path, self._mounts)
        if folder not in self._places:
            self._places[folder] = location(folder, self._mounts)
        return os.path.join(self._places[folder], name)

    def _spelled(self, path: bytes) -> bytes:
        """The path without links, and with the names that the data's own path has: some disks know more spellings."""
        folder, name = os.path.split(path)
        if not name or os.path.islink(path):
            return same_spelling(os.path.realpath(path), self._source)
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return same_spelling(os.path.join(self._real[folder], name), self._source)

    def _has_file_at(self, info_hash: str, relative: bytes, folder: bytes = b"") -> bool:
        """Whether the item has files at or below this path in its folder; in doubt it has."""
        return any(
            is_within(os.fsencode(path), relative)
            or (_ALTERED.search(path) is not None and _may_be_related(path, os.fsdecode(relative)))
            or (folder and is_within(self._spelled(os.path.join(folder, os.fsencode(path))), self._source))
            for path in self._files(info_hash)
        )

    def _files(self, info_hash: str) -> list[str]:
        """The paths of the files of an item in its folder; none if it was erased meanwhile."""
        try:
            answer = self.rtorrent.call("f.multicall", info_hash, "", "f.path=")
        except RTorrentFault:
            return []
        return [str(row[0]) for row in answer if isinstance(row, list)] if isinstance(answer, list) else []

    def _name(self, info_hash: str) -> str:
        try:
            return printable(self.rtorrent.text(info_hash, "d.name=").text)
        except RTorrentFault:
            return info_hash


def _may_show(path: bytes, source: bytes, seen: os.stat_result) -> bool:
    """Whether `path` is, or is in, the data at `source` as another filesystem shows it (mergerfs, bindfs, a share): it
    has the same name, size and time of modification there."""
    name, parts = os.path.basename(source), path.split(b"/")
    return any(_is_alike(b"/".join(parts[: at + 1]), seen) for at, part in enumerate(parts) if part == name and part)


def _shown_inside(source: bytes, path: bytes) -> bytes:
    """The path of `source` in the folder `path` if another filesystem shows a folder around `source` there."""
    name, parts = os.path.basename(path), source.split(b"/")
    for at, part in enumerate(parts[:-1]):
        if part == name and part:
            around = b"/".join(parts[: at + 1])
            if os.path.lexists(around) and _is_alike(path, os.lstat(around)):
                return b"/".join(parts[at + 1 :])
    return b""


def _is_alike(path: bytes, seen: os.stat_result) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    same = (stat.S_IFMT(found.st_mode), found.st_mtime_ns) == (stat.S_IFMT(seen.st_mode), seen.st_mtime_ns)
    return found.st_dev != seen.st_dev and same and (stat.S_ISDIR(seen.st_mode) or found.st_size == seen.st_size)


def _may_be_related(printed: str, path: str) -> bool:
    """Whether an altered path and `path` agree as far as both are known."""
    found = _ALTERED.search(printed)
    known = printed[: found.start()] if found else printed
    return path.startswith(known) or known.startswith(path)


def _shared(source: Path, name: str) -> MoveRefused:
    return MoveRefused(f"{name} has files at {printable(str(source))}, too: they would be moved away from it", "shared")
