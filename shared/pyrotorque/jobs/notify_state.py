"""What a notification job keeps between its runs: messages for the next digest, and causes that were reported."""

from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import printable

_PENDING_MAX: Final = 1000
_CAUSES_MAX: Final = 500
_SUBJECT_MAX: Final = 200


class Cause(msgspec.Struct):
    """A problem that lasts: when it was first reported, and how often it happened since the last message."""

    first: float
    sent: float
    count: int = 0
    total: int = 1


class NotifyState(msgspec.Struct):
    """`pending` are kind and subject of each event that waits; `digest_at` is when the last digest was sent."""

    pending: list[tuple[str, str]] = msgspec.field(default_factory=list[tuple[str, str]])
    dropped: int = 0
    digest_at: float = 0.0
    causes: dict[str, Cause] = msgspec.field(default_factory=dict[str, Cause])

    def keep(self, kind: str, subject: str) -> None:
        """Add an event to the next digest."""
        if len(self.pending) < _PENDING_MAX:
            self.pending.append((kind, printable(subject)[:_SUBJECT_MAX]))
        else:
            self.dropped += 1

    def report(self, cause: str, now: float, repeat: float) -> int | None:
        """How often the cause happened since the last message, if a message is due now; else None."""
        known = self.causes.get(cause)
        if known is None or now < known.first:
            while len(self.causes) >= _CAUSES_MAX:
                del self.causes[next(iter(self.causes))]
            self.causes[cause] = Cause(now, now)
            return 0
        known.total += 1
        known.count += 1
        if now - known.sent < repeat:
            return None
        count, known.count, known.sent = known.count, 0, now
        return count

    def not_sent(self, cause: str) -> bool:
        """Whether a message about the cause is still due: its next one, or that it is over, does not wait."""
        known = self.causes.get(cause)
        if known is not None:
            known.sent = 0.0
        return known is not None

    def end(self, cause: str) -> Cause | None:
        """The cause that has ended, if it was reported."""
        return self.causes.pop(cause, None)


def read_state(folder: Path) -> NotifyState:
    """The stored state; an unreadable file is an empty one: a message too many is better than none."""
    try:
        return decode_json(read_regular_file(folder / "notify.json"), type=NotifyState)
    except (OSError, msgspec.DecodeError):
        return NotifyState()


def write_state(folder: Path, state: NotifyState) -> None:
    """Replace the stored state."""
    write_atomically(folder / "notify.json", msgspec.json.encode(state))
