"""Reads all items of an rTorrent with the exact paths of their files, or refuses: a partial list removes nothing.

A path counts if rTorrent itself confirms its bytes, and if it leads rTorrent and this process to the same folder.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.errors import RemovalRefused, RTorrentFault
from pyrotorque.housekeeping.claims import Claims, claims_of
from pyrotorque.housekeeping.item_files import ItemContent, counted_look
from pyrotorque.housekeeping.other_clients import OtherClients
from pyrotorque.housekeeping.pending_magnets import without_accepted
from pyrotorque.housekeeping.session_items import SessionItem, SessionItems
from pyrotorque.linux.filesystems import Locations, read_mounts
from pyrotorque.linux.processes import PROC
from pyrotorque.long_work import WorkReports, unseen_work
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.accepted_loads import await_accepted_loads
from pyrotorque.rtorrent.item_texts import equal_call
from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque.rtorrent.session import Session
from pyrotorque.text import counted, printable

_COMMANDS: Final = (
    *("d.hash=", "d.name=", "d.directory=", "d.is_multi_file="),
    *("d.state=", "d.is_active=", "d.is_open=", "d.complete=", "d.is_partially_done=", "d.hashing="),
    *("d.up.total=", "d.bytes_done=", "d.state_changed=", "d.load_date=", "d.completed_chunks="),
)
_BATCH: Final = 100
_SAVED_WITHIN: Final = 10.0  # seconds
_POLL: Final = 0.05
_SAVE_AGAIN: Final = 0.5
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class LiveItem:
    """An item as rTorrent has it now."""

    info_hash: str
    name: str
    printed: str
    """Its directory as rTorrent prints it."""
    multi_file: bool
    started: bool
    active: bool
    is_open: bool
    complete: bool
    """All that is wanted is there."""
    hashing: bool
    uploaded: int
    done: int
    changed: float
    """When it was started, stopped or paused the last time, in Unix seconds."""
    loaded: float
    chunks_done: int


@dataclass(frozen=True)
class Inventory:
    """All items of the rTorrent `pid`, and what belongs to them and to other clients on disk."""

    pid: int
    incarnation: str
    items: Mapping[str, LiveItem]
    claims: Claims
    locations: Locations
    inexact: Mapping[str, str]
    """Items of which rTorrent may use other paths than these, and why: never removed."""

    def same_file(self, path: bytes) -> bool:
        """Whether `path` leads rTorrent to what it leads this process to."""
        return is_same_for(self.pid, path)


@dataclass
class InventoryReader:
    """Reads inventories; the parts of the session that have not changed are kept in between."""

    rtorrent: RTorrent
    others: OtherClients
    quarantined: Callable[[], Sequence[bytes]] = tuple
    """The paths of the files in quarantine."""
    accepted: Callable[[], Collection[str]] = frozenset
    """The magnet links without metadata for which no data is kept."""
    gate: SessionGate | None = None
    """What no item has in another rTorrent than the known one may belong to an item."""
    clock: Callable[[], float] = time.monotonic
    working: WorkReports = unseen_work
    session: Session = field(default_factory=Session)
    _saved: SessionItems = field(default_factory=lambda: SessionItems(b""))
    latest: Inventory | None = None
    _claims: Claims | None = None
    """Those of the last reading: facts that have not changed are not derived again."""

    def read(self) -> Inventory:
        """Raises RemovalRefused with the reason, SessionNotKnown with `gate`, and RTorrentError."""
        self.latest = self._read() if self.gate is None else self.gate.read(self.rtorrent, self._read)
        return self.latest

    def _read(self) -> Inventory:
        identity = self.rtorrent.identity()
        self.session.locate(self.rtorrent, identity)
        folder = self.session.folder
        if not folder:
            raise RemovalRefused(
                "rTorrent's session folder is not visible from here, so the files of its items are not known: "
                "run pyrotorque on the same machine and as the same user as rTorrent"
            )
        if not is_same_for(identity.pid, folder):
            raise RemovalRefused(
                f"rTorrent (pid {identity.pid}) and its files are not provably on this machine: "
                "run pyrotorque beside it, as the same user, and not in another container"
            )
        if self._saved.folder != folder:
            self._saved = SessionItems(folder)
        items, saved = self._matching()
        directories = self._directories(items, saved, identity.pid)
        contents = [
            ItemContent(
                info_hash,
                os.fsdecode(saved[info_hash].name),
                directories[info_hash],
                saved[info_hash].files,
                item.multi_file,
                is_known=not saved[info_hash].is_magnet,
                piece_length=saved[info_hash].piece_length,
            )
            for info_hash, item in items.items()
        ]
        _refuse_other_views(identity.pid, set(directories.values()))
        contents = without_accepted([*contents, *self.others.read()], self.accepted())
        with self.working("files on the disks", sum(len(each.files) for each in contents), "file") as work:
            claims = claims_of(contents, counted_look(work), quarantined=self.quarantined(), before=self._claims)
        self._claims = claims
        _refuse_unseen(claims)
        inexact = {info_hash: reason for info_hash in items if (reason := _inexact(saved[info_hash]))}
        if self.rtorrent.identity().incarnation != identity.incarnation:
            raise RemovalRefused("rTorrent was restarted while its items were read")
        return Inventory(identity.pid, identity.incarnation, items, claims, Locations(read_mounts()), inexact)

    def read_with_accepted(self) -> Inventory:
        """As `read`, with all items whose load rTorrent accepted before: the last look before data is deleted."""
        await_accepted_loads(self.rtorrent)
        return self.read()

    def _matching(self) -> tuple[dict[str, LiveItem], dict[str, SessionItem]]:
        """The items and what is saved of each; an item that is just being saved, or erased, is awaited."""
        end = self.clock() + _SAVED_WITHIN
        save_at = 0.0
        while True:
            items = self.live_items()
            saved, problems = self._saved.read(self.working)
            unsaved = items.keys() - saved.keys()
            unloaded = (saved.keys() | problems.keys()) - items.keys()
            if not unsaved and not unloaded:
                return items, saved
            if self.clock() >= end:
                break
            save_at = self._save(unsaved, save_at)
            time.sleep(_POLL)
        if unsaved:
            why = problems.get(next(iter(unsaved)), "its session has no such file")
            raise RemovalRefused(f"the files of {_listed(unsaved)} are not known: {why}")
        raise RemovalRefused(
            f"rTorrent has not loaded {_listed(unloaded)} of its session: it is still loading, or they are damaged "
            "(then remove them from the session folder)"
        )

    def live_items(self) -> dict[str, LiveItem]:
        """All items of rTorrent by info-hash."""
        return {row[0]: _live(row) for row in self.rtorrent.rows("main", _COMMANDS)}

    def _directories(self, items: Mapping[str, LiveItem], saved: dict[str, SessionItem], pid: int) -> dict[str, bytes]:
        """The exact directory of each item. `saved` is updated where rTorrent had not saved a change yet."""
        found = {
            info_hash: os.fsencode(item.printed)
            for info_hash, item in items.items()
            if os.fsencode(item.printed) == saved[info_hash].directory
        }
        save_at = 0.0
        end = self.clock() + _SAVED_WITHIN
        while lacking := items.keys() - found.keys():
            candidates = {each: (os.fsencode(items[each].printed), saved[each].directory) for each in lacking}
            found |= self._confirmed(candidates)
            lacking = lacking - found.keys()
            if not lacking:
                break
            if self.clock() >= end:
                raise RemovalRefused(
                    f"rTorrent prints the directory of {_listed(lacking)} altered, and its session has another one"
                )
            save_at = self._save(lacking, save_at)
            time.sleep(_POLL)
            saved.update(self._saved.read()[0])
        return {info_hash: _absolute(path, pid) for info_hash, path in found.items()}

    def _confirmed(self, candidates: Mapping[str, Sequence[bytes]]) -> dict[str, bytes]:
        """The first directory of each item that rTorrent confirms byte for byte."""
        calls = [
            (info_hash, path, equal_call(info_hash, "d.directory=", path))
            for info_hash, paths in candidates.items()
            for path in dict.fromkeys(paths)
            if not path.startswith(b"$")
        ]
        found: dict[str, bytes] = {}
        for at in range(0, len(calls), _BATCH):
            batch = calls[at : at + _BATCH]
            answers = self.rtorrent.multicall([call for _, _, call in batch])
            for (info_hash, path, _), answer in zip(batch, answers, strict=True):
                if answer == 1:
                    found.setdefault(info_hash, path)
        return found

    def _save(self, hashes: Iterable[str], at: float) -> float:
        """Have rTorrent save these items at the time `at`; returns when to repeat it.

        Two saves of one item at the same time may both fail on rTorrent 0.16, so a lost one is repeated later.
        """
        now = self.clock()
        if now < at:
            return at
        for info_hash in hashes:
            with suppress(RTorrentFault):  # erased meanwhile
                self.rtorrent.call("d.save_full_session", info_hash)
        return now + _SAVE_AGAIN


def _live(row: Sequence[str]) -> LiveItem:
    info_hash, name, directory, *flags = row
    numbers = [int(text or 0) for text in flags]
    multi, state, active, is_open, complete, partial, hashing, uploaded, done, changed, loaded, chunks_done = numbers
    return LiveItem(
        info_hash=info_hash,
        name=name,
        printed=directory,
        multi_file=bool(multi),
        started=bool(state),
        active=bool(active),
        is_open=bool(is_open),
        complete=bool(complete or partial),
        hashing=bool(hashing),
        uploaded=uploaded,
        done=done,
        changed=float(changed),
        loaded=float(loaded),
        chunks_done=chunks_done,
    )


def is_same_for(pid: int, path: bytes) -> bool:
    """Whether the process `pid` finds at `path` what this process finds there, as far as that can be seen."""
    try:
        theirs = os.stat(_root_of(pid) + path)
        ours = os.stat(path)
    except OSError:
        return False
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def _root_of(pid: int) -> bytes:
    return b"%b/%d/root" % (os.fsencode(PROC), pid)


def _refuse_other_views(pid: int, directories: set[bytes]) -> None:
    for path in directories:
        if not is_same_for(pid, path) and (_exists(path) or _exists(_root_of(pid) + path)):
            raise RemovalRefused(
                f"{printable(path)} is another folder for rTorrent than for pyrotorque: run both with the same mounts"
            )


def _exists(path: bytes) -> bool:
    """Whether something is there, or may be: an error is no proof."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def _refuse_unseen(claims: Claims) -> None:
    for key, files in claims.files.items():
        for each in files:
            if each.problem:
                name = printable(claims.contents[key].name)
                raise RemovalRefused(f"{printable(each.path)} of {name} cannot be examined: {each.problem}")


def _absolute(directory: bytes, pid: int) -> bytes:
    """rTorrent uses a relative directory from its own working directory."""
    if not directory.startswith(b"/"):
        try:
            directory = os.path.join(os.readlink(os.fsencode(PROC / str(pid) / "cwd")), directory)
        except OSError as error:
            raise RemovalRefused(f"the working directory of rTorrent is not known: {error.strerror}") from None
    return directory


def _inexact(item: SessionItem) -> str:
    if item.is_magnet:
        return "it is a magnet link without metadata"
    if any(file.others for file in item.files):
        return "its files have names in several encodings"
    return ""


def _listed(hashes: "set[str] | frozenset[str]") -> str:
    shown = ", ".join(sorted(hashes)[:_SHOWN])
    return f"{counted(len(hashes), 'item')} ({shown}{', …' if len(hashes) > _SHOWN else ''})"
