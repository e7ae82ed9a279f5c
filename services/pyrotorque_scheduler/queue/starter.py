"""Starts one item with exactly one effect and one event: intent row first, then start, verification and event."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyrotorque.errors import RTorrentFault
from pyrotorque.events import StartFailed, StartFailure, TorrentStarted
from pyrotorque.fields import FIELDS, Field
from pyrotorque.fields.field import DETAILS
from pyrotorque.logs import job_logger, owner_log
from pyrotorque.rtorrent import RTorrent, Value
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque_scheduler.event_routing import EventRouter
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.model import Candidate, Failure
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord

# An item that rTorrent closed by itself (disk full, folder missing) still counts as started there: d.start alone has no
# effect on it. rTorrent saves its session every 20 minutes: the start is saved at once, so that it survives a kill.
_START_COMMANDS: Final = (
    ("branch", "d.is_open=", "cat=", "d.state=", "d.stop="),
    ("d.open",),
    ("d.start",),
    ("d.save_full_session",),
)
_STATE_COMMANDS: Final = ("d.state", "d.is_active", "d.hashing", "d.hashing_failed", "d.message")
# rTorrent checks the data of an item before it becomes active, usually within milliseconds. After this many seconds the
# item counts as started, and its hash check goes on.
_HASH_CHECK_SECONDS: Final = 1.0
_VERIFY_AFTER: Final = (0.005, 0.02, 0.08, 0.3)
_FIRST_RETRY: Final = 15.0
_LAST_RETRY: Final = 3600.0
_PRINTED_NAME_MAX: Final = 200

SaveState: TypeAlias = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class StartIntent:
    """An item that is about to be started, and for which job; times in Unix seconds."""

    info_hash: str
    job: str
    name: str
    loaded: float
    at: float


@dataclass(frozen=True, slots=True)
class StartResult:
    """The state of an item after its start: `failure` is None if it runs, or if rTorrent still checks its data."""

    failure: StartFailure | None
    reason: str = ""
    hash_checking: bool = False


def start_result(answers: Sequence[Value | RTorrentFault], faults: Sequence[Value | RTorrentFault] = ()) -> StartResult:
    """Interpret the answers to the state commands; `faults` are the answers to the start commands."""
    gone = next((answer for answer in answers if isinstance(answer, RTorrentFault)), None)
    if gone is not None:
        return StartResult("gone", str(gone))
    state, active, hashing, hashing_failed, message = answers
    if state and active:
        return StartResult(None)
    if state and hashing and not hashing_failed:
        return StartResult(None, hash_checking=True)
    fault = next((str(answer) for answer in faults if isinstance(answer, RTorrentFault)), "")
    failed = "rTorrent could not check its data (folder or disk?)" if hashing_failed else "rTorrent left it stopped"
    return StartResult("rejected", fault or str(message) or failed)


def next_failure(before: Failure | None, error: str, now: float) -> Failure:
    """The delay until an item that did not start is tried again doubles with each failure."""
    times = before.times + 1 if before else 1
    return Failure(now + min(_FIRST_RETRY * 2 ** (times - 1), _LAST_RETRY), error, times)


class Starter:
    """The one place that starts items, used by the service's loop; `now` is CLOCK_MONOTONIC seconds."""

    def __init__(
        self, rtorrent: RTorrent, store: Store, router: EventRouter, history: DecisionHistory, metrics: SchedulerMetrics
    ) -> None:
        self._rtorrent = rtorrent
        self._store = store
        self._router = router
        self._history = history
        self._metrics = metrics
        self._unverified: dict[str, tuple[StartIntent, float, int]] = {}
        rows = store.db.execute("SELECT info_hash, job, name, loaded, at FROM checked_items")
        self._hash_checking = {row[0]: StartIntent(*row) for row in rows}
        self._failures: dict[str, Failure] = {}

    @property
    def failures(self) -> Mapping[str, Failure]:
        """The items that did not start, by info-hash."""
        return self._failures

    def start(self, intent: StartIntent, save_state: SaveState, now: float) -> StartResult:
        """Start and verify an item; `save_state(True)` joins the intent's transaction, `save_state(False)` reverts it.

        While rTorrent checks the item's data, `verify` completes the start later. Raises RTorrentUnavailable if the
        result is unknown; then `recover` completes it.
        """
        with self._store.transaction() as db:
            row = (intent.info_hash, intent.job, printable(intent.name), intent.loaded, intent.at)
            db.execute("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?)", row)
            save_state(True)
        begin = [(method, (intent.info_hash, *arguments)) for method, *arguments in _START_COMMANDS]
        answers = self._rtorrent.multicall([*begin, *((method, (intent.info_hash,)) for method in _STATE_COMMANDS)])
        result = start_result(answers[len(begin) :], answers[: len(begin)])
        if result.hash_checking:
            result = self._read_results([intent.info_hash])[0]
        if result.hash_checking:
            self._unverified[intent.info_hash] = (intent, now, 0)
            return result
        if result.failure is not None:
            save_state(False)
        self._complete(intent, result)
        return result

    def wait(self, now: float) -> float:
        """Seconds until `verify` is due."""
        due = (begun + _verify_after(tries) - now for _, begun, tries in self._unverified.values())
        return min((max(0.0, wait) for wait in due), default=1e9)

    def verify(self, now: float) -> None:
        """Complete the starts whose items were still being checked, as far as they are due."""
        due = [h for h, (_, begun, tries) in self._unverified.items() if begun + _verify_after(tries) <= now]
        for info_hash, result in zip(due, self._read_results(due), strict=True):
            intent, begun, tries = self._unverified[info_hash]
            if result.hash_checking and now < begun + _HASH_CHECK_SECONDS:
                self._unverified[info_hash] = (intent, begun, tries + 1)
                continue
            del self._unverified[info_hash]
            self._complete(intent, result)

    def is_hash_checking(self, info_hash: str) -> bool:
        """Whether the item was started and, as last read, is not active yet because rTorrent checks its data."""
        return info_hash in self._unverified or info_hash in self._hash_checking

    def hash_checking(self) -> list[str]:
        """The items that were started and are not active yet because rTorrent checks their data; read now."""
        hashes = [*self._unverified, *self._hash_checking]
        still: list[str] = []
        for info_hash, result in zip(hashes, self._read_results(hashes), strict=True):
            still += [info_hash] if result.hash_checking else []
            if not result.hash_checking and (intent := self._hash_checking.pop(info_hash, None)):
                self._end_hash_check(intent, result)
        return still

    def has_open_intents(self) -> bool:
        """Whether `recover` has something to do."""
        rows = self._store.db.execute("SELECT info_hash FROM intents")
        return any(info_hash not in self._unverified for (info_hash,) in rows)

    def recover(self) -> None:
        """Complete starts that were cut off by the end of this process or of the connection."""
        rows = self._store.db.execute("SELECT info_hash, job, name, loaded, at FROM intents").fetchall()
        intents = [StartIntent(*row) for row in rows if row[0] not in self._unverified]
        results = self._read_results([intent.info_hash for intent in intents])
        for intent, result in zip(intents, results, strict=True):
            if result.failure is None:
                self._complete(intent, result)
            else:
                # rTorrent never executed the start: the queue decides about the item again.
                self._delete_intent(intent)

    def item(self, info_hash: str) -> tuple[str, float, bool]:
        """Name, load time, and whether it is active. Raises RTorrentFault if there is no such item."""
        commands = ("d.name",), ("d.custom", "tm_loaded"), ("d.load_date",), ("d.is_active",)
        calls = [(method, (info_hash, *arguments)) for method, *arguments in commands]
        name, stamped, loaded, active = self._rtorrent.multicall(calls)
        if isinstance(name, RTorrentFault):
            raise name
        return str(name), float(str(stamped) if str(stamped).isdecimal() else str(loaded)), active == 1

    def _end_hash_check(self, intent: StartIntent, result: StartResult) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM checked_items WHERE info_hash = ?", (intent.info_hash,))
            if result.failure == "rejected":
                self._complete(intent, result)

    def _read_results(self, hashes: Sequence[str]) -> list[StartResult]:
        count = len(_STATE_COMMANDS)
        answers = self._rtorrent.multicall([(method, (h,)) for h in hashes for method in _STATE_COMMANDS])
        return [start_result(answers[n * count : (n + 1) * count]) for n in range(len(hashes))]

    def _complete(self, intent: StartIntent, result: StartResult) -> None:
        """Delete the intent and store event and decision in one transaction, then log."""
        job, at, info_hash = intent.job, intent.at, intent.info_hash
        name, reason = printable(intent.name), printable(result.reason)
        waited = max(0.0, at - intent.loaded) if intent.loaded > 0 else None
        event: TorrentStarted | StartFailed
        if result.failure is None:
            event = TorrentStarted(at=at, job=job, info_hash=info_hash, name=name, waited=waited)
            verdict, text = "started", "started"
        else:
            event = StartFailed(at=at, job=job, info_hash=info_hash, name=name, kind=result.failure, reason=reason)
            verdict, text = "failed", reason
        with self._store.transaction() as db:
            self._delete_intent(intent)
            if result.hash_checking:
                row = (info_hash, job, name, intent.loaded, at)
                db.execute("INSERT OR REPLACE INTO checked_items VALUES (?, ?, ?, ?, ?)", row)
                self._hash_checking[info_hash] = intent
            self._router.add(event)
            record = DecisionRecord(at=at, job=job, verdict=verdict, text=text, info_hash=info_hash, name=name)
            self._history.record(record)
        if result.failure is None:
            self._failures.pop(info_hash, None)
            self._metrics.started(job, at, waited)
            job_logger(job).info("started %s (%s)", name, info_hash)
            owner_log(f"{job}: started {name} ({info_hash})")
        else:
            self._failures[info_hash] = next_failure(self._failures.get(info_hash), reason, at)
            self._metrics.start_failures.inc(job, result.failure)
            job_logger(job).error("could not start %s (%s): %s", name, info_hash, reason)
            owner_log(f"{job}: could not start {name} ({info_hash}): {reason}")

    def _delete_intent(self, intent: StartIntent) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM intents WHERE info_hash = ?", (intent.info_hash,))


def print_start(rtorrent: RTorrent, job: str, item: Candidate, table: Mapping[str, Field]) -> None:
    """Print `QueueManager: Started 'NAME' {ALIAS}` in rTorrent's own log; a failure to print is not an error."""
    try:
        text = f"QueueManager: Started '{printable(item.name)[:_PRINTED_NAME_MAX]}' {{{_alias(rtorrent, item, table)}}}"
        rtorrent.call("print", "", text)
    except RTorrentFault as fault:
        job_logger(job).debug("rTorrent refused to print the start: %s", fault)


def _alias(rtorrent: RTorrent, item: Candidate, table: Mapping[str, Field]) -> str:
    method, commands = DETAILS["trackers"]
    rows = rtorrent.call(method, item.info_hash, "", *commands)
    alias = (table.get("alias") or FIELDS["alias"]).read({}, {"trackers": rows if isinstance(rows, list) else ()})  # type: ignore[dict-item]
    return printable(str(alias))


def _verify_after(tries: int) -> float:
    return _VERIFY_AFTER[tries] if tries < len(_VERIFY_AFTER) else _HASH_CHECK_SECONDS
