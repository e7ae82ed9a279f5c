"""The queue of runs that events cause, in the scheduler's database: each row stays until its run has ended.

A row is inserted in the transaction that publishes or applies its event. Before a run its attempt is counted; the
worker writes the row's mark to a file when the run ends, so that no run is repeated if the scheduler dies before it
deletes the row. An interrupted run (worker or scheduler killed) is repeated, three attempts in total.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, get_args
from urllib.parse import quote

import msgspec

from pyrotorque.events import Durable, Event, Fact
from pyrotorque.limits import EVENT_RUN_BYTES
from pyrotorque.store import Store
from pyrotorque_scheduler.event_routing import Routes, encode_event
from pyrotorque_scheduler.workers.job_worker import JobRun

ATTEMPTS_MAX: Final = 3
PENDING_MAX: Final = 20_000
_TRIM_EVERY: Final = 100
_RETENTION: Final = 7 * 86_400.0
# The other publishers of durable events; our own are stored when they are published.
_PUBLISHERS: Final = ("watcher", "guardian")
_DURABLE_TYPES: Final[Mapping[str, type[Fact]]] = {kind.__name__: kind for kind in get_args(Durable)}

_tag = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
        self._trimmed_to: int | None = None

    def mark_file(self, job: str) -> Path:
        """Where the worker of this job writes the mark of its last ended run."""
        return self._marks_dir / quote(job, safe="")

    def set_routes(self, routes: Routes, now: float, *, forget: bool) -> None:
        """Queue runs for these routes from now on; routes that existed before continue without a gap."""
        wanted = {(job, kind) for kind, jobs in routes.items() for job in jobs}
        with self._store.transaction() as db:
            known = {(job, kind): since for job, kind, since in db.execute("SELECT job, type, since FROM event_wishes")}
            if forget:
                db.executemany("DELETE FROM event_wishes WHERE job = ? AND type = ?", list(known.keys() - wanted))
                db.execute("DELETE FROM event_runs WHERE kept_at < ?", (now - _RETENTION,))
            fresh = [(job, kind, now) for job, kind in sorted(wanted - known.keys())]
            db.executemany("INSERT INTO event_wishes VALUES (?, ?, ?)", fresh)
        self._since = known | {(job, kind): since for job, kind, since in fresh}

    def add(self, event: Event, jobs: Sequence[str]) -> None:
        """Queue an event of another service for these jobs, inside the caller's transaction."""
        kind = type(event).__name__
        body = encode_event(event)
        for job in jobs:
            if event.at >= self._since.get((job, kind), float("inf")):
                self._store.db.execute("INSERT INTO event_runs (job, body) VALUES (?, ?)", (job, body))

    def delete_marked(self, job: str) -> None:
        """Delete the row whose run had ended when the scheduler died."""
        try:
            mark = self.mark_file(job).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT number, attempts FROM event_runs WHERE job = ? AND attempts > 0", (job,)
            ).fetchall()
            ended = [(number,) for number, attempts in rows if self._mark(number, attempts) == mark]
            db.executemany("DELETE FROM event_runs WHERE number = ?", ended)

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
                with self._store.transaction() as db:
                    query = "DELETE FROM event_runs WHERE job = ? AND number < ? AND attempts = 0"
                    return db.execute(query, (job, oldest_kept)).rowcount
            oldest_kept = number
        return 0

    def is_pending(self, job: str) -> bool:
        """Whether an event is queued for this job."""
        return self._store.db.execute("SELECT 1 FROM event_runs WHERE job = ? LIMIT 1", (job,)).fetchone() is not None

    def exhausted(self, job: str) -> int | None:
        """The row that used up its attempts; only a job's oldest row can have."""
        query = "SELECT number, attempts FROM event_runs WHERE job = ? ORDER BY number LIMIT 1"
        row = self._store.db.execute(query, (job,)).fetchone()
        return row[0] if row is not None and row[1] >= ATTEMPTS_MAX else None

    def take(self, job: str) -> JobRun | None:
        """The run for the oldest queued event; this counts its attempt."""
        query = "SELECT number, body, attempts FROM event_runs WHERE job = ? ORDER BY number LIMIT 1"
        row = self._store.db.execute(query, (job,)).fetchone()
        if row is None:
            return None
        number, body, attempts = row
        with self._store.transaction() as db:
            db.execute("UPDATE event_runs SET attempts = attempts + 1 WHERE number = ?", (number,))
        kind = bytes(_tag.decode(body)["type"]).decode().strip('"')
        return JobRun("event", number, body, self._mark(number, attempts + 1), kind)

    def put_back(self, run: JobRun) -> None:
        """The run could not start: its attempt does not count."""
        with self._store.transaction() as db:
            db.execute("UPDATE event_runs SET attempts = attempts - 1 WHERE number = ?", (run.number,))

    def delete(self, number: int) -> None:
        """The run has ended; joins the caller's transaction."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM event_runs WHERE number = ?", (number,))

    def _mark(self, number: int, attempt: int) -> str:
        return f"{self._database} {number} {attempt}"
