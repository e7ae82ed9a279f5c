"""The tables of the scheduler: queue state and paused jobs, kept over restarts, and a bounded decision history."""

from typing import Final

import msgspec

from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque_scheduler.queue.model import GrantUse, Instant, QueueState, rebased

MIGRATIONS: Final = (
    """
    CREATE TABLE queue_state (
        job TEXT PRIMARY KEY, wall REAL NOT NULL, ticks REAL NOT NULL, boot TEXT NOT NULL,
        fire REAL NOT NULL, starts INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE paused (job TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE intents (
        info_hash TEXT PRIMARY KEY, job TEXT NOT NULL, name TEXT NOT NULL, loaded REAL NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE decisions (
        number INTEGER PRIMARY KEY, at REAL NOT NULL, job TEXT NOT NULL,
        info_hash TEXT NOT NULL, name TEXT NOT NULL, verdict TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE TABLE known_items (
        info_hash TEXT PRIMARY KEY, name TEXT NOT NULL, complete INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX incomplete_items ON known_items (info_hash) WHERE complete = 0;
    CREATE TABLE event_runs (
        number INTEGER PRIMARY KEY, job TEXT NOT NULL, body BLOB NOT NULL, begun INTEGER NOT NULL DEFAULT 0
    );
    """,
    """
    ALTER TABLE event_runs RENAME TO event_runs_before;
    CREATE TABLE event_runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, body BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, kept_at REAL NOT NULL DEFAULT (strftime('%s', 'now'))
    );
    INSERT INTO event_runs (number, job, body) SELECT number, job, body FROM event_runs_before;
    DROP TABLE event_runs_before;
    CREATE INDEX event_runs_of_job ON event_runs (job, number);
    CREATE TABLE event_wishes (
        job TEXT NOT NULL, type TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (job, type)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE checked_items (
        info_hash TEXT PRIMARY KEY, job TEXT NOT NULL, name TEXT NOT NULL, loaded REAL NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE compared (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL);
    """,
    """
    -- starts that were published before rTorrent had saved them: never published again if they have to be repeated
    CREATE TABLE unsaved_starts (info_hash TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    """,
    """
    -- whether items with deselected files were compared: those of an earlier version are stored without an event
    ALTER TABLE compared ADD COLUMN partial INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- the rTorrent that is known (pyrotorque.rtorrent.recognition), as JSON
    CREATE TABLE known_rtorrent (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL);
    -- known items that rTorrent does not have since its restart, while its session has their files
    CREATE TABLE absent_items (info_hash TEXT PRIMARY KEY, name TEXT NOT NULL, complete INTEGER NOT NULL) WITHOUT ROWID;
    """,
    """
    -- incomplete items that we started: they keep their slot while rTorrent checks their data after its restart
    CREATE TABLE started_items (info_hash TEXT PRIMARY KEY, job TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    """,
    """
    -- items that a queue closed because they stood still, and their strikes until they make progress
    CREATE TABLE parked (
        info_hash TEXT PRIMARY KEY, job TEXT NOT NULL, name TEXT NOT NULL, strikes INTEGER NOT NULL,
        bytes_done INTEGER NOT NULL, parked_at REAL NOT NULL, retry_at REAL NOT NULL, parked INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    -- the rows of one event have the same number: a run waits for those of other jobs (job.NAME.after)
    ALTER TABLE event_runs ADD COLUMN event INTEGER;
    CREATE INDEX event_runs_of_event ON event_runs (event, job);
    -- moves that were published: a mover that was killed sends them again
    CREATE TABLE published_moves (move TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    """,
    """
    -- when a scheduler ended in order: the next one reports the runs that were due since
    CREATE TABLE ended (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL);
    """,
    """
    -- the end of the newest run of each custom job
    CREATE TABLE last_runs (
        job TEXT PRIMARY KEY, at REAL NOT NULL, seconds REAL NOT NULL, ok INTEGER NOT NULL, reason TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    -- the load that an unsaved start belongs to, and the rTorrent that last had the item
    ALTER TABLE unsaved_starts ADD COLUMN loaded REAL NOT NULL DEFAULT 0;
    ALTER TABLE unsaved_starts ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
    """,
    """
    -- problems that were reported and last: a disk that is nearly full, a queue that stands still
    CREATE TABLE open_problems (
        kind TEXT NOT NULL, subject TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (kind, subject)
    ) WITHOUT ROWID;
    """,
)


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the newest run of a job; `reason` is why it failed."""

    at: float
    seconds: float
    ok: bool
    reason: str = ""


class LastRuns:
    """Of all jobs, in memory; those of custom jobs, which may run once a day, are also stored."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.db.execute("SELECT job, at, seconds, ok, reason FROM last_runs")
        self._runs = {
            job: EndedRun(at=at, seconds=seconds, ok=bool(ok), reason=reason) for job, at, seconds, ok, reason in rows
        }

    def get(self, job: str) -> EndedRun | None:
        return self._runs.get(job)

    def put(self, job: str, run: EndedRun) -> None:
        self._runs[job] = run

    def store(self, job: str, run: EndedRun) -> None:
        """Joins the caller's transaction."""
        self.put(job, run)
        with self._store.transaction() as db:
            row = (job, run.at, run.seconds, int(run.ok), run.reason)
            db.execute("INSERT OR REPLACE INTO last_runs VALUES (?, ?, ?, ?, ?)", row)


class JobStates:
    """Queue state and paused jobs; writes join the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, job: str, now: Instant) -> QueueState:
        """The stored state of `job`, its times on the clocks of `now`."""
        row = self._store.db.execute(
            "SELECT wall, ticks, boot, fire, starts FROM queue_state WHERE job = ?", (job,)
        ).fetchone()
        if row is None:
            return QueueState(paused=self.is_paused(job))
        wall, ticks, boot, fire, starts = row
        last = rebased(Instant(wall, ticks, boot), now)
        return QueueState(last, GrantUse(fire, starts), self.is_paused(job))

    def save(self, job: str, state: QueueState) -> None:
        """Store `state`; a queue without a start has no row."""
        last = state.last_batch
        with self._store.transaction() as db:
            if last is None:
                db.execute("DELETE FROM queue_state WHERE job = ?", (job,))
                return
            row = (job, last.wall, last.ticks, last.boot, state.used.fire, state.used.starts)
            db.execute("INSERT OR REPLACE INTO queue_state VALUES (?, ?, ?, ?, ?, ?)", row)

    def queued_events(self, job: str) -> int:
        """The number of events that `job` has yet to run for."""
        (number,) = self._store.db.execute("SELECT count(*) FROM event_runs WHERE job = ?", (job,)).fetchone()
        return int(number)

    def is_paused(self, job: str) -> bool:
        return self._store.db.execute("SELECT 1 FROM paused WHERE job = ?", (job,)).fetchone() is not None

    def store_end(self, at: float) -> None:
        """The service ends at this time: until then, no run was missed."""
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO ended VALUES (1, ?)", (at,))

    def take_end(self) -> float | None:
        """When the last service ended, once; None if it was killed."""
        row = self._store.db.execute("SELECT at FROM ended").fetchone()
        with self._store.transaction() as db:
            db.execute("DELETE FROM ended")
        return None if row is None else float(row[0])

    def pause(self, job: str, at: float) -> None:
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO paused VALUES (?, ?)", (job, at))

    def resume(self, job: str) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM paused WHERE job = ?", (job,))


HISTORY_MAX: Final = 2_000
_TRIM_EVERY: Final = 100


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One decision; `info_hash` is empty for a whole check.

    `verdict` is `started`, `failed`, `stalled` (it gave up its slot), `adopted` or a reason to hold.
    """

    at: float
    job: str
    verdict: str
    text: str
    info_hash: str = ""
    name: str = ""


class DecisionHistory:
    """Stored decisions; equal holds that follow each other are recorded once. The texts are for people only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[tuple[str, str], str] = {}

    def record(self, record: DecisionRecord) -> bool:
        """Store a decision, joining the caller's transaction; False if it equals the last one about the same item."""
        key = (record.job, record.info_hash)
        if self._last.get(key) == record.verdict:
            return False
        with self._store.transaction() as db:
            found = db.execute(
                "INSERT INTO decisions (at, job, info_hash, name, verdict, text) VALUES (?, ?, ?, ?, ?, ?)",
                (record.at, record.job, record.info_hash, printable(record.name), record.verdict, record.text),
            )
            number = found.lastrowid or 0
            if number % _TRIM_EVERY == 0:
                db.execute("DELETE FROM decisions WHERE number <= ?", (number - HISTORY_MAX,))
        self._remember(key, record.verdict)
        return True

    def latest(self, count: int = 50, *, job: str | None = None, item: str | None = None) -> list[DecisionRecord]:
        """The newest decisions first, of one job, and about an info-hash or a part of a name if given."""
        rows = self._store.db.execute(
            "SELECT at, job, verdict, text, info_hash, name FROM decisions"
            " WHERE (:job IS NULL OR job = :job)"
            " AND (:item IS NULL OR info_hash = upper(:item) OR instr(lower(name), lower(:item))"
            " OR (length(:item) >= 8 AND substr(info_hash, 1, length(:item)) = upper(:item)))"
            " ORDER BY number DESC LIMIT :count",
            {"job": job, "item": item, "count": count},
        )
        return [
            DecisionRecord(at=at, job=of, verdict=verdict, text=text, info_hash=item, name=name)
            for at, of, verdict, text, item, name in rows
        ]

    def _remember(self, key: tuple[str, str], verdict: str) -> None:
        if verdict == "started":
            # A started item may be stopped and held again for the same reason: that hold is a new decision.
            self._last = {known: last for known, last in self._last.items() if known[1] not in (key[1], "")}
            return
        if len(self._last) >= HISTORY_MAX:
            self._last.clear()
        self._last[key] = verdict
