"""Whether an item that was to be started does run: what rTorrent's answers mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.events import StartFailure
from pyrotorque.rtorrent import Value
from pyrotorque_scheduler.decisions import Failure

LOOK: Final = ("d.state", "d.is_active", "d.hashing", "d.hashing_failed", "d.message")
_FIRST_WAIT: Final = 15.0
_LAST_WAIT: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Intent:
    """An item that is about to be started, and for whom; times in Unix seconds."""

    info_hash: str
    job: str
    name: str
    loaded: float
    at: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What rTorrent says of an item: `trouble` is None when it runs, or is only being `checking` before it runs."""

    trouble: StartFailure | None
    reason: str = ""
    checking: bool = False


def seen(answers: Sequence[Value | RTorrentFault], faults: Sequence[Value | RTorrentFault] = ()) -> Seen:
    """What the answers to LOOK mean; `faults` are those to the start itself."""
    broken = next((answer for answer in answers if isinstance(answer, RTorrentFault)), None)
    if broken is not None:
        return Seen("gone", str(broken))
    state, active, hashing, hashing_failed, message = answers
    if state and active:
        return Seen(None)
    if state and hashing and not hashing_failed:
        return Seen(None, checking=True)
    fault = next((str(answer) for answer in faults if isinstance(answer, RTorrentFault)), "")
    failed = "rTorrent could not check its data (folder or disk?)" if hashing_failed else "rTorrent left it stopped"
    return Seen("rejected", fault or str(message) or failed)


def put_off(before: Failure | None, text: str, now: float) -> Failure:
    """An item that did not start is tried again after a while that doubles each time."""
    times = before.times + 1 if before else 1
    return Failure(now + min(_FIRST_WAIT * 2 ** (times - 1), _LAST_WAIT), text, times)
