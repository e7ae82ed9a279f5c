"""Folders of removed data: one entry for each item, with its metafile and session files, so that it can be restored."""

import errno
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping import moved_files, quarantine_mark
from pyrotorque.housekeeping.claim_index import folded
from pyrotorque.housekeeping.claims import Claims
from pyrotorque.housekeeping.entry_seals import EntrySeals
from pyrotorque.housekeeping.item_files import Inode
from pyrotorque.housekeeping.journal import RemovalRecord
from pyrotorque.humanize import size
from pyrotorque.json_input import decode_json
from pyrotorque.linux.files import sync_folder
from pyrotorque.linux.filesystems import Locations, is_within, mount_of, read_mounts
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.local_time import utc_stamp
from pyrotorque.long_work import WorkReport
from pyrotorque.text import encode_json, printable

NAME: Final = ".pyrotorque-quarantine"
DATA: Final = b"data"
_DESCRIPTION: Final = b"entry.json"
# Not named .torrent: a tree watch above would load it.
_SAVED: Final = ((b"item.metafile", b""), (b"item.rtorrent", b".rtorrent"),
                 (b"item.libtorrent_resume", b".libtorrent_resume"))  # fmt: skip
_EARLIER_METAFILE: Final = b"item.torrent"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """An entry: its folder, and what was removed."""

    folder: Path
    removal: RemovalRecord

    @property
    def size(self) -> int:
        """The bytes of its files, as they were when they were moved."""
        return sum(file.size for file in self.removal.files)

    def is_expired(self, now: float) -> bool:
        return self.removal.purge_at <= now


def quarantine_of(
    directory: bytes, below: tuple[Path, ...], chosen: Path | None, known: Locations | None = None
) -> Path:
    """The quarantine for the files of `directory`: in the nearest folder of `below`, or the chosen one.

    Raises RemovalRefused if it is on another mount: files are renamed, never copied.
    """
    locations = known or Locations(read_mounts())
    there, mounts = locations.of(directory), locations.mounts
    lengths = {folder: len(found) for folder in below if is_within(there, found := locations.of(bytes(folder)))}
    if not lengths:
        raise RemovalRefused(f"{printable(directory)} is not below {', '.join(map(str, below))}")
    nearest = sorted(lengths, key=lambda folder: -lengths[folder])
    folders = [chosen] if chosen else [folder / NAME for folder in nearest]
    own = mount_of(os.path.realpath(directory), mounts)
    for folder in folders:  # a folder and its bind mount are equally near
        above = os.path.realpath(folder if folder.exists() else folder.parent)
        other = mount_of(os.fsencode(above), mounts)
        if own is not None and other is not None and own.number == other.number:
            return folder
    raise RemovalRefused(
        f"{printable(directory)} and the quarantine {printable(str(folders[0]))} are on different mounts: "
        "add the mount's own folder to `below`"
    )


def make_entry(quarantine: Path, removal: RemovalRecord) -> Path:
    """The folder for the data of a removal, which does not exist yet. Raises RemovalRefused."""
    stamp = utc_stamp(removal.at)
    for number in range(100):
        folder = quarantine / f"{stamp}-{removal.info_hash or 'orphans'}{f'.{number}' if number else ''}"
        if not os.path.lexists(folder):
            return folder
    raise RemovalRefused(f"{printable(str(quarantine))} has too many entries of this item")


def create(removal: RemovalRecord, session: bytes) -> int:
    """Create the folder of an entry with the item's session files; returns the descriptor of its data folder.

    Raises OSError or RemovalRefused. What an interrupted creation left is completed.
    """
    folder = removal.entry
    parent = os.path.dirname(folder)
    with suppress(FileExistsError):
        os.mkdir(parent, 0o700)
    if os.path.islink(parent):
        raise RemovalRefused(f"the quarantine {printable(parent)} is a symbolic link")
    mark = os.path.join(parent, quarantine_mark.NAME)  # also in a folder that its owner made
    if not os.path.lexists(mark) or quarantine_mark.is_unfinished(mark):
        _replace(mark, quarantine_mark.TEXT)
    for each in (folder, os.path.join(folder, DATA)):
        with suppress(FileExistsError):
            os.mkdir(each, 0o700)
        if os.path.islink(each):
            raise RemovalRefused(f"{printable(each)} is a symbolic link")
    for name, suffix in _SAVED if removal.info_hash else ():
        path = os.path.join(session, removal.info_hash.encode() + b".torrent" + suffix)
        try:
            content = Path(os.fsdecode(path)).read_bytes()
        except FileNotFoundError:
            if not suffix and not os.path.exists(os.path.join(folder, name)):
                raise RemovalRefused(f"the metafile of {removal.name} is not in rTorrent's session") from None
            continue
        _replace(os.path.join(folder, name), content)
    _replace(os.path.join(folder, _DESCRIPTION), encode_json(removal))
    sync_folder(Path(os.fsdecode(folder)))
    sync_folder(Path(os.fsdecode(parent)))
    return moved_files.open_root(os.path.join(folder, DATA))


def describe(removal: RemovalRecord) -> None:
    """Record what became of the removal in its entry, if that exists."""
    if os.path.isdir(removal.entry):
        _replace(os.path.join(removal.entry, _DESCRIPTION), encode_json(removal))


def discard(removal: RemovalRecord) -> None:
    """Remove the folder of an entry whose files are all back; anything else in it stays."""
    _remove_own_files(removal.entry)
    data = os.path.join(removal.entry, DATA)
    with suppress(OSError):
        root = moved_files.open_root(data)
        try:
            moved_files.remove_empty_folders(root, removal.files)
        finally:
            os.close(root)
    for folder in (data, removal.entry):
        with suppress(OSError):
            os.rmdir(folder)


def is_quarantine(folder: bytes, names: Collection[bytes]) -> bool:
    """Whether a folder with these names is a quarantine of any group, or an entry of one."""
    return (_DESCRIPTION in names and DATA in names) or (
        quarantine_mark.NAME in names and quarantine_mark.is_quarantine(folder)
    )


def entries(quarantine: Path, seals: EntrySeals | None = None) -> Iterator[QuarantineEntry]:
    """The entries, oldest first: with `seals` those of this group. Folders without a description are no entries."""
    try:
        names = sorted(os.listdir(quarantine))
    except OSError:
        return
    for name in names:
        folder = quarantine / name
        with suppress(OSError, msgspec.DecodeError):
            removal = decode_json(
                read_regular_file(folder / os.fsdecode(_DESCRIPTION), limit=RECORDS_MAX), type=RemovalRecord
            )
            if seals is not None and not seals.is_valid(removal.seal):
                continue
            # The folder may have been renamed, or the disk mounted elsewhere.
            moved = msgspec.structs.replace(removal, entry_hex=os.fsencode(folder).hex())
            yield QuarantineEntry(folder, moved)


def quarantined_files(folders: Sequence[Path], seals: EntrySeals) -> list[bytes]:
    """The paths of all files in these quarantines."""
    found = (entry for folder in folders for entry in entries(folder, seals))
    return [os.path.join(os.fsencode(entry.folder), DATA, file.path) for entry in found for file in entry.removal.files]


def purge(
    entry: QuarantineEntry, work: WorkReport | None = None, report: Callable[[int], None] | None = None
) -> tuple[int, list[bytes]]:
    """Delete the data of an entry: exactly the files that were moved to it; `work` counts them.

    `report` gets the bytes that were freed when all of it is gone, before the entry is: again, with less, after a kill.
    Returns the bytes whose last name was removed, and the paths of what stays. Raises OSError.
    """
    removal = entry.removal
    try:
        root = moved_files.open_root(os.path.join(os.fsencode(entry.folder), DATA))
    except FileNotFoundError:  # a kill interrupted an earlier purge
        if report is not None:
            report(0)
        discard(removal)
        return 0, []
    try:
        freed = 0
        for file in removal.files:
            with suppress(FileNotFoundError, NotADirectoryError), moved_files.parent_of(root, file.path) as at:
                found = os.stat(at.name, dir_fd=at.folder, follow_symlinks=False)
                freed += found.st_blocks * 512 if found.st_nlink == 1 and found.st_ino == file.inode else 0
        stay = moved_files.remove(root, work.each(removal.files) if work else removal.files)
        moved_files.remove_empty_folders(root, removal.files)
        sync_folder(root)
    finally:
        os.close(root)
    if not stay:
        if report is not None:
            report(freed)
        discard(removal)
    return freed, [file.path for file in stay]


class PurgedEntry(NamedTuple):
    """An entry whose time is over; `freed` is None if its data stays. `text` is a line about it.

    `problem` is an error of its disk, or empty: other disks may have none.
    """

    entry: QuarantineEntry
    freed: int | None
    text: str
    problem: str = ""


def expired(folder: Path, seals: EntrySeals, now: float) -> Iterator[QuarantineEntry]:
    """The entries whose time is over and whose removal has ended."""
    for entry in entries(folder, seals):
        if entry.is_expired(now) and entry.removal.phase == "erased":
            yield entry


def purge_expired(
    folder: Path,
    seals: EntrySeals,
    claims: Claims,
    now: float,
    report: Callable[[QuarantineEntry, int], None],
) -> Iterator[PurgedEntry]:
    """Delete the data of entries whose time is over, unless an item uses it where it is; `report` as for `purge`."""
    for entry in expired(folder, seals, now):
        if reason := needed_by(entry, claims):
            yield PurgedEntry(entry, None, f"{entry.removal.name} in quarantine is kept: {reason}")
            continue
        try:
            freed, stay = purge(entry, report=partial(report, entry))
        except OSError as error:
            where = f"{error.strerror}: {printable(str(entry.folder))}"
            why = f"{entry.removal.name} in quarantine cannot be deleted: {where}"
            yield PurgedEntry(entry, None, why, why)
            continue
        if stay:
            yield PurgedEntry(entry, None, f"{entry.removal.name} in quarantine is kept: {stay_text(entry, stay)}")
        else:
            yield PurgedEntry(entry, freed, f"purged {entry.removal.name} from quarantine: {size(freed)} free")


def stay_text(entry: QuarantineEntry, stay: Sequence[bytes]) -> str:
    """Why the files `stay` of an entry were not deleted, and what to do."""
    return (
        f"{printable(stay[0])} is another file now, a copy perhaps, and stays: restore the entry, or remove its folder "
        f"{printable(str(entry.folder))} yourself"
    )


def needed_by(entry: QuarantineEntry, claims: Claims) -> str:
    """Why the data of the entry is not deleted: an item has it, or misses it; empty if none does."""
    if used := used_by(entry, claims):
        return f"{printable(used)} uses it there"
    if missed := missed_by(entry, claims):
        return f"{printable(missed)} misses a file like one of its own"
    return ""


def used_by(entry: QuarantineEntry, claims: Claims) -> str:
    """The name of an item that has a file of the entry by its name in the quarantine; empty if none does."""
    data = os.path.join(os.fsencode(entry.folder), DATA)
    for file in entry.removal.files:
        path = os.path.join(data, file.path)
        with suppress(OSError):
            found = os.lstat(path)
            inode = Inode(found.st_dev, found.st_ino)
            if claims.name(path) in claims.names.get(inode, frozenset()):
                return claims.contents[min(claims.holders[inode])].name
    return ""


def missed_by(entry: QuarantineEntry, claims: Claims) -> str:
    """The name of an item that misses a file like one of the entry; empty if none does."""
    for file in entry.removal.files:
        if file.size and (keys := claims.lost.get((folded(os.path.basename(file.path)), file.size))):
            return claims.contents[min(keys)].name
    return ""


def saved_files(entry: QuarantineEntry) -> Mapping[bytes, bytes]:
    """The content of the item's session files, by suffix."""
    found: dict[bytes, bytes] = {}
    for name, suffix in ((_EARLIER_METAFILE, b""), *_SAVED):
        with suppress(FileNotFoundError):
            found[suffix] = (entry.folder / os.fsdecode(name)).read_bytes()
    return found


def metafile_path(entry: QuarantineEntry) -> bytes:
    """The path of the item's metafile in the entry; also if there is none."""
    folder = os.fsencode(entry.folder)
    path = os.path.join(folder, _SAVED[0][0])
    return path if os.path.lexists(path) else os.path.join(folder, _EARLIER_METAFILE)


def _remove_own_files(folder: bytes) -> None:
    for name in (*(name for name, _ in _SAVED), _EARLIER_METAFILE, _DESCRIPTION):
        for written in (name, name + b".new"):
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(os.path.join(folder, written))


def _replace(path: bytes, content: bytes) -> None:
    fresh = path + b".new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    _write_new(fresh, content)
    os.replace(fresh, path)


def _write_new(path: bytes, content: bytes) -> None:
    fd = os.open(path, _NEW, 0o600)
    with open(fd, "wb") as file:
        if file.write(content) != len(content):
            raise OSError(errno.EIO, "short write", os.fsdecode(path))
        file.flush()
        os.fsync(file.fileno())
