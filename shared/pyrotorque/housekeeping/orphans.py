"""Finds files that belong to no item, by path or by inode, and decides which of them are old enough, by our own clock.

The age of a file is no evidence: a hard link has the times of its original, and a copy may keep them.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping.claim_index import folded
from pyrotorque.housekeeping.claims import Claims
from pyrotorque.housekeeping.item_files import Inode
from pyrotorque.housekeeping.quarantine import NAME as QUARANTINE
from pyrotorque.housekeeping.quarantine import is_quarantine
from pyrotorque.linux.filesystems import read_mounts
from pyrotorque.linux.name_forms import folded_name
from pyrotorque.text import printable

# Files of systems and programs, and unfinished files of other clients.
IGNORED: Final = (
    *(".nfs*", ".fuse_hidden*", ".smbdelete*", "lost+found", ".trash*", "$recycle.bin", "#recycle", "@eadir", "@*"),
    *(".ds_store", "._*", "thumbs.db", "desktop.ini", ".stfolder", ".stversions", ".snapshots", ".snapshot", ".zfs"),
    *("*.torrent", "*.torrent.*", "*.magnet", "*.magnet.*", "watch.ini", "*.meta", ".pyrotorque*", "pyrotorque.mark"),
    *("*.part", "*.partial", "*.!qb", "*.!ut", "*.!bt", "*.bc!", "*.tmp", "*.aria2", "*.crdownload", "*.download"),
    *(".*.??????", ".mergerfs", "aquota.user", "aquota.group", ".autorelabel", ".nomedia", "rtorrent.lock"),
    *("rpc.socket", ".syncthing.*", ".~tmp~"),
)
_FILES_MAX: Final = 2_000_000


class SeenFile(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was when it was first seen as an orphan, at `since`."""

    since: float
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class OrphanCandidate:
    """A regular file below one of the folders."""

    root: bytes
    path: bytes
    """Relative to the root."""
    status: os.stat_result

    @property
    def full(self) -> bytes:
        return os.path.join(self.root, self.path)

    def seen(self, since: float) -> SeenFile:
        found = self.status
        return SeenFile(since, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True)
class OrphanSurvey:
    """The result of one look: `old` ones may go; `fresh` are not seen for long enough."""

    old: Sequence[OrphanCandidate] = ()
    fresh: Sequence[OrphanCandidate] = ()
    files: int = 0
    seen: Mapping[str, SeenFile] = field(default_factory=dict[str, SeenFile])


def walk(folders: Sequence[Path], private: Sequence[Path], ignore: Sequence[str]) -> Iterator[OrphanCandidate]:
    """All regular files below the folders, without links, other mounts, and what is ignored.

    Raises RemovalRefused for a folder that cannot be read: its files would be missing from the picture.
    """
    mounted = {os.path.realpath(mount.point) for mount in read_mounts()}
    excluded = {os.path.realpath(os.fsencode(folder)) for folder in private} | mounted
    patterns = [pattern.lower() for pattern in (*IGNORED, *ignore)]
    seen: set[tuple[int, int]] = set()
    count = 0
    for folder in folders:
        root = os.path.realpath(os.fsencode(folder))
        pending = [b""]
        while pending:
            inside = pending.pop()
            current = os.path.join(root, inside) if inside else root
            listed = list(_listed(current))
            if inside and is_quarantine(current, {name for name, _ in listed}):
                continue
            for name, status in listed:
                path = os.path.join(inside, name)
                if _is_ignored(name, patterns) or os.path.join(root, path) in excluded:
                    continue
                if stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    pending.append(path)
                elif stat.S_ISREG(status.st_mode):
                    count += 1
                    if count > _FILES_MAX:
                        raise RemovalRefused(f"{printable(root)} has more than {_FILES_MAX} files")
                    yield OrphanCandidate(root, path, status)


def _listed(folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    yield entry.name, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
    except OSError as error:
        raise RemovalRefused(f"{printable(folder)} cannot be read: {error.strerror}") from None


def _is_ignored(name: bytes, patterns: Sequence[str]) -> bool:
    text = os.fsdecode(name).lower()
    return text == QUARANTINE or any(fnmatchcase(text, pattern) for pattern in patterns)


def orphans(
    found: Sequence[OrphanCandidate], claims: Claims, before: Mapping[str, SeenFile], now: float, seen_for: float
) -> OrphanSurvey:
    """Which files belong to no item. A file that changed since it was first seen begins again."""
    missing = {_folded_path(each.path) for files in claims.files.values() for each in files if each.found is None}
    old: list[OrphanCandidate] = []
    fresh: list[OrphanCandidate] = []
    seen: dict[str, SeenFile] = {}
    for file in found:
        status = file.status
        if Inode(status.st_dev, status.st_ino) in claims.holders:
            continue
        # Where names are compared without case or in another normal form, an item may mean this very file.
        if claims.spelled and folded_name(file.full) in claims.spelled:
            continue
        if _folded_path(file.full) in missing or (folded(os.path.basename(file.path)), status.st_size) in claims.lost:
            continue
        if any(device != status.st_dev for device, _ in claims.alike.get((status.st_size, status.st_mtime_ns), ())):
            continue
        key = file.full.hex()
        known = before.get(key)
        is_same = known is not None and known == file.seen(known.since) and known.since <= now
        seen[key] = known if known is not None and is_same else file.seen(now)
        is_old = is_same and now - seen[key].since >= seen_for
        youngest = max(status.st_mtime, status.st_ctime)
        (old if is_old and now - youngest >= seen_for else fresh).append(file)
    return OrphanSurvey(old, fresh, len(found), seen)


def _folded_path(path: bytes) -> str:
    return folded(os.path.realpath(path))
