"""Copies databases that are in use: several of them as they were at one instant, without stopping their services."""

import sqlite3
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.errors import StateError
from pyrotorque.text import printable

_HEADER: Final = b"SQLite format 3\0"
# A service holds its write lock for milliseconds, a worker's own database perhaps longer.
_LOCK_TIMEOUT: Final = 10.0  # seconds
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


@dataclass(frozen=True)
class DatabaseSnapshot:
    """A database as it was when the snapshot was taken; its service continues to write."""

    path: Path
    _db: sqlite3.Connection

    def copy(self, target: Path) -> None:
        """Write it to the new file `target`, and check the copy; raises StateError if it is damaged."""
        try:
            with closing(sqlite3.connect(target)) as copied:
                self._db.backup(copied)
        except sqlite3.Error as error:
            raise _not_copied(self.path, error) from error
        verify_database(target, self.path)


@contextmanager
def snapshots(paths: Iterable[Path]) -> Generator[Mapping[Path, DatabaseSnapshot]]:
    """The existing databases among `paths`, all as of one instant, between their transactions.

    While all write locks are held, for milliseconds, a read transaction is begun on each. A write-ahead log keeps what
    such a transaction sees until it ends. Raises StateError.
    """
    found = [path for path in paths if path.exists()]
    with ExitStack() as stack:
        readers: dict[Path, DatabaseSnapshot] = {}
        # Closed last: then SQLite removes the write-ahead log of a database that no service uses.
        locks = {path: stack.enter_context(closing(_connect(path, "rw"))) for path in found}
        for path, db in locks.items():
            _execute(db, path, "BEGIN IMMEDIATE")
        for path in found:
            db = stack.enter_context(closing(_connect(path, "ro")))
            _execute(db, path, "BEGIN")
            _execute(db, path, "SELECT 1 FROM sqlite_master")
            readers[path] = DatabaseSnapshot(path, db)
        for path, db in locks.items():
            _execute(db, path, "ROLLBACK")
        yield readers


def is_database(path: Path) -> bool:
    """Whether the file is an SQLite database."""
    try:
        with path.open("rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except OSError:
        return False


def verify_database(path: Path, shown: Path | None = None) -> tuple[int, int]:
    """The schema versions (common, own) of an undamaged copy, which nothing writes; raises StateError, which names
    `shown`."""
    try:
        with closing(_connect(path, "ro&immutable=1")) as db:
            (verdict,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            common = int(db.execute("PRAGMA application_id").fetchone()[0])
            own = int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise _not_copied(shown or path, error) from error
    if verdict != "ok":
        raise StateError(f"the database {printable(str(shown or path))} is damaged: {printable(str(verdict))}")
    return common, own


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_LOCK_TIMEOUT, isolation_level=None
        )
    except sqlite3.Error as error:
        raise _not_copied(path, error) from error


def _execute(db: sqlite3.Connection, path: Path, statement: str) -> None:
    try:
        db.execute(statement).fetchone()
    except sqlite3.Error as error:
        raise _not_copied(path, error) from error


def _not_copied(path: Path, error: sqlite3.Error) -> StateError:
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    advice = "it is in use by a long transaction; try again" if code in _BUSY else "check the disk"
    return StateError(f"cannot read the database {printable(str(path))}: {error} ({advice})")
