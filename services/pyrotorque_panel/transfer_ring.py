"""The last day of rTorrent's transfer: one call each ten seconds; what it did not answer is a gap."""

import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pyrotorque.disk_usage import Disk, DiskUsage
from pyrotorque.errors import RTorrentError, RTorrentFault
from pyrotorque.json_input import decode_json
from pyrotorque.rtorrent import ExchangeFailed, RTorrent
from pyrotorque.store import Connection

EVERY: Final = 10.0
_CALLS: Final = (
    ("throttle.global_down.rate", ()),
    ("throttle.global_up.rate", ()),
    ("view.size", ("", "leeching")),
    ("view.size", ("", "seeding")),
    ("view.size", ("", "main")),
    ("system.client_version", ()),
    ("directory.default", ()),
)
_FOLDERS: Final = ("d.multicall2", ("", "main", "d.directory=", "d.is_multi_file="))
_FOLDERS_EVERY: Final = 600.0
_KEPT: Final = 86_400.0


class TransferSample(msgspec.Struct, frozen=True, kw_only=True):
    """rTorrent at one moment; None is what it did not answer."""

    at: float
    down: int | None = None
    up: int | None = None
    downloading: int | None = None
    seeding: int | None = None
    items: int | None = None


class TransferRing:
    """Written by a thread of its own, so that an rTorrent that hangs delays nothing else.

    `config_dir` names the group in the database: empty for the group of this panel.
    """

    def __init__(self, hours: int, roots: Sequence[str] = (), config_dir: str = "") -> None:
        self._samples: deque[TransferSample] = deque(maxlen=int(hours * 3600 / EVERY))
        self._unsaved: list[TransferSample] = []
        self._lock = threading.Lock()
        self._config_dir = config_dir
        self._roots = tuple(roots)
        self._folders: frozenset[str] = frozenset()
        self._usage = DiskUsage()
        self._next_folders = 0.0
        self.problem = ""
        self.hangs = False
        """rTorrent gave no answer in time: who asks it waits."""
        self.since = 0.0
        self.version = ""
        self.free_bytes: int | None = None
        """Room on the disk of rTorrent's default folder; read here, because a file server may hang."""
        self.folders: dict[str, str] = {}
        """The folders in which metafiles can be added, with the labels of their items."""
        self.disks: list[Disk] = []
        """The disks of the watched folders, of rTorrent's default folder, and of all items."""

    def sample(self, rtorrent: RTorrent | None, now: float) -> None:
        """Ask rTorrent once; every ten minutes also for the folders of all items."""
        answers: list[Any] = []
        hangs = False
        problem = "the address of rTorrent is unknown: set scgi_url in [TORQUE]"
        with_folders = now >= self._next_folders
        if rtorrent is not None:
            try:
                calls = (*_CALLS, _FOLDERS) if with_folders else _CALLS
                answers, problem = list(rtorrent.multicall(calls)), ""
            except RTorrentError as error:
                problem = str(error)
                hangs = isinstance(error, ExchangeFailed) and error.reason == "timeout"
        if bool(problem) != bool(self.problem) or not self.since:
            self.since = now
        self.problem, self.hangs = problem, hangs
        numbers = [_number(answer) for answer in answers[:5]] or [None] * 5
        made = TransferSample(
            at=now, down=numbers[0], up=numbers[1], downloading=numbers[2], seeding=numbers[3], items=numbers[4]
        )
        self.add(made)
        if answers:
            self.version = _text(answers[5]) or self.version
            self._measure(_text(answers[6]))
            if with_folders:
                self._folders, self._next_folders = _item_folders(answers[7]), now + _FOLDERS_EVERY
        else:
            self._measure("")

    def add(self, sample: TransferSample) -> None:
        with self._lock:
            self._samples.append(sample)
            self._unsaved.append(sample)

    def _measure(self, default: str) -> None:
        """Last, because a disk may not answer for a while."""
        self.disks = self._usage.measure((*self._roots, *((default,) if default else ()), *sorted(self._folders)))
        if not self._usage.is_measuring:
            self._folders = frozenset(self._usage.one_of_each(sorted(self._folders)))
        if default:
            device = self._usage.device(default)
            self.free_bytes = next((disk.free for disk in self.disks if disk.device == device), None)

    def latest(self) -> TransferSample | None:
        with self._lock:
            return self._samples[-1] if self._samples else None

    def since_time(self, at: float) -> list[TransferSample]:
        with self._lock:
            return [sample for sample in self._samples if sample.at >= at]

    # -- over a restart

    def load(self, db: Connection, now: float) -> None:
        """Continue the curve; samples from the future are of a clock that was set back."""
        query = "SELECT body FROM transfer WHERE config_dir = ? AND at > ? ORDER BY number"
        rows = db.execute(query, (self._config_dir, now - _KEPT)).fetchall()
        found = [sample for (body,) in rows for sample in _decoded(body) if now - _KEPT < sample.at <= now]
        with self._lock:
            self._samples.extendleft(reversed(found))

    def save(self, db: Connection, now: float) -> None:
        """Store what was added since the last call, in the caller's transaction."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, []
        if unsaved:
            values = (self._config_dir, now, msgspec.json.encode(unsaved))
            db.execute("INSERT INTO transfer (config_dir, at, body) VALUES (?, ?, ?)", values)
            db.execute("DELETE FROM transfer WHERE at <= ?", (now - _KEPT,))


def _decoded(body: bytes) -> list[TransferSample]:
    try:
        return decode_json(body, type=list[TransferSample])
    except msgspec.DecodeError:
        return []


def _item_folders(rows: Any) -> frozenset[str]:
    """The folders that items share; one of several files has a folder of its own, on the same disk."""
    pairs = [row for row in rows if isinstance(row, list) and len(row) == 2] if isinstance(rows, list) else []
    return frozenset(os.path.dirname(str(folder)) if multi else str(folder) for folder, multi in pairs if folder)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return "" if isinstance(value, RTorrentFault) else str(value)
