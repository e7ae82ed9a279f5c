"""Journal of the mover: one small file per move, written before each step, kept until its event is stored."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from pyrotorque.events import TorrentMoved
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.json_input import decode_json
from pyrotorque.linux.files import sync_folder
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.rtorrent.item_load import ItemLoad
from pyrotorque.text import encode_json, printable
from pyrotorque.workers.messages import REPORTS_MAX

log = logging.getLogger(__name__)

Phase = Literal["copying", "switching", "cleaning"]


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One item's data moves from `source` to `final`; paths are stored as hex because they may not be UTF-8.

    `copying`: the item is untouched. `switching`: with `closed` it is (or is about to be) closed, and `started` is
    whether it was started before. `cleaning`: rTorrent has the new path, only copied data remains to be removed from
    the old one.
    """

    info_hash: str
    name: str
    source_hex: str
    final_hex: str
    multi_file: bool
    phase: Phase = "copying"
    by_copy: bool = False
    started: bool = False
    closed: bool = True
    """Whether `switching` has come to the item; always so in the journal of an earlier version."""
    identity: str = ""
    """Differs between two moves of one item; empty in the journal of an earlier version."""
    found: tuple[int, int] = (0, 0)
    """The inode of `source` and its time of modification (ns), so that other data at its place is not moved; 0 in the
    journal of an earlier version."""
    load: ItemLoad = ItemLoad()
    """Which item it is, if its owner has erased it and loaded it again since."""

    @property
    def is_begun(self) -> bool:
        """Whether something was done to the item, so that the move has to be finished."""
        return self.phase != "copying" and self.closed

    @property
    def source(self) -> Path:
        return Path(os.fsdecode(bytes.fromhex(self.source_hex)))

    @property
    def final(self) -> Path:
        return Path(os.fsdecode(bytes.fromhex(self.final_hex)))

    @property
    def directory(self) -> Path:
        """What rTorrent calls the item's directory after the move."""
        return self.final if self.multi_file else self.final.parent

    @property
    def partial(self) -> Path:
        """The copy in progress, beside its final path."""
        return self.final.parent / f".pyrotorque-{self.info_hash}.part"


def found_at(path: Path) -> tuple[int, int]:
    """What `Move.found` has of the data at `path`; zeros if there is none."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def path_hex(path: Path) -> str:
    return os.fsencode(path).hex()


class MoveJournal:
    """The unfinished moves, in a private folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, move: Move) -> None:
        """Record the move; it is on the disk when this returns."""
        path, fresh = self.path(move.info_hash), self._folder / f"{move.info_hash}.new"
        with fresh.open("wb") as file:
            file.write(encode_json(move))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(self._folder)

    def remove(self, move: Move) -> None:
        self.path(move.info_hash).unlink(missing_ok=True)

    def hashes(self) -> list[str]:
        """The items of all unfinished moves, oldest first."""
        found: list[tuple[float, str]] = []
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError):  # `check` looks while the mover finishes
                found.append((path.lstat().st_mtime, path.stem))
        return [info_hash for _, info_hash in sorted(found)]

    def has(self, info_hash: str) -> bool:
        return self.path(info_hash).exists()

    def touch(self, info_hash: str) -> None:
        """The item is to be moved, as was just decided."""
        with suppress(FileNotFoundError):
            os.utime(self.path(info_hash))

    def age(self, info_hash: str) -> float:
        """Seconds since the move began, or since it was last decided that it continues; 0 for a time to come."""
        return max(0.0, time.time() - self.path(info_hash).stat().st_mtime)

    def read(self, info_hash: str) -> Move:
        """The unfinished move of the item. Raises MoveRefused if its file cannot be used: it stays, since the item may
        be stopped and its data renamed."""
        path = self.path(info_hash)
        try:
            move = decode_json(read_regular_file(path, limit=RECORDS_MAX), type=Move)
        except (OSError, msgspec.DecodeError) as error:
            problem = getattr(error, "strerror", None) or str(error)
        else:
            if move.info_hash == info_hash:
                return move
            problem = f"it is that of {printable(move.info_hash)}"
        raise MoveRefused(
            f"the journal {printable(str(path))} of its unfinished move cannot be used: {problem}. The item may be "
            "stopped, with its data at the old or the new place: if the next runs fail, too, see that rTorrent has it "
            "where its data is, then remove this file",
            "io",
        )

    def path(self, info_hash: str) -> Path:
        """The file of an unfinished move."""
        return self._folder / f"{info_hash}.json"


class FinishedMoves:
    """Complete moves until the scheduler has stored their events; `publish` is None if it does not accept them."""

    def __init__(self, folder: Path, job: str, publish: Callable[[str, TorrentMoved], None] | None) -> None:
        self._folder, self._job, self._publish = folder, job, publish
        self._sent: list[Path] = []

    def begin_run(self) -> None:
        """Forget what was published: the scheduler has stored the events of a run before it starts the next one."""
        for path in self._sent:
            path.unlink(missing_ok=True)
        self._sent.clear()

    def add(self, move: Move, journal: MoveJournal) -> None:
        """The move is complete: take it from the journal."""
        if self._publish is None:
            journal.remove(move)
        else:
            journal.path(move.info_hash).rename(self._folder / f"{move.info_hash}-{move.identity}.moved")
            sync_folder(self._folder)

    def publish(self) -> None:
        """Publish the moves, oldest first, also those of a run that was killed: the scheduler stores each once."""
        if self._publish is None:
            return
        files = sorted((path.stat().st_mtime, path) for path in self._folder.glob("*.moved"))
        for at, path in files[:REPORTS_MAX]:
            try:
                move = decode_json(read_regular_file(path, limit=RECORDS_MAX), type=Move)
            except OSError as error:
                log.warning("%s cannot be read now: %s; its TorrentMoved is published later", path, error.strerror)
                continue
            except msgspec.DecodeError as error:
                log.error("%s is damaged: %s; its TorrentMoved is not published", path, error)
                path.unlink(missing_ok=True)
                continue
            self._publish(
                move.identity,
                TorrentMoved(
                    at=at,
                    info_hash=move.info_hash,
                    name=move.name,
                    job=self._job,
                    old_path=printable(str(move.source)),
                    new_path=printable(str(move.final)),
                ),
            )
            self._sent.append(path)
