"""One SQLite file per service: locked by one process, migrated, and, when damaged, renamed, replaced and logged.

A database that does not have the tables of the service, such as that of another one, is damaged, too.

Durability: WAL with synchronous=NORMAL. A killed process loses nothing that was committed; a power cut may take the
last commits, never the file. What has a source outside (metafiles on disk, items in rTorrent) is reconciled after that;
events are identified by their epoch, which changes with each boot of the kernel (see `pyrotorque.outbox`).
"""

import logging
import os
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from pyrotorque import logs
from pyrotorque.errors import StateError
from pyrotorque.linux.filesystems import filesystem_type, is_network, read_mounts
from pyrotorque.local_time import local_text
from pyrotorque.locks import hold
from pyrotorque.store_errors import DamageFound, is_damage, is_misuse, not_opened, state_error
from pyrotorque.text import printable

log = logging.getLogger(__name__)

Connection: TypeAlias = sqlite3.Connection

# The tables of every service: outbox, cursors, gaps and totals. Versioned apart from the service's own tables.
COMMON_MIGRATIONS = (
    """
    CREATE TABLE bus_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE bus_epochs (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, base INTEGER NOT NULL);
    CREATE TABLE bus_events (position INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL);
    CREATE TABLE bus_cursors (source TEXT PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE bus_gaps (
        number INTEGER PRIMARY KEY, at REAL NOT NULL, source TEXT NOT NULL,
        from_epoch TEXT NOT NULL, from_seq INTEGER NOT NULL,
        to_epoch TEXT NOT NULL, to_seq INTEGER NOT NULL, reason TEXT NOT NULL
    );
    CREATE TABLE kept_totals (
        name TEXT NOT NULL, labels TEXT NOT NULL, sample BLOB NOT NULL, PRIMARY KEY (name, labels)
    ) WITHOUT ROWID;
    INSERT INTO bus_meta VALUES ('database', lower(hex(randomblob(4)))), ('created', strftime('%s', 'now'));
    """,
)


_BUSY_SECONDS = 2.0
_CACHE_KIB = 512


class TransactionParticipant(Protocol):
    """Something whose changes are committed or rolled back with each transaction of a store."""

    def write(self, db: Connection) -> None: ...
    def committed(self) -> None: ...
    def rolled_back(self) -> None: ...


class CommitObserver(Protocol):
    """Something that must know at once whether a transaction was committed."""

    def committed(self) -> None: ...
    def rolled_back(self) -> None: ...


class Store:
    """An open file; it belongs to the thread that opened it."""

    def __init__(self, path: Path, db: sqlite3.Connection, reset_reason: str | None, lock: int | None = None) -> None:
        self.path = path
        self.db = db
        self._lock = lock
        self._participant: TransactionParticipant | None = None
        self._observer: CommitObserver | None = None
        self.reset_reason = reset_reason
        """Why a new file replaced the old one at this opening, or None."""

    @property
    def created(self) -> float:
        """When this file was created, in Unix seconds."""
        (found,) = self.db.execute("SELECT value FROM bus_meta WHERE key = 'created'").fetchone()
        return float(found)

    def join(self, participant: TransactionParticipant) -> None:
        """Call `participant` in each transaction from now on, instead of an earlier one."""
        self._participant = participant

    def observe(self, observer: CommitObserver) -> None:
        """Call `observer` at the end of each transaction from now on, before anything else happens."""
        self._observer = observer

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """All or nothing; inside another transaction it joins that one.

        Raises StateError when the file cannot be written (disk full, read-only, damaged); then nothing was changed.
        """
        if self.db.in_transaction:
            yield self.db
            return
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield self.db
            if self._participant is not None:
                self._participant.write(self.db)
            self.db.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
            for each in (self._observer, self._participant):
                if each is not None:
                    each.rolled_back()
            if isinstance(error, sqlite3.DatabaseError) and not is_misuse(error):
                raise state_error(self.path, error) from error
            raise
        for each in (self._observer, self._participant):
            if each is not None:
                each.committed()

    def close(self) -> None:
        """Close the file and release its lock."""
        self.db.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def open_store(path: Path, migrations: Sequence[str]) -> Store:
    """Open the service's file, create it or migrate it to the newest schema; `migrations` only grows at its end.

    A damaged file is renamed to `NAME.damaged-TIME` and replaced: logged, and in `reset_reason`.
    Raises AlreadyRunning while another process has it open to write, whatever its `run_dir`, and StateError when the
    file cannot be created or opened, or was written by a newer version.
    """
    _refuse_network(path)
    lock = _lock(path)
    try:
        db, reason = _open_or_replace(path, migrations)
    except BaseException:
        os.close(lock)
        raise
    if reason:
        log.error("%s", reason)
        logs.owner_event("state damaged", f"failed: {reason}")
    return Store(path, db, reason, lock)


def _lock(path: Path) -> int:
    try:
        return hold(
            path.with_name(f"{path.name}.lock"),
            f"the state file {printable(str(path))} is in use",
            "stop that group first (with `run_dir` as it was), or set another state_dir in [TORQUE]",
        )
    except OSError as error:
        raise not_opened(path, error) from error


def _open_or_replace(path: Path, migrations: Sequence[str]) -> tuple[sqlite3.Connection, str | None]:
    """The open file, and why it replaced the old one, if it did."""
    # A power cut may leave an empty file, which SQLite takes (as one of a single byte) for a new one.
    emptied = path.exists() and path.stat().st_size <= 1
    reason = f"{printable(str(path))} was empty, as after a power cut; created a new one" if emptied else None
    try:
        return _opened(path, migrations), reason
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise state_error(path, error) from error
        aside = _set_aside(path)
        reason = f"{printable(str(path))} was damaged ({error}); renamed to {aside.name}, created a new one"
    try:
        return _opened(path, migrations), reason
    except sqlite3.DatabaseError as error:
        raise state_error(path, error) from error


def open_in_memory(migrations: Sequence[str], reason: str) -> Store:
    """A store that lasts as long as the process, for a service that must run even where nothing can be written."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    _migrate(db, "application_id", 0, COMMON_MIGRATIONS)
    _migrate(db, "user_version", 0, migrations)
    return Store(Path(":memory:"), db, reason)


def open_readonly(path: Path) -> sqlite3.Connection:
    """Open the file of another service to read; never blocks its writer.

    Raises StateError when it does not exist yet or cannot be read.
    """
    if not path.exists():
        raise StateError(f"there is no state file {printable(str(path))} yet: the service has not run")
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        try:
            db.execute("PRAGMA query_only = on")
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise state_error(path, error) from error
    return db


def rows_of_other(path: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows in the file of another service; none if it cannot be read, or has no such table."""
    with suppress(StateError, sqlite3.Error), closing(open_readonly(path)) as db:
        return db.execute(query, values).fetchall()
    return []


def read_rows_of_other(path: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows in the file of another service; raises StateError if it cannot be read, or has no such table."""
    with closing(open_readonly(path)) as db:
        try:
            return db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise state_error(path, error) from error


def _refuse_network(path: Path) -> None:
    """A write-ahead log needs shared memory and file locks, which a network filesystem does not provide."""
    kind = filesystem_type(os.fsencode(os.path.realpath(path.parent)), read_mounts())
    if is_network(kind):
        raise StateError(
            f"the state folder {printable(str(path.parent))} is on a network filesystem ({kind}), where SQLite "
            "files get damaged",
            hint="set state_dir in [TORQUE] to a folder on a local disk",
        )


def _opened(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise not_opened(path, error) from error
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        _prepare(path, db, migrations)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(path: Path, db: sqlite3.Connection, migrations: Sequence[str]) -> None:
    (mode,) = db.execute("PRAGMA journal_mode = wal").fetchone()
    if mode != "wal":
        raise StateError(
            f"{printable(str(path))} cannot use a write-ahead log", hint="set state_dir in [TORQUE] to a local disk"
        )
    db.execute("PRAGMA synchronous = normal")
    db.execute("PRAGMA journal_size_limit = 4194304")
    db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    (verdict,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise DamageFound(verdict)
    common = db.execute("PRAGMA application_id").fetchone()[0]
    own = db.execute("PRAGMA user_version").fetchone()[0]
    _require_own_tables(db, common, own, migrations)
    if own > len(migrations) or common > len(COMMON_MIGRATIONS):
        raise StateError(
            f"{printable(str(path))} was written by a newer pyrotorque (schema {own}, this version supports"
            f" {len(migrations)})",
            hint="upgrade again, or move the file away",
        )
    _migrate(db, "application_id", common, COMMON_MIGRATIONS)
    _migrate(db, "user_version", own, migrations)


def _require_own_tables(db: sqlite3.Connection, common: int, own: int, migrations: Sequence[str]) -> None:
    """Raises DamageFound for a database of another service or program, before anything in it is changed.

    A later version may have removed tables, but not all of them.
    """
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if there and not common:
        raise DamageFound("it has tables without their version, as a dump or a database of another program")
    service = _tables_of(migrations[:own])
    if service and service.isdisjoint(there):
        raise DamageFound("it is the database of another service")
    missing = (_tables_of(COMMON_MIGRATIONS[:common]) | service) - there
    if missing and own <= len(migrations):
        raise DamageFound(f"it lacks the table {min(missing)}" + f" and {len(missing) - 1} more" * (len(missing) > 1))


def _tables_of(migrations: Sequence[str]) -> set[str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        _migrate(db, "user_version", 0, migrations)
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _migrate(db: sqlite3.Connection, counter: str, done: int, migrations: Sequence[str]) -> None:
    for number, script in enumerate(migrations[done:], done + 1):
        # The counter is in the same transaction: a kill in the middle leaves the old schema complete.
        db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA {counter} = {number}; COMMIT;")


def _set_aside(path: Path) -> Path:
    stamp = local_text(time.time(), "%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    while aside.exists():
        aside = aside.with_name(aside.name + "+")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
