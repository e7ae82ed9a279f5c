"""Detects a state file that is older than at its last use: restored, copied, or without its write-ahead log.

Evidence outside of the file: `NAME.head` beside it, which has the identity of the file, how often it was used and its
newest event, and the cursors of the other services. `NAME.head` is overwritten in place when events were committed:
after a kill it is exact, after a power cut it is as new as the disk has it.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.layout import ALL_SERVICES
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.store import rows_of_other
from pyrotorque.text import printable

log = logging.getLogger(__name__)

_SIZE: Final = 256
# What a power cut removes was written less than this many seconds before: the kernel writes to the disk after 30 s.
_POWER_CUT_SECONDS: Final = 120


class StateMark(msgspec.Struct, frozen=True):
    """A state of a file: its identity, how often it was opened and closed, its newest event, the boot of the kernel."""

    database: str
    uses: int
    position: int
    boot: str


@dataclass(frozen=True)
class OlderState:
    """`cause` is `power cut` if the file may have lost its last commits with the power, else it was replaced.

    Events up to `until` were published and are lost; None: any may be lost. What is older than `seen_before_ns`
    (CLOCK_REALTIME) was known to the lost state.
    """

    cause: Literal["replaced", "power cut"]
    reason: str
    until: int | None
    seen_before_ns: int


def epoch_prefix(mark: StateMark) -> str:
    """How the names of the epochs begin that a file has in one boot."""
    return f"{mark.database}-{mark.boot[:8]}"


class StateWitness:
    """The evidence about one state file; a file that cannot be written or read is no error, and proves nothing."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.path = database.with_suffix(".head")
        self._written: StateMark | None = None
        self._in_memory = database.name == ":memory:"

    def write(self, mark: StateMark) -> None:
        """Record `mark`; before its events are published."""
        if mark == self._written or self._in_memory:
            return
        with suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            try:
                os.pwrite(fd, msgspec.json.encode(mark).ljust(_SIZE), 0)
            finally:
                os.close(fd)
            self._written = mark

    def compare(self, now: StateMark, source: str, epoch: str, base: int) -> OlderState | None:
        """Whether the file, which is in state `now` when it is opened, is older than at its last use."""
        last, at_ns = self._read()
        if last is None:
            return self._compare_cursors(now, source, epoch, base)
        name = printable(self._database.name)
        if not epoch:
            return OlderState("replaced", f"{name} is new: its state and events were lost", None, at_ns)
        if last.database != now.database:
            return OlderState("replaced", f"{name} is not the file that was last used here", None, at_ns)
        lost = last.position - now.position
        if lost <= 0 and last.uses <= now.uses:
            return self._compare_cursors(now, source, epoch, base)
        what = f"lost its last {lost} events" if lost > 0 else "is older than at its last use"
        if last.boot != now.boot:
            before = at_ns - _POWER_CUT_SECONDS * 10**9
            return OlderState("power cut", f"{name} {what} (a power cut, or an older file)", last.position, before)
        return OlderState("replaced", f"{name} {what}: it was replaced by an older one", None, at_ns)

    def _compare_cursors(self, now: StateMark, source: str, epoch: str, base: int) -> OlderState | None:
        """Without or with an equally old witness: whether another service received more events of this epoch."""
        received = base + max((seq for name, seq in self._cursors(source) if name == epoch), default=0)
        if received <= now.position:
            return None
        reason = f"{printable(self._database.name)} lost {received - now.position} events that others received"
        if epoch_prefix(now) != epoch[: len(epoch_prefix(now))]:
            return OlderState("power cut", f"{reason} (a power cut, or an older file)", received, 0)
        return OlderState("replaced", reason, None, 0)

    def _cursors(self, source: str) -> Iterator[tuple[str, int]]:
        for service in () if self._in_memory else ALL_SERVICES:
            path = self._database.with_name(f"{service}.sqlite3")
            if path == self._database:
                continue
            yield from rows_of_other(path, "SELECT epoch, seq FROM bus_cursors WHERE source = ?", source)

    def _read(self) -> tuple[StateMark | None, int]:
        try:
            found = decode_json(read_regular_file(self.path), type=StateMark)
            # Times of files have the resolution of the kernel's tick: what has the same time was seen before.
            return found, self.path.stat().st_mtime_ns + 1
        except FileNotFoundError:
            return None, 0
        except (OSError, msgspec.DecodeError) as error:
            log.debug("cannot read %s: %s", self.path, error)
            return None, 0
