"""The one gate before data is removed: facts about the files of an item that must hold, in the plan and when acting."""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrotorque.confinement import StorageLimits
from pyrotorque.errors import RemovalRefused, RTorrentFault
from pyrotorque.housekeeping.claim_index import folded
from pyrotorque.housekeeping.claims import Claims
from pyrotorque.housekeeping.deselected_files import DeselectedFile, is_foreign
from pyrotorque.housekeeping.inventory import Inventory
from pyrotorque.housekeeping.item_files import Inode, OwnedFile
from pyrotorque.housekeeping.journal import RemovalRecord, RemovedFile
from pyrotorque.housekeeping.limits import Kept
from pyrotorque.housekeeping.pending_magnets import magnet_refusal
from pyrotorque.housekeeping.plan import SharedChoice
from pyrotorque.housekeeping.quarantine import quarantine_of
from pyrotorque.housekeeping.removal import VerifiedItem
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.file_values import ITEMS_MAX, all_file_numbers, file_numbers, fit_in_one_call
from pyrotorque.text import counted, printable

_COMMANDS = ("f.size_bytes=", "f.completed_chunks=", "f.size_chunks=", "f.priority=")
# Those at both ends of a file; rTorrent counts one of a neighbor, too.
_SHARED_CHUNKS = 3

FileRow = tuple[int, int, int, int]


@dataclass(frozen=True)
class DataRules:
    """Which data of items may go, and where it is moved to."""

    below: tuple[Path, ...]
    private: tuple[Path, ...]
    quarantine: Path | None = None
    shared: SharedChoice = "skip"
    linked: str = "skip"


def read_file_rows(rtorrent: RTorrent, inventory: Inventory, hashes: Sequence[str]) -> dict[str, list[FileRow]]:
    """Size, completed chunks, chunks and priority of each file, as rTorrent has them."""
    contents = inventory.claims.contents
    if len(hashes) > ITEMS_MAX and fit_in_one_call([len(contents[each].files) for each in inventory.items]):
        found = all_file_numbers(rtorrent, _COMMANDS)
    else:
        files = {each: len(contents[each].files) for each in hashes if each in contents}
        found = file_numbers(rtorrent, files, _COMMANDS)
    return {info_hash: [(row[0], row[1], row[2], row[3]) for row in rows] for info_hash, rows in found.items()}


def data_kept(
    inventory: Inventory, info_hash: str, rows: Sequence[FileRow], rules: DataRules, gone: Collection[str] = ()
) -> Kept | None:
    """Why the data of an item must stay, as far as its own files say; None if it may go.

    Whether other items share its files is decided by the plan, for all of them together.
    """
    if reason := inventory.inexact.get(info_hash):
        return Kept("names", f"its paths are not known exactly: {reason}")
    claims = inventory.claims
    if claims.unresolved:
        return Kept("magnet", magnet_refusal(claims.unresolved))
    content, files = claims.contents[info_hash], claims.files[info_hash]
    if len(rows) != len(files) or any(row[0] != each.file.size for row, each in zip(rows, files, strict=True)):
        return Kept("names", "rTorrent has other files than its session")
    offset, is_wanted_done = 0, inventory.items[info_hash].complete if info_hash in inventory.items else False
    for row, each in zip(rows, files, strict=True):
        if found := _file_kept(each, row) or _deselected_kept(each, row, offset, content.piece_length, is_wanted_done):
            return found
        offset += each.file.size
    if maybe := claims.possibly_sharing(info_hash):
        name = printable(claims.contents[min(maybe)].name)
        return Kept("unknown", f"{name} may have the same files (missing, on another mount, or in another case)")
    if rules.linked != "ignore" and (count := claims.outside_links(info_hash)):
        return Kept("linked", f"{counted(count, 'file')} also linked from elsewhere")
    limits = StorageLimits(below=rules.below, private=rules.private, locations=inventory.locations)
    # The files themselves are no links, as is checked below.
    folders = {os.path.dirname(each.file.path) for each in files} - {b""}
    if refusal := limits.refusal(content.directory, folders):
        return Kept("outside", refusal)
    try:
        quarantine_of(content.directory, rules.below, rules.quarantine, inventory.locations)
        _require_plain(content.directory, [each.file.path for each in files if each.found is not None])
    except RemovalRefused as error:
        return Kept("special", str(error))
    except OSError as error:
        return Kept("unknown", f"{printable(content.directory)} cannot be examined: {error.strerror}")
    return None


def _file_kept(each: OwnedFile, row: FileRow) -> Kept | None:
    size, completed, chunks, priority = row
    shown = printable(each.file.path)
    if each.found is None:
        if completed and size and priority and not each.file.padding:
            return Kept("missing", f"{shown} is missing: is its disk mounted?")
        return None
    if not stat.S_ISREG(each.found.kind):
        return Kept("special", f"{shown} is not a regular file")
    if completed == chunks and chunks and each.found.size != size:
        return Kept("changed", f"{shown} has {each.found.size} bytes instead of {size}")
    return None


def _deselected_kept(each: OwnedFile, row: FileRow, offset: int, piece_length: int, wanted_done: bool) -> Kept | None:
    size, completed, chunks, priority = row
    is_written = completed == chunks or completed > _SHARED_CHUNKS
    if priority or is_written or each.found is None or not each.found.size:
        return None
    file = DeselectedFile(each.path, offset, size, each.found.size, piece_length, wanted_done)
    try:
        is_other = is_foreign(file)
    except OSError as error:
        return Kept("unknown", f"{printable(each.path)} cannot be read: {error.strerror}")
    shown = printable(each.file.path)
    return Kept("changed", f"{shown} is deselected, and not what rTorrent has written") if is_other else None


def _require_plain(directory: bytes, files: Sequence[bytes]) -> None:
    """Raise RemovalRefused if a link is on the way from the item's folder to one of its files, or is the file."""
    checked: set[bytes] = set()
    for file in files:
        path = directory
        for part in file.split(b"/"):
            path = os.path.join(path, part)
            if path not in checked and stat.S_ISLNK(os.lstat(path).st_mode):
                raise RemovalRefused(f"{printable(path)} is a symbolic link")
            checked.add(path)


def verify(
    rtorrent: RTorrent,
    inventory: Inventory,
    info_hash: str,
    rules: DataRules,
    planned: Collection[tuple[int, int]] | None,
    gone: Collection[str] = (),
) -> VerifiedItem:
    """The files that may go now, from an inventory that was read after the item was closed.

    `planned` are the inodes of the plan: a file that is not one of them was put there since. `gone` are items that are
    removed together with this one. Raises RemovalRefused with the reason if the item stays.
    """
    item = inventory.items.get(info_hash)
    if item is None:
        raise RemovalRefused("it is no longer in rTorrent")
    if item.started or item.is_open or item.hashing:
        raise RemovalRefused("it was started in the meantime")
    try:
        rows = read_file_rows(rtorrent, inventory, [info_hash]).get(info_hash, [])
    except RTorrentFault as fault:
        raise RemovalRefused(str(fault)) from fault
    if kept := data_kept(inventory, info_hash, rows, rules, gone):
        raise RemovalRefused(kept.text)
    claims = inventory.claims
    shared = claims.shared_files(info_hash, gone)
    if shared and rules.shared == "skip":
        raise RemovalRefused("it shares files with another item now")
    content = claims.contents[info_hash]
    files = [each for each in claims.files[info_hash] if each.found is not None and each.path not in shared]
    if planned is not None and any(each.found and each.found.inode not in planned for each in files):
        raise RemovalRefused("its files are not those of the plan")
    if not all(inventory.same_file(each.path) for each in files):
        raise RemovalRefused("its files are not the same for rTorrent as for pyrotorque")
    return VerifiedItem(
        directory=content.directory,
        multi_file=content.multi_file,
        own_folder=content.multi_file and os.path.basename(content.directory) == os.fsencode(content.name),
        files=tuple(_removed(files)),
        quarantine=quarantine_of(content.directory, rules.below, rules.quarantine),
        frees=claims.frees({info_hash, *gone}) - claims.frees(gone),
        kept=len(shared),
        kept_files=tuple(each.file.path.hex() for each in claims.files[info_hash] if each.path in shared),
        linked=frozenset(
            (each.found.inode.device, each.found.inode.number)
            for each in files
            if each.found and len(claims.holders[each.found.inode]) > 1
        ),
        folders=frozenset(_kept_folders(inventory, info_hash, rules)),
        chunks_done=item.chunks_done,
    )


def _removed(files: Sequence[OwnedFile]) -> Iterator[RemovedFile]:
    seen: set[bytes] = set()
    for each in files:
        if each.found is not None and each.path not in seen:
            seen.add(each.path)
            yield RemovedFile(each.file.path.hex(), each.found.inode.device, each.found.inode.number, each.found.size)


def _kept_folders(inventory: Inventory, info_hash: str, rules: DataRules) -> Iterator[tuple[int, int]]:
    """The folders `below`, and those of all other items: they stay, also if they are empty."""
    others = (content.directory for key, content in inventory.claims.contents.items() if key != info_hash)
    for folder in {*others, *map(os.fsencode, rules.below)}:
        try:
            found = os.stat(folder)
        except OSError:
            continue
        yield found.st_dev, found.st_ino


def claimed_since(inventory: Inventory, removed: RemovalRecord) -> str:
    """The name of an item that claims what was just moved to quarantine, as it was loaded meanwhile; empty if none.

    It has a file under one of these names, which rTorrent may have just created, or misses a file like one of them.
    """
    claims = inventory.claims
    if claims.unresolved:
        return claims.unresolved
    paths = {os.path.join(removed.directory, file.path) for file in removed.files}
    named = {_folded_name(claims, path) for path in paths}
    alike = {(folded(os.path.basename(file.path)), file.size) for file in removed.files}
    sizes = {file.size for file in removed.files}
    for key, files in claims.files.items():
        for each in files:
            is_missing = each.found is None and each.file.size in sizes
            is_alike = is_missing and (folded(os.path.basename(each.path)), each.file.size) in alike
            is_seen = each.found is not None or bool(each.link_target)
            is_named = each.path in paths or (is_seen and _folded_name(claims, each.name) in named)
            if is_alike or is_named:
                return claims.contents[key].name
    return ""


def _folded_name(claims: Claims, path: bytes) -> tuple[Inode | None, str]:
    folder, base = claims.name(path)
    return folder, folded(base)
