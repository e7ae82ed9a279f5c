"""Failed moves: when each is tried again, and whether its cause was reported already; kept over restarts."""

import errno
import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from pyrotorque.errors import UserError
from pyrotorque.json_input import decode_json
from pyrotorque.text import encode_json

FIRST_RETRY: Final = 60.0
_LAST_RETRY: Final = 3600.0
FAILURES: Final = "failures"
"""The file in a job's private folder."""
_ITEMS_MAX: Final = 10_000
_FILE_MAX: Final = 64 << 20

MoveCause = Literal[
    "target", "exists", "missing", "shared", "full", "permission", "altered", "changing", "session", "io", "other"
]
"""Why a move fails, for the metric `pyrotorque_job_failed_moves`:

the target is not allowed, or exists; the data is not there, or is also that of others; the disk is full or its free
space unknown; no permission, or a read-only disk; rTorrent prints a path or value altered; the data changes during the
copy; rTorrent does not save its session; another error of the operating system; anything else.
"""
MOVE_CAUSES: Final[tuple[MoveCause, ...]] = get_args(MoveCause)
_CAUSES: Final[dict[int, MoveCause]] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.EROFS: "permission",
    errno.EEXIST: "exists",
    errno.ELOOP: "target",
    errno.ENOTDIR: "target",
}


class MoveRefused(UserError):
    """An item cannot be moved now, for this cause; `about` is the message without numbers that change by themselves."""

    def __init__(self, message: str, cause: MoveCause, *, about: str = "") -> None:
        super().__init__(message)
        self.cause: MoveCause = cause
        self.about = about


def cause_of(error: BaseException | None) -> MoveCause:
    """The cause of a failed move, from its error or the one that led to it."""
    while error is not None:
        if isinstance(error, MoveRefused):
            return error.cause
        if isinstance(error, OSError):
            return _CAUSES.get(error.errno or 0, "io")
        error = error.__cause__
    return "other"


def about_of(error: BaseException) -> str:
    """What stays the same while a move fails for the same reason."""
    return (error.about if isinstance(error, MoveRefused) else "") or str(error)


class MoveFailure(msgspec.Struct, frozen=True):
    """`times` counts the failures in a row, `retry_at` is in Unix seconds; `target` is empty if it is unknown.

    `times` is 0 while a run for an event of the item has not ended. `cause` is a MoveCause, perhaps of a later version.
    """

    reason: str
    times: int
    retry_at: float
    name: str = ""
    target: str = ""
    cause: str = "other"
    about: str = ""
    """What was reported: the reason without numbers that change by themselves."""


def stored_failures(folder: Path) -> dict[str, MoveFailure]:
    """The failed moves of the job with this private folder, by info-hash; empty if there are none."""
    try:
        # The job's process may have put anything there: neither a pipe nor an endless file stops the reader.
        fd = os.open(folder / FAILURES, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _FILE_MAX:
                return {}
            return decode_json(file.read(_FILE_MAX), type=dict[str, MoveFailure])
    except (OSError, msgspec.DecodeError):
        return {}


class MoveFailures:
    """In a file of the job's private folder; a file that cannot be read is empty: a move is then tried at once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FAILURES
        self._items = stored_failures(folder)

    def is_waiting(self, info_hash: str, now: float) -> bool:
        """Whether it is too early to try this item again; a clock that was set back does not delay it."""
        failure = self._items.get(info_hash)
        return failure is not None and 0 < failure.retry_at - now <= _LAST_RETRY

    def expect(self, info_hash: str, name: str, now: float) -> None:
        """A run for an event of the item begins: if it is interrupted, a scheduled run moves the item."""
        if info_hash not in self._items:
            self._items[info_hash] = MoveFailure("", 0, now, name)
            self._write()

    def hashes(self) -> frozenset[str]:
        """The items whose last move failed, or was interrupted."""
        return frozenset(self._items)

    def add(
        self,
        info_hash: str,
        reason: str,
        now: float,
        *,
        name: str = "",
        target: str = "",
        cause: MoveCause = "other",
        about: str = "",
    ) -> bool:
        """Record a failure; whether its cause is to be reported, because it is new."""
        before = self._items.pop(info_hash, None)
        times = before.times + 1 if before else 1
        pause = min(FIRST_RETRY * 2 ** min(times - 1, 10), _LAST_RETRY)
        self._items[info_hash] = MoveFailure(reason, times, now + pause, name, target, cause, about or reason)
        while len(self._items) > _ITEMS_MAX:
            del self._items[next(iter(self._items))]
        self._write()
        return before is None or (before.about or before.reason) != (about or reason)

    def remove(self, info_hash: str) -> bool:
        """The item was moved, or needs no move; whether it had failed before."""
        if self._items.pop(info_hash, None) is None:
            return False
        self._write()
        return True

    def retain(self, info_hashes: Collection[str]) -> None:
        """Forget the failures of all other items: they were erased, or are no longer to be moved."""
        if gone := self._items.keys() - frozenset(info_hashes):
            self._items = {key: failure for key, failure in self._items.items() if key not in gone}
            self._write()

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(encode_json(self._items))
            os.replace(fresh, self._path)
        except OSError:
            with suppress(OSError):
                fresh.unlink()  # reported and tried more often than necessary
