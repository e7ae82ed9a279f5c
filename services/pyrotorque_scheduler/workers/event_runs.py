"""The queue of runs that events cause, in the scheduler's database: each row stays until its run has ended.

A row is inserted in the transaction that publishes or applies its event. Before a run its attempt is counted; the
worker writes the row's mark to a file when the run ends, so that no run is repeated if the scheduler dies before it
deletes the row. An interrupted run (worker or scheduler killed) is repeated, three attempts in total.

A job that runs after others (`job.NAME.after`) waits while one of them has a row of the same event. If a run fails, the
rows of the jobs after it are deleted in the same transaction: they do not run for that event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import quote

from pyrotorque.events import Durable, Event, Fact, JobReported
from pyrotorque.job_order import EventOrder
from pyrotorque.json_input import JsonDecoder
from pyrotorque.limits import EVENT_RUN_BYTES
from pyrotorque.store import Store
from pyrotorque.text import counted, printable
from pyrotorque.workers.mark_files import read_mark
from pyrotorque.workers.messages import FAILED
from pyrotorque_scheduler.event_router import Routes, add_runs
from pyrotorque_scheduler.workers.job_worker import JobRun

ATTEMPTS_MAX: Final = 3
PENDING_MAX: Final = 20_000
_TRIM_EVERY: Final = 100
# The fields of an event that name what it is about.
_SUBJECTS: Final = ("name", "info_hash", "metafile", "job", "service")
_RETENTION: Final = 7 * 86_400.0
"""Seconds for which the rows of a job stay that is on no event any more: it may be switched off for a while."""
# The other publishers of durable events; our own are stored when they are published.
_PUBLISHERS: Final = ("watcher", "guardian", "exporter")
_DURABLE_TYPES: Final[Mapping[str, type[Fact]]] = {kind.__name__: kind for kind in get_args(Durable)}

_fields = JsonDecoder(dict[str, Any])


@dataclass(frozen=True)
class CancelledRun:
    """A run that is not made because a job before it failed; `subject` is what the event is about."""

    job: str
    failed: str
    subject: str


@dataclass(frozen=True)
class UnrecordedRun:
    """A run for an event that the scheduler has not seen end; if it failed, with the runs that are not made then."""

    event_type: str
    failed: bool = True
    cancelled: tuple[CancelledRun, ...] = ()
    reports: tuple[JobReported, ...] = ()


@dataclass(frozen=True)
class _Row:
    number: int
    body: bytes
    attempts: int
    event: int | None

    @property
    def type(self) -> str:
        return str(_fields.decode(self.body)["type"])


def event_subscriptions(
    routes: Routes, hints: Mapping[str, tuple[type[Fact], ...]]
) -> dict[str, tuple[type[Fact], ...]]:
    """What to subscribe to: `hints`, and every event type that a job is `on`, from every service that publishes it."""
    wanted = tuple(_DURABLE_TYPES[name] for name in sorted(routes) if name in _DURABLE_TYPES)
    if not wanted:
        return dict(hints)
    sources = dict.fromkeys((*hints, *_PUBLISHERS))
    return {source: tuple(dict.fromkeys((*hints.get(source, ()), *wanted))) for source in sources}


class EventRuns:
    """The rows by job; `_since` is the time at which each job was first `on` each event type."""

    def __init__(self, store: Store, marks_dir: Path) -> None:
        self._store = store
        self._marks_dir = marks_dir
        (self._database,) = store.db.execute("SELECT value FROM bus_meta WHERE key = 'database'").fetchone()
        self._since: Mapping[tuple[str, str], float] = {}
        self._order = EventOrder()
        self._trimmed_to: int | None = None

    def mark_file(self, job: str) -> Path:
        """Where the worker of this job writes the mark of its last ended run."""
        return self._marks_dir / quote(job, safe="")

    def set_routes(self, routes: Routes, order: EventOrder, now: float, *, forget: bool) -> None:
        """Queue runs for these routes from now on; routes that existed before continue without a gap.

        With `forget`, old rows of jobs without a route are deleted. Those of other jobs stay, however long they wait.
        """
        self._order = order
        wanted = {(job, kind) for kind, jobs in routes.items() for job in jobs}
        with self._store.transaction() as db:
            known = {(job, kind): since for job, kind, since in db.execute("SELECT job, type, since FROM event_wishes")}
            if forget:
                db.executemany("DELETE FROM event_wishes WHERE job = ? AND type = ?", list(known.keys() - wanted))
                jobs = {job for (job,) in db.execute("SELECT DISTINCT job FROM event_runs")}
                gone = [(job, now - _RETENTION) for job in sorted(jobs - {job for job, _ in wanted})]
                db.executemany("DELETE FROM event_runs WHERE job = ? AND kept_at < ?", gone)
            fresh = [(job, kind, now) for job, kind in sorted(wanted - known.keys())]
            db.executemany("INSERT INTO event_wishes VALUES (?, ?, ?)", fresh)
        self._since = known | {(job, kind): since for job, kind, since in fresh}

    def left_events(self, routes: Routes) -> list[str]:
        """One sentence for each job that is on no event any more and has queued ones, as after it was renamed."""
        jobs = {job for names in routes.values() for job in names}
        found = self._store.db.execute("SELECT job, count(*) FROM event_runs GROUP BY job ORDER BY job").fetchall()
        return [
            printable(
                f"job.{job} is not active or on no event, and has {counted(count, 'queued event')}: they wait for a "
                "job of this name for a week"
            )
            for job, count in found
            if job not in jobs
        ]

    def add(self, event: Event, jobs: Sequence[str], now: float) -> None:
        """Queue an event of another service for these jobs, inside the caller's transaction."""
        kind = type(event).__name__
        since = {job: self._since.get((job, kind), float("inf")) for job in jobs}
        # A time that is still to come is from a clock that was ahead, and was set back since: until then, no event
        # would be from after it.
        add_runs(self._store, event, [job for job in jobs if event.at >= since[job] or now < since[job] < float("inf")])

    def delete_marked(self, job: str) -> UnrecordedRun | None:
        """Delete the row whose run had ended when the scheduler died; joins the caller's transaction."""
        text, reports = read_mark(self.mark_file(job))
        mark = text.removesuffix(FAILED)
        query = "SELECT number, attempts FROM event_runs WHERE job = ? AND attempts > 0"
        for number, attempts in self._store.db.execute(query, (job,)).fetchall():
            if self._mark(number, attempts) == mark:
                return replace(self._end(job, number, failed=text != mark), reports=reports)
        return None

    def has_grown(self) -> bool:
        """Whether so many rows were inserted since the last call with this result that `trim` is useful."""
        found = self._store.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event_runs'").fetchone()
        newest = found[0] if found else 0
        if self._trimmed_to is not None and newest - self._trimmed_to < _TRIM_EVERY:
            return False
        self._trimmed_to = newest
        return True

    def trim(self, job: str) -> int:
        """Delete the oldest rows above the limits in number and bytes, except the one that runs; returns how many."""
        sizes = self._store.db.execute(
            "SELECT number, length(body) FROM event_runs WHERE job = ? ORDER BY number DESC LIMIT ?",
            (job, PENDING_MAX + 1),
        )
        total, oldest_kept = 0, None
        for count, (number, size) in enumerate(sizes):
            total += size
            # The newest row stays, whatever its size.
            if oldest_kept is not None and (count >= PENDING_MAX or total > EVENT_RUN_BYTES):
                return self._drop_before(job, oldest_kept)
            oldest_kept = number
        return 0

    def _drop_before(self, job: str, oldest_kept: int) -> int:
        dropped = "job = ? AND number < ? AND attempts = 0"
        with self._store.transaction() as db:
            # A job that runs after this one must not run for an event that this one missed.
            query = f"SELECT number FROM event_runs WHERE {dropped} AND event IS NOT NULL"
            for (number,) in db.execute(query, (job, oldest_kept)).fetchall() if self._order.precedes(job) else ():
                self._cancel(job, number)
            return db.execute(f"DELETE FROM event_runs WHERE {dropped}", (job, oldest_kept)).rowcount

    def is_pending(self, job: str) -> bool:
        """Whether an event is queued for this job, and no job before it has yet to run for that event."""
        row = self._oldest(job)
        return row is not None and not self._waits(job, row)

    def exhausted(self, job: str) -> int | None:
        """The row that used up its attempts; only a job's oldest row can have."""
        row = self._oldest(job)
        return row.number if row is not None and row.attempts >= ATTEMPTS_MAX else None

    def take(self, job: str) -> JobRun | None:
        """The run for the oldest queued event; this counts its attempt."""
        row = self._oldest(job)
        if row is None or self._waits(job, row):
            return None
        with self._store.transaction() as db:
            db.execute("UPDATE event_runs SET attempts = attempts + 1 WHERE number = ?", (row.number,))
        return JobRun("event", row.number, row.body, self._mark(row.number, row.attempts + 1), row.type)

    def put_back(self, run: JobRun) -> None:
        """The run could not start: its attempt does not count."""
        with self._store.transaction() as db:
            db.execute("UPDATE event_runs SET attempts = attempts - 1 WHERE number = ?", (run.number,))

    def delete(self, number: int) -> None:
        """The run has succeeded; joins the caller's transaction."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM event_runs WHERE number = ?", (number,))

    def fail(self, job: str, number: int) -> list[CancelledRun]:
        """The run has failed; returns the runs that are not made because of it. Joins the caller's transaction."""
        with self._store.transaction():
            cancelled = self._cancel(job, number)
            self.delete(number)
        return cancelled

    def lose(self, job: str, number: int) -> UnrecordedRun:
        """As `fail`, for a run without a result."""
        return self._end(job, number, failed=True)

    def _end(self, job: str, number: int, *, failed: bool) -> UnrecordedRun:
        (body,) = self._store.db.execute("SELECT body FROM event_runs WHERE number = ?", (number,)).fetchone()
        cancelled = self.fail(job, number) if failed else []
        self.delete(number)
        return UnrecordedRun(str(_fields.decode(body)["type"]), failed, tuple(cancelled))

    def _cancel(self, job: str, number: int) -> list[CancelledRun]:
        """Delete the rows of all jobs after this one for the event of row `number`."""
        found = self._store.db.execute("SELECT body, event FROM event_runs WHERE number = ?", (number,)).fetchone()
        if found is None or found[1] is None:
            return []
        fields = _fields.decode(found[0])
        subject = next((str(fields[key]) for key in _SUBJECTS if fields.get(key)), fields["type"])
        cancelled: list[CancelledRun] = []
        for other in self._order.after(job, fields["type"]):
            query = "DELETE FROM event_runs WHERE job = ? AND event = ?"
            if self._store.db.execute(query, (other, found[1])).rowcount:
                cancelled.append(CancelledRun(other, job, subject))
        return cancelled

    def _oldest(self, job: str) -> _Row | None:
        query = "SELECT number, body, attempts, event FROM event_runs WHERE job = ? ORDER BY number LIMIT 1"
        row = self._store.db.execute(query, (job,)).fetchone()
        return _Row(*row) if row is not None else None

    def _waits(self, job: str, row: _Row) -> bool:
        """Whether a job before this one has yet to run for the event."""
        if row.event is None or not self._order.has_any(job):
            return False
        query = "SELECT 1 FROM event_runs WHERE event = ? AND job = ?"
        before = self._order.before(job, row.type)
        return any(self._store.db.execute(query, (row.event, other)).fetchone() for other in before)

    def _mark(self, number: int, attempt: int) -> str:
        return f"{self._database} {number} {attempt}"
