"""The tables of the scheduler's file: what the queue remembers, what it is about to do, and what it decided."""

from typing import Final

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
)
