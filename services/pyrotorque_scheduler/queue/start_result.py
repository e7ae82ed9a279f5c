"""The calls of a start, what became of it by rTorrent's answers, and the delay after a failure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.events import StartFailure
from pyrotorque.open_loads import MARK
from pyrotorque.rtorrent import Call, Value
from pyrotorque_scheduler.queue.model import Failure

# An item that rTorrent closed by itself (disk full, folder missing) still counts as started there: d.start alone has no
# effect on it. `branch` takes no else-if pairs from rTorrent 0.16.15 on, so there are two. The message of an earlier
# failure is obsolete. rTorrent saves its session every 20 minutes: the start is saved at once, to survive a kill.
_START_COMMANDS: Final = (
    ("branch", "d.is_open=", "cat=", "branch=d.state=,d.stop="),
    ("d.message.set", ""),
    ("d.open",),
    ("d.start",),
    ("d.save_full_session",),
)
# The same for an item whose load is open: one that rTorrent restored without its load commands does not start.
_START_IF_MARKED: Final = (
    *_START_COMMANDS[:2],
    *(("branch", f"d.custom={MARK}", f"{command}=") for command in ("d.open", "d.start")),
    *_START_COMMANDS[4:],
)
STATE_COMMANDS: Final = ("d.state", "d.is_active", "d.hashing", "d.hashing_failed", "d.message", "d.is_hash_checked")
# Seconds after the start at which it is read again: until the check of its data is over or long, and until rTorrent has
# saved the start, which takes 0.16 some 10 ms.
_READ_AGAIN: Final = (0.005, 0.02, 0.08, 0.3, 1.0, 2.0, 3.0, 4.0)
SAVED_WITHIN: Final = 5.0
_FIRST_RETRY: Final = 15.0
_LAST_RETRY: Final = 3600.0


@dataclass(frozen=True, slots=True)
class StartIntent:
    """An item that is about to be started, and for which job; times in Unix seconds.

    `marked`: when it was read, it had the watcher's mark. Only with the mark it is started then, whether its load is
    still open or not: the watcher's ledger need not be read. If it lost the mark, the next check reads it.
    """

    info_hash: str
    job: str
    name: str
    loaded: float
    at: float
    marked: bool = False


@dataclass(slots=True)
class PendingStart:
    """A start that is not published yet: rTorrent checks the item's data, or has not saved the start in its session.

    `begun` is CLOCK_MONOTONIC seconds, `saved_at` (`save_threads.now()`) is after the last request to save it,
    `has_run` says whether the item was seen running.
    """

    intent: StartIntent
    begun: float
    saved_at: float
    incarnation: str
    has_run: bool
    readings: int = 0
    not_before: float = 0.0

    @property
    def due(self) -> float:
        """When it is read again, CLOCK_MONOTONIC seconds."""
        times = _READ_AGAIN
        after = times[self.readings] if self.readings < len(times) else SAVED_WITHIN
        return max(self.not_before, self.begun + after)


@dataclass(frozen=True, slots=True)
class StartResult:
    """The state of an item after its start: `failure` is None if it runs, or if rTorrent still checks its data.

    `stuck`: rTorrent checked the data, then could not open the files (they are missing). The item stays open, counts as
    started, and another start has no effect until it was closed. `withheld`: rTorrent restored the item without its
    load commands, and it was not started.
    """

    failure: StartFailure | None
    reason: str = ""
    hash_checking: bool = False
    stuck: bool = False
    withheld: bool = False


WITHHELD: Final = StartResult(
    "rejected", "rTorrent has lost the settings of its load; the watcher loads it again", withheld=True
)

HELD: Final = StartResult("rejected", "the fleet has not given it to this group yet (pyrotorque fleet)", withheld=True)


def start_calls(info_hash: str, *, if_marked: bool) -> list[Call]:
    """The calls that start an item; `if_marked` if it has the watcher's mark."""
    commands = _START_IF_MARKED if if_marked else _START_COMMANDS
    return [(method, (info_hash, *arguments)) for method, *arguments in commands]


def start_result(answers: Sequence[Value | RTorrentFault], faults: Sequence[Value | RTorrentFault] = ()) -> StartResult:
    """Interpret the answers to the state commands; `faults` are the answers to the start commands."""
    gone = next((answer for answer in answers if isinstance(answer, RTorrentFault)), None)
    if gone is not None:
        return StartResult("gone", str(gone))
    state, active, hashing, hashing_failed, message, hash_checked = answers
    if state and active:
        return StartResult(None)
    if state and hashing and not hashing_failed:
        return StartResult(None, hash_checking=True)
    fault = next((str(answer) for answer in faults if isinstance(answer, RTorrentFault)), "")
    stuck = bool(state and hash_checked and not hashing_failed)
    failed = "rTorrent left it stopped"
    if hashing_failed:
        failed = "rTorrent could not check its data (folder or disk?)"
    elif stuck:
        failed = "rTorrent could not open its files (its log has the reason)"
    return StartResult("rejected", fault or str(message) or failed, stuck=stuck)


def next_failure(before: Failure | None, error: str, now: float) -> Failure:
    """The delay until an item that did not start is tried again doubles with each failure."""
    times = before.times + 1 if before else 1
    return Failure(now + min(_FIRST_RETRY * 2 ** (times - 1), _LAST_RETRY), error, times)
