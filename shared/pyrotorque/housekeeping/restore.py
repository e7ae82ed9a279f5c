"""Restores a removed item from quarantine: its files to their old names, then the item, as it was.

It can be repeated after a kill: each file is in the quarantine or at its old name, and the entry is removed last.
"""

import os
import random
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from pyrotorque.confinement import StorageLimits
from pyrotorque.errors import RemovalRefused, RequestTooLarge
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.journal import RemovedFile
from pyrotorque.housekeeping.quarantine import QuarantineEntry
from pyrotorque.housekeeping.removed_item import is_in_folder, is_loaded, is_magnet
from pyrotorque.housekeeping.restored_resume import set_resume_state
from pyrotorque.linux.files import real_path
from pyrotorque.long_work import WorkReport
from pyrotorque.metafile.parser import dictionary
from pyrotorque.metafile.parser import read as read_metafile
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.path_patterns import is_pattern
from pyrotorque.rtorrent.session import Session
from pyrotorque.text import printable

_WITHIN: Final = 10.0  # seconds
_POLL: Final = 0.02
_KEPT: Final = 7 * 86_400.0
"""How long an entry stays at least after its restore was begun."""
_CUSTOMS: Final = tuple(f"custom{number}" for number in range(1, 6))


def restore(
    rtorrent: RTorrent,
    entry: QuarantineEntry,
    *,
    now: float = 0.0,
    start: bool | None = None,
    limits: StorageLimits | None = None,
    work: WorkReport | None = None,
) -> None:
    """Restore orphaned files, or an item: started if it was before (or as `start` says), else its data is checked.

    `now` is by the own clock. Its folder must be within `limits`, also if a link has replaced one of the folders on the
    way. `work` counts the files.

    Raises RemovalRefused or OSError, and everything stays in quarantine; or RTorrentError.
    """
    work = work or WorkReport(None, "", 0)
    _require_allowed(entry.removal.directory, limits)
    # Durable before the first file is back: if this is killed, no purge deletes the others meanwhile.
    purge_at = max(entry.removal.purge_at, now + _KEPT)
    removal = msgspec.structs.replace(entry.removal, purge_at=purge_at, files=_present_files(entry))
    if now or removal.files != entry.removal.files:
        quarantine.describe(removal)
    entry = QuarantineEntry(entry.folder, removal)
    if not removal.info_hash:
        _move_back(entry, limits, work)
        quarantine.discard(removal)
        return
    saved = quarantine.saved_files(entry)
    metafile, attributes = saved.get(b"", b""), dictionary(saved.get(b".rtorrent", b"")) or {}
    if not metafile and _is_restored(rtorrent, entry):
        quarantine.discard(removal)  # an earlier restore was killed while it did that
        return
    if not metafile:
        raise RemovalRefused(f"{printable(str(entry.folder))} has no metafile")
    if removal.phase != "erased":
        raise RemovalRefused(f"the removal of {removal.name} is not finished: run its clean-up job first")
    if removal.kept:
        _require_shared_files(entry, metafile)
    if is_magnet(rtorrent, removal.info_hash):  # its metafile may be here only
        raise RemovalRefused(f"{removal.name} is in rTorrent as a magnet link without metadata: erase that first")
    if not is_loaded(rtorrent, removal.info_hash):
        _move_back(entry, limits, work)
        _load(rtorrent, entry, metafile)
    elif not _has_directory(rtorrent, entry):
        raise RemovalRefused(f"{removal.name} is in rTorrent, with another folder: erase it there first")
    else:
        _move_back(entry, limits, work)
    set_resume_state(rtorrent, removal.info_hash, dictionary(saved.get(b".libtorrent_resume", b"")) or {})
    _set_attributes(rtorrent, removal.info_hash, attributes)
    wanted = removal.started if start is None else start
    rtorrent.call("d.start" if wanted else "d.check_hash", removal.info_hash)
    # A killed rTorrent would come back without what is not saved, and the entry is the only other copy of that.
    if not _is_saved(rtorrent, removal.info_hash, int(wanted)):
        raise RemovalRefused(f"rTorrent has not saved {removal.name}: its entry in quarantine is kept; repeat this")
    quarantine.discard(removal)


def _present_files(entry: QuarantineEntry) -> tuple[RemovedFile, ...]:
    """The files of the entry, also if its folder was copied to another disk; rTorrent checks their content."""
    data = os.path.join(os.fsencode(entry.folder), quarantine.DATA)
    if entry.removal.phase != "erased" or not os.path.isdir(data):
        return entry.removal.files
    root = moved_files.open_root(data)
    try:
        return moved_files.as_copied(root, entry.removal.files)
    finally:
        os.close(root)


def _is_restored(rtorrent: RTorrent, entry: QuarantineEntry) -> bool:
    """Whether the item is in rTorrent, and nothing of its data in quarantine."""
    removal = entry.removal
    data = os.path.join(os.fsencode(entry.folder), quarantine.DATA)
    if not is_loaded(rtorrent, removal.info_hash) or not _has_directory(rtorrent, entry):
        return False
    if not os.path.isdir(data):
        return True
    source = moved_files.open_root(data)
    try:
        return not any(_exists(source, file.path) for file in removal.files)
    finally:
        os.close(source)


def _require_allowed(folder: bytes, limits: StorageLimits | None) -> None:
    if limits is not None and (refusal := limits.refusal(folder, ())):
        raise RemovalRefused(refusal)


def _move_back(entry: QuarantineEntry, limits: StorageLimits | None, work: WorkReport) -> None:
    removal = entry.removal
    if not removal.files:
        return
    directory = removal.directory
    _require_allowed(directory, limits)
    above = os.path.dirname(directory)
    is_made = not os.path.isdir(directory)
    if is_made:
        if not os.path.isdir(above):
            raise RemovalRefused(f"{printable(above)} is missing: is its disk mounted?")
        os.mkdir(directory)
    source = moved_files.open_root(os.path.join(os.fsencode(entry.folder), quarantine.DATA))
    target = moved_files.open_root(directory)
    try:
        _require_allowed(real_path(target), limits)  # the folder that is open now, whatever its name leads to
        taken = [file for file in removal.files if not moved_files.is_at(target, file) and _exists(target, file.path)]
        if taken:
            raise RemovalRefused(f"{printable(os.path.join(directory, taken[0].path))} exists and is not overwritten")
        present = [file for file in removal.files if moved_files.is_at(source, file)]
        lacking = [file for file in moved_files.missing(target, removal.files) if file not in present]
        if lacking:
            raise RemovalRefused(f"{printable(lacking[0].path)} is not in {printable(str(entry.folder))} any more")
        if is_made:
            moved_files.copy_mode(source, target)
        moved_files.move(source, target, work.each(present))
    finally:
        os.close(source)
        os.close(target)


def _require_shared_files(entry: QuarantineEntry, metafile: bytes) -> None:
    """Raise RemovalRefused if files that stayed for another item are gone: rTorrent would create them empty."""
    removal = entry.removal
    kept = [bytes.fromhex(path) for path in removal.kept_files]
    if not kept:  # an entry of an earlier version: files that were not there when it was removed are missing, too
        moved = {file.path for file in removal.files}
        files = ((os.fsencode(name), size) for name, size in read_metafile(metafile).files)
        kept = [path for path, size in files if size and path not in moved]
    for path in kept:
        if not os.path.lexists(os.path.join(removal.directory, path)):
            raise RemovalRefused(
                f"{printable(path)} is missing: first restore the item that {removal.name} shared it with"
            )


def _exists(root: int, path: bytes) -> bool:
    try:
        with moved_files.parent_of(root, path) as at:
            os.stat(at.name, dir_fd=at.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _load(rtorrent: RTorrent, entry: QuarantineEntry, metafile: bytes) -> None:
    """Load the metafile with the item's directory, and with priority 0, so that no queue starts it in between."""
    removal = entry.removal
    quoted = removal.directory.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    command = b"d.directory_base.set" if removal.multi_file else b"d.directory.set"
    commands = (command + b'="' + quoted + b'"', "d.priority.set=0")
    try:
        rtorrent.call("load.raw", "", metafile, *commands)
    except RequestTooLarge:  # rTorrent reads the metafile itself, and must not tie the item to it
        path = quarantine.metafile_path(entry)
        if is_pattern(path):
            raise
        _give_new_time(path)
        rtorrent.call("load.normal", "", path, "d.tied_to_file.set=", *commands)
    end = time.monotonic() + _WITHIN
    while not is_loaded(rtorrent, removal.info_hash):
        if time.monotonic() > end:
            raise RemovalRefused(f"rTorrent has not loaded {removal.name}: its data is at its old place")
        time.sleep(_POLL)
    if not _has_directory(rtorrent, entry):
        raise RemovalRefused(f"rTorrent has loaded {removal.name} with another folder")


def _give_new_time(path: bytes) -> None:
    """rTorrent does not read a path again whose time, in whole seconds, is the same as when it last read it.

    An entry that is made, restored and made again within a second has the same path. What is given here is not known
    to rTorrent, also not from a second ago.
    """
    now = time.time()
    os.utime(path, (now, now - random.randrange(1 << 24)))


def _has_directory(rtorrent: RTorrent, entry: QuarantineEntry) -> bool:
    return not entry.removal.files or is_in_folder(rtorrent, entry.removal)


def _is_saved(rtorrent: RTorrent, info_hash: str, state: int) -> bool:
    """Have rTorrent save the item until its session has it with this state, and all of its files there."""
    session, end = Session(), time.monotonic() + _WITHIN
    while session.save(rtorrent, info_hash, {"state": state}, _WITHIN) is not False:
        if session.holds(info_hash) is not False:
            return True
        if time.monotonic() > end:
            break
        time.sleep(_POLL)
    return False


def _set_attributes(rtorrent: RTorrent, info_hash: str, saved: Mapping[bytes, object]) -> None:
    """Set what the item had: labels, custom values, throttle, priority. A value that rTorrent refuses is left out."""
    calls: list[tuple[str, tuple[str | bytes | int, ...]]] = []
    for name in _CUSTOMS:
        if isinstance(value := saved.get(name.encode()), bytes) and value:
            calls.append((f"d.{name}.set", (info_hash, value)))
    customs = saved.get(b"custom")
    for key, value in customs.items() if isinstance(customs, dict) else ():
        if isinstance(key, bytes) and isinstance(value, bytes):
            calls.append(("d.custom.set", (info_hash, key, value)))
    if isinstance(throttle := saved.get(b"throttle_name"), bytes) and throttle:
        calls.append(("d.throttle_name.set", (info_hash, throttle)))
    priority = saved.get(b"priority")
    calls.append(("d.priority.set", (info_hash, priority if isinstance(priority, int) else 2)))
    calls.append(("d.update_priorities", (info_hash,)))
    rtorrent.multicall(calls)
