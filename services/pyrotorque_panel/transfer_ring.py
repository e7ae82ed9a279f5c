"""The last day of rTorrent's transfer: one call each ten seconds, in memory; what it did not answer is a gap."""

import threading
from collections import deque
from typing import Any, Final

import msgspec

from pyrotorque.errors import RTorrentError, RTorrentFault
from pyrotorque.linux.filesystems import disk_space
from pyrotorque.rtorrent import RTorrent

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


class TransferSample(msgspec.Struct, frozen=True, kw_only=True):
    """rTorrent at one moment; None is what it did not answer."""

    at: float
    down: int | None = None
    up: int | None = None
    downloading: int | None = None
    seeding: int | None = None
    items: int | None = None


class TransferRing:
    """Written by a thread of its own, so that an rTorrent that hangs delays nothing else."""

    def __init__(self, hours: int) -> None:
        self._samples: deque[TransferSample] = deque(maxlen=int(hours * 3600 / EVERY))
        self._lock = threading.Lock()
        self.problem = ""
        self.since = 0.0
        self.version = ""
        self.free_bytes: int | None = None
        """Room on the disk of rTorrent's default folder; read here, because a file server may hang."""

    def sample(self, rtorrent: RTorrent | None, now: float) -> None:
        """Ask rTorrent once."""
        answers: list[Any] = []
        problem = "the address of rTorrent is unknown: set scgi_url in [TORQUE]"
        if rtorrent is not None:
            try:
                answers, problem = list(rtorrent.multicall(_CALLS)), ""
            except RTorrentError as error:
                problem = str(error)
        if bool(problem) != bool(self.problem) or not self.since:
            self.since = now
        self.problem = problem
        numbers = [_number(answer) for answer in answers[:5]] or [None] * 5
        if answers:
            self.version = _text(answers[5]) or self.version
            space = disk_space(_text(answers[6]))
            self.free_bytes = None if space is None else space.free
        with self._lock:
            self._samples.append(
                TransferSample(
                    at=now, down=numbers[0], up=numbers[1], downloading=numbers[2], seeding=numbers[3], items=numbers[4]
                )
            )

    def latest(self) -> TransferSample | None:
        with self._lock:
            return self._samples[-1] if self._samples else None

    def since_time(self, at: float) -> list[TransferSample]:
        with self._lock:
            return [sample for sample in self._samples if sample.at >= at]


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return "" if isinstance(value, RTorrentFault) else str(value)
