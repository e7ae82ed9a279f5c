"""The events that jobs are yet to be run for, in the scheduler's file: each until its run has come to an end.

A row is kept in the transaction that tells or applies its event. Before a run its attempt is counted, and the worker
writes down the row's mark when the run is over: so that no run is repeated because the scheduler died before it could
note the end. What was interrupted (worker or scheduler killed in the middle) is run again, three times at most.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from pyrotorque.events import Event
from pyrotorque.store import Store
from pyrotorque_scheduler.event_routing import Routes, encode_event
from pyrotorque_scheduler.workers.job_worker import Task

ATTEMPTS_MAX: Final = 3
PENDING_MAX: Final = 20_000
_FORGOTTEN_AFTER: Final = 7 * 86_400.0

_tag = msgspec.json.Decoder(dict[str, msgspec.Raw])


class EventRuns:
    """The rows by job; `since` is from when on each job wants each type of event."""

    def __init__(self, store: Store, marks: Path) -> None:
        self._store = store
        self._marks = marks
        (self._database,) = store.db.execute("SELECT value FROM bus_meta WHERE key = 'database'").fetchone()
        self._since: Mapping[tuple[str, str], float] = {}

    def marks_of(self, job: str) -> Path:
        """Where the worker of this job writes the mark of its last ended run."""
        return self._marks / quote(job, safe="")

    def want(self, routes: Routes, now: float, *, forget: bool) -> None:
        """From now on these types for these jobs; who wanted them before goes on without a gap."""
        wanted = {(job, kind) for kind, jobs in routes.items() for job in jobs}
        with self._store.transaction() as db:
            known = {(job, kind): since for job, kind, since in db.execute("SELECT job, type, since FROM event_wishes")}
            if forget:
                db.executemany("DELETE FROM event_wishes WHERE job = ? AND type = ?", list(known.keys() - wanted))
                db.execute("DELETE FROM event_runs WHERE kept_at < ?", (now - _FORGOTTEN_AFTER,))
            fresh = [(job, kind, now) for job, kind in sorted(wanted - known.keys())]
            db.executemany("INSERT INTO event_wishes VALUES (?, ?, ?)", fresh)
        self._since = known | {(job, kind): since for job, kind, since in fresh}

    def keep(self, event: Event, jobs: Sequence[str]) -> None:
        """Remember an event of another service for these jobs, inside the caller's transaction."""
        kind = type(event).__name__
        body = encode_event(event)
        for job in jobs:
            if event.at >= self._since.get((job, kind), float("inf")):
                self._store.db.execute("INSERT INTO event_runs (job, body) VALUES (?, ?)", (job, body))

    def settle_marks(self, job: str) -> int:
        """Forget the row whose run had ended when the scheduler died; returns how many that were."""
        try:
            mark = self.marks_of(job).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return 0
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT number, attempts FROM event_runs WHERE job = ? AND attempts > 0", (job,)
            ).fetchall()
            ended = [(number,) for number, attempts in rows if self._mark(number, attempts) == mark]
            db.executemany("DELETE FROM event_runs WHERE number = ?", ended)
        return len(ended)

    def trim(self, job: str) -> int:
        """Drop the oldest where more wait than can ever be run; returns how many."""
        query = "SELECT number FROM event_runs WHERE job = ? ORDER BY number DESC LIMIT 1 OFFSET ?"
        found = self._store.db.execute(query, (job, PENDING_MAX)).fetchone()
        if found is None:
            return 0
        with self._store.transaction() as db:
            return db.execute("DELETE FROM event_runs WHERE job = ? AND number <= ?", (job, found[0])).rowcount

    def is_waiting(self, job: str) -> bool:
        """Whether this job is yet to be run for an event."""
        return self._store.db.execute("SELECT 1 FROM event_runs WHERE job = ? LIMIT 1", (job,)).fetchone() is not None

    def exhausted(self, job: str) -> int | None:
        """The row whose runs were interrupted too often: only of the oldest was one ever begun."""
        query = "SELECT number, attempts FROM event_runs WHERE job = ? ORDER BY number LIMIT 1"
        row = self._store.db.execute(query, (job,)).fetchone()
        return row[0] if row is not None and row[1] >= ATTEMPTS_MAX else None

    def take(self, job: str) -> Task | None:
        """The oldest event that waits; its attempt is counted with this."""
        query = "SELECT number, body, attempts FROM event_runs WHERE job = ? ORDER BY number LIMIT 1"
        row = self._store.db.execute(query, (job,)).fetchone()
        if row is None:
            return None
        number, body, attempts = row
        with self._store.transaction() as db:
            db.execute("UPDATE event_runs SET attempts = attempts + 1 WHERE number = ?", (number,))
        kind = bytes(_tag.decode(body)["type"]).decode().strip('"')
        return Task("event", number, body, self._mark(number, attempts + 1), kind)

    def put_back(self, task: Task) -> None:
        """The run could not begin: that was no attempt."""
        with self._store.transaction() as db:
            db.execute("UPDATE event_runs SET attempts = attempts - 1 WHERE number = ?", (task.number,))

    def done(self, number: int) -> None:
        """The run has come to its end; joins the caller's transaction."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM event_runs WHERE number = ?", (number,))

    def _mark(self, number: int, attempt: int) -> str:
        return f"{self._database} {number} {attempt}"
