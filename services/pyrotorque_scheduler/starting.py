"""Starts one item so that it happens once and is told once: intent before, verified after, event with the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.events import StartFailed, StartFailure, TorrentStarted
from pyrotorque.logs import owner
from pyrotorque.rtorrent import RTorrent, Value
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque_scheduler.history import Decided, History
from pyrotorque_scheduler.metrics import Metrics
from pyrotorque_scheduler.naming import logger_of
from pyrotorque_scheduler.telling import Teller

_LOOK: Final = ("d.state", "d.is_active", "d.is_open", "d.hashing", "d.message", "d.name")
_START: Final = ("d.open", "d.start")


@dataclass(frozen=True, slots=True)
class Intent:
    """An item that is about to be started, and for whom."""

    info_hash: str
    job: str
    name: str
    loaded: float
    at: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What rTorrent says of an item: `trouble` is None when it runs, or is only being checked before it runs."""

    trouble: StartFailure | None
    reason: str = ""
    checking: bool = False


def seen(answers: Sequence[Value | RTorrentFault], faults: Sequence[Value | RTorrentFault] = ()) -> Seen:
    """What the answers to `d.state`, … (and to the start, in `faults`) mean."""
    broken = next((a for a in answers if isinstance(a, RTorrentFault)), None)
    if broken is not None:
        return Seen("gone", str(broken))
    state, active, is_open, hashing, message, _ = answers
    if state and (active or hashing or is_open):
        return Seen(None, checking=not active)
    fault = next((str(a) for a in faults if isinstance(a, RTorrentFault)), "")
    return Seen("rejected", fault or str(message) or "rTorrent left it stopped")


class Starter:
    """The one place that starts items; it belongs to the loop."""

    def __init__(self, rtorrent: RTorrent, store: Store, teller: Teller, history: History, metrics: Metrics) -> None:
        self._rtorrent = rtorrent
        self._store = store
        self._teller = teller
        self._history = history
        self._metrics = metrics
        self._checking: set[str] = set()

    def start(self, intent: Intent, remember: Callable[[bool], None]) -> Seen:
        """Start an item and say how it went; `remember(True)` runs with the intent, `remember(False)` if it failed.

        Raises RTorrentUnavailable when nobody knows how it went: then `recover` finds out.
        """
        with self._store.transaction() as db:
            row = (intent.info_hash, intent.job, printable(intent.name), intent.loaded, intent.at)
            db.execute("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?)", row)
            remember(True)
        calls = [(method, (intent.info_hash,)) for method in (*_START, *_LOOK)]
        answers = self._rtorrent.multicall(calls)
        found = seen(answers[len(_START) :], answers[: len(_START)])
        if found.checking:
            self._checking.add(intent.info_hash)
        self._settle(intent, found, remember)
        return found

    def name_of(self, info_hash: str) -> tuple[str, float]:
        """Name and load time of an item. Raises RTorrentFault where there is none."""
        name, stamped, loaded = self._rtorrent.multicall(
            [("d.name", (info_hash,)), ("d.custom", (info_hash, "tm_loaded")), ("d.load_date", (info_hash,))]
        )
        if isinstance(name, RTorrentFault):
            raise name
        return str(name), float(str(stamped) if str(stamped).isdigit() else str(loaded))

    def recover(self) -> int:
        """Look at what was about to be started when a process or a connection died; returns how many there were."""
        rows = self._store.db.execute("SELECT info_hash, job, name, loaded, at FROM intents").fetchall()
        for row in rows:
            intent = Intent(*row)
            found = seen(self._rtorrent.multicall([(method, (intent.info_hash,)) for method in _LOOK]))
            if found.trouble is None:
                self._settle(intent, found, _nothing)
            else:
                # It was never started, as far as rTorrent knows: the queue will decide anew.
                self._forget(intent)
        return len(rows)

    def still_checked(self) -> int:
        """How many of those that were started are being checked by rTorrent: not active yet, but they take a slot."""
        if not self._checking:
            return 0
        hashes = sorted(self._checking)
        calls = [(method, (info_hash,)) for info_hash in hashes for method in _LOOK]
        answers = self._rtorrent.multicall(calls)
        width = len(_LOOK)
        looks = [seen(answers[n * width : (n + 1) * width]) for n in range(len(hashes))]
        self._checking = {h for h, look in zip(hashes, looks, strict=True) if look.trouble is None and look.checking}
        return len(self._checking)

    def _settle(self, intent: Intent, found: Seen, remember: Callable[[bool], None]) -> None:
        name = printable(intent.name)
        waited = max(0.0, intent.at - intent.loaded) if intent.loaded > 0 else None
        with self._store.transaction():
            self._forget(intent)
            if found.trouble is None:
                self._teller.add(
                    TorrentStarted(at=intent.at, info_hash=intent.info_hash, name=name, job=intent.job, waited=waited)
                )
                self._record(intent, "started", "started")
            else:
                remember(False)
                failed = StartFailed(
                    at=intent.at,
                    info_hash=intent.info_hash,
                    name=name,
                    job=intent.job,
                    kind=found.trouble,
                    reason=printable(found.reason),
                )
                self._teller.add(failed)
                self._record(intent, "failed", printable(found.reason))
        self._say(intent, found, name, waited)

    def _forget(self, intent: Intent) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM intents WHERE info_hash = ?", (intent.info_hash,))

    def _record(self, intent: Intent, verdict: str, text: str) -> None:
        self._history.record(
            Decided(
                at=intent.at,
                job=intent.job,
                verdict=verdict,
                text=text,
                info_hash=intent.info_hash,
                name=intent.name,
            )
        )

    def _say(self, intent: Intent, found: Seen, name: str, waited: float | None) -> None:
        log = logger_of(intent.job)
        if found.trouble is None:
            self._metrics.started(intent.job, intent.at, waited)
            log.info("started %s (%s)", name, intent.info_hash)
            owner(f"{intent.job}: started {name} ({intent.info_hash})")
        else:
            self._metrics.start_failures.inc(intent.job, found.trouble)
            reason = printable(found.reason)
            log.error("could not start %s (%s): %s", name, intent.info_hash, reason)
            owner(f"{intent.job}: could not start {name} ({intent.info_hash}): {reason}")


def _nothing(_: bool) -> None:
    """What is recovered was remembered with its intent."""
