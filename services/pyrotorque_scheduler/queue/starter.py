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

LOOK: Final = ("d.state", "d.is_active", "d.hashing", "d.hashing_failed", "d.message")
_FIRST_WAIT: Final = 15.0
_LAST_WAIT: Final = 3600.0


@dataclass(frozen=True, slots=True)
class StartIntent:
    """An item that is about to be started, and for whom; times in Unix seconds."""

    info_hash: str
    job: str
    name: str
    loaded: float
    at: float


@dataclass(frozen=True, slots=True)
class StartResult:
    """What rTorrent says of an item: `trouble` is None when it runs, or is only being `checking` before it runs."""

    trouble: StartFailure | None
    reason: str = ""
    checking: bool = False


def start_result(answers: Sequence[Value | RTorrentFault], faults: Sequence[Value | RTorrentFault] = ()) -> StartResult:
    """What the answers to LOOK mean; `faults` are those to the start itself."""
    broken = next((answer for answer in answers if isinstance(answer, RTorrentFault)), None)
    if broken is not None:
        return StartResult("gone", str(broken))
    state, active, hashing, hashing_failed, message = answers
    if state and active:
        return StartResult(None)
    if state and hashing and not hashing_failed:
        return StartResult(None, checking=True)
    fault = next((str(answer) for answer in faults if isinstance(answer, RTorrentFault)), "")
    failed = "rTorrent could not check its data (folder or disk?)" if hashing_failed else "rTorrent left it stopped"
    return StartResult("rejected", fault or str(message) or failed)


def next_failure(before: Failure | None, text: str, now: float) -> Failure:
    """An item that did not start is tried again after a while that doubles each time."""
    times = before.times + 1 if before else 1
    return Failure(now + min(_FIRST_WAIT * 2 ** (times - 1), _LAST_WAIT), text, times)


_NAME_MAX: Final = 200


def print_start(rtorrent: RTorrent, job: str, item: Candidate, table: Mapping[str, Field]) -> None:
    """`QueueManager: Started 'NAME' {ALIAS}`; that it cannot be printed is no reason to stop."""
    try:
        text = f"QueueManager: Started '{printable(item.name)[:_NAME_MAX]}' {{{_alias(rtorrent, item, table)}}}"
        rtorrent.call("print", "", text)
    except RTorrentFault as fault:
        job_logger(job).debug("rTorrent would not print: %s", fault)


def _alias(rtorrent: RTorrent, item: Candidate, table: Mapping[str, Field]) -> str:
    method, commands = DETAILS["trackers"]
    rows = rtorrent.call(method, item.info_hash, "", *commands)
    alias = (table.get("alias") or FIELDS["alias"]).read({}, {"trackers": rows if isinstance(rows, list) else ()})  # type: ignore[dict-item]
    return printable(str(alias))


Remember: TypeAlias = Callable[[bool], None]

# What rTorrent closed by itself (disk full, folder gone) counts as started there: d.start alone would do nothing to it.
# And it would forget a start when it is killed before it saves its session, every 20 minutes: so that is saved at once.
_START: Final = (
    ("branch", "d.is_open=", "cat=", "d.state=", "d.stop="),
    ("d.open",),
    ("d.start",),
    ("d.save_full_session",),
)
# rTorrent checks the data of an item before it becomes active. Mostly that takes milliseconds; after this long we call
# the item started and let it be checked.
_PATIENCE: Final = 1.0
_LOOKS: Final = (0.005, 0.02, 0.08, 0.3)


class Starter:
    """The one place that starts items; it belongs to the loop. Times of the looks are CLOCK_MONOTONIC seconds."""

    def __init__(
        self, rtorrent: RTorrent, store: Store, router: EventRouter, history: DecisionHistory, metrics: SchedulerMetrics
    ) -> None:
        self._rtorrent = rtorrent
        self._store = store
        self._router = router
        self._history = history
        self._metrics = metrics
        self._open: dict[str, tuple[StartIntent, float, int]] = {}
        rows = store.db.execute("SELECT info_hash, job, name, loaded, at FROM checked_items")
        self._checking = {row[0]: StartIntent(*row) for row in rows}
        self._failures: dict[str, Failure] = {}

    @property
    def failures(self) -> Mapping[str, Failure]:
        """The items that did not start and are left alone for a while."""
        return self._failures

    def start(self, intent: StartIntent, remember: Remember, now: float) -> StartResult:
        """Start an item and say how it went; `remember(True)` runs with the intent, `remember(False)` if it failed.

        While rTorrent checks its data nothing is told yet: `follow_up` does. Raises RTorrentUnavailable when nobody
        knows how it went: then `recover` finds out.
        """
        with self._store.transaction() as db:
            row = (intent.info_hash, intent.job, printable(intent.name), intent.loaded, intent.at)
            db.execute("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?)", row)
            remember(True)
        begin = [(method, (intent.info_hash, *arguments)) for method, *arguments in _START]
        answers = self._rtorrent.multicall([*begin, *((method, (intent.info_hash,)) for method in LOOK)])
        found = start_result(answers[len(begin) :], answers[: len(begin)])
        if found.checking:
            found = self._looks([intent.info_hash])[0]
        if found.checking:
            self._open[intent.info_hash] = (intent, now, 0)
            return found
        if found.trouble is not None:
            remember(False)
        self._settle(intent, found)
        return found

    def wait(self, now: float) -> float:
        """Seconds until `follow_up` should look again."""
        return min((max(0.0, begun + _look_after(looks) - now) for _, begun, looks in self._open.values()), default=1e9)

    def follow_up(self, now: float) -> None:
        """Look at what is being checked, when it is time to; tell what became of it."""
        due = [h for h, (_, begun, looks) in self._open.items() if begun + _look_after(looks) <= now]
        for info_hash, found in zip(due, self._looks(due), strict=True):
            intent, begun, looks = self._open[info_hash]
            if found.checking and now < begun + _PATIENCE:
                self._open[info_hash] = (intent, begun, looks + 1)
                continue
            del self._open[info_hash]
            self._settle(intent, found)

    def is_checked(self, info_hash: str) -> bool:
        """Whether it was started and, when we looked last, not active yet because rTorrent checked its data."""
        return info_hash in self._open or info_hash in self._checking

    def still_checked(self) -> list[str]:
        """Those that were started and are not active yet, because rTorrent checks their data."""
        hashes = [*self._open, *self._checking]
        checked: list[str] = []
        for info_hash, found in zip(hashes, self._looks(hashes), strict=True):
            checked += [info_hash] if found.checking else []
            if not found.checking and (intent := self._checking.pop(info_hash, None)):
                self._is_checked(intent, found)
        return checked

    def _is_checked(self, intent: StartIntent, found: StartResult) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM checked_items WHERE info_hash = ?", (intent.info_hash,))
            if found.trouble == "rejected":
                self._settle(intent, found)

    def has_open_intents(self) -> bool:
        """Whether there is anything to `recover`."""
        rows = self._store.db.execute("SELECT info_hash FROM intents")
        return any(info_hash not in self._open for (info_hash,) in rows)

    def recover(self) -> int:
        """Look at what was about to be started when a process or a connection died; returns how many there were."""
        rows = self._store.db.execute("SELECT info_hash, job, name, loaded, at FROM intents").fetchall()
        intents = [StartIntent(*row) for row in rows if row[0] not in self._open]
        for intent, found in zip(intents, self._looks([intent.info_hash for intent in intents]), strict=True):
            if found.trouble is None:
                self._settle(intent, found)
            else:
                # As far as rTorrent knows it was never started: the queue will decide anew.
                self._forget(intent)
        return len(intents)

    def about(self, info_hash: str) -> tuple[str, float, bool]:
        """Name, load time, and whether it runs. Raises RTorrentFault where there is no such item."""
        asked = ("d.name",), ("d.custom", "tm_loaded"), ("d.load_date",), ("d.is_active",)
        calls = [(method, (info_hash, *arguments)) for method, *arguments in asked]
        name, stamped, loaded, active = self._rtorrent.multicall(calls)
        if isinstance(name, RTorrentFault):
            raise name
        return str(name), float(str(stamped) if str(stamped).isdecimal() else str(loaded)), active == 1

    def _looks(self, hashes: Sequence[str]) -> list[StartResult]:
        answers = self._rtorrent.multicall([(method, (info_hash,)) for info_hash in hashes for method in LOOK])
        return [start_result(answers[n * len(LOOK) : (n + 1) * len(LOOK)]) for n in range(len(hashes))]

    def _settle(self, intent: StartIntent, found: StartResult) -> None:
        name, reason = printable(intent.name), printable(found.reason)
        waited = max(0.0, intent.at - intent.loaded) if intent.loaded > 0 else None
        about = {"at": intent.at, "job": intent.job, "info_hash": intent.info_hash, "name": name}
        with self._store.transaction() as db:
            self._forget(intent)
            if found.checking:
                row = (intent.info_hash, intent.job, name, intent.loaded, intent.at)
                db.execute("INSERT OR REPLACE INTO checked_items VALUES (?, ?, ?, ?, ?)", row)
                self._checking[intent.info_hash] = intent
            if found.trouble is None:
                self._router.add(TorrentStarted(**about, waited=waited))  # type: ignore[arg-type]
                self._history.record(DecisionRecord(**about, verdict="started", text="started"))  # type: ignore[arg-type]
            else:
                self._router.add(StartFailed(**about, kind=found.trouble, reason=reason))  # type: ignore[arg-type]
                self._history.record(DecisionRecord(**about, verdict="failed", text=reason))  # type: ignore[arg-type]
        if found.trouble is None:
            self._failures.pop(intent.info_hash, None)
            self._metrics.started(intent.job, intent.at, waited)
            job_logger(intent.job).info("started %s (%s)", name, intent.info_hash)
            owner_log(f"{intent.job}: started {name} ({intent.info_hash})")
        else:
            self._failures[intent.info_hash] = next_failure(self._failures.get(intent.info_hash), reason, intent.at)
            self._metrics.start_failures.inc(intent.job, found.trouble)
            job_logger(intent.job).error("could not start %s (%s): %s", name, intent.info_hash, reason)
            owner_log(f"{intent.job}: could not start {name} ({intent.info_hash}): {reason}")

    def _forget(self, intent: StartIntent) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM intents WHERE info_hash = ?", (intent.info_hash,))


def _look_after(looks: int) -> float:
    return _LOOKS[looks] if looks < len(_LOOKS) else _PATIENCE
