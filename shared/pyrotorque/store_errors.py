"""Errors of SQLite: what they mean for a state file, and what the user can do."""

import resource
import sqlite3
from pathlib import Path
from typing import Final

from pyrotorque.errors import StateError
from pyrotorque.text import printable

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CHECK_DISK: Final = "check the disk; a damaged file is replaced at the next start"


class DamageFound(sqlite3.DatabaseError):
    """`PRAGMA integrity_check` found damage."""


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is to be replaced."""
    return isinstance(error, DamageFound) or _code(error) in _DAMAGED


def is_misuse(error: sqlite3.DatabaseError) -> bool:
    """Wrong SQL or a violated constraint: a bug of the caller, no problem of the file."""
    return isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError) or _code(error) == sqlite3.SQLITE_ERROR


def not_opened(path: Path, error: OSError) -> StateError:
    """The file cannot even be created or locked."""
    return StateError(f"cannot open the state file {printable(str(path))}: {error.strerror}")


def state_error(path: Path, error: sqlite3.Error) -> StateError:
    """The error of SQLite with the file, and what to do."""
    advice = {
        sqlite3.SQLITE_FULL: "free some space, or set state_dir in [TORQUE] to another disk",
        sqlite3.SQLITE_READONLY: "make it writable, or set state_dir in [TORQUE]",
        sqlite3.SQLITE_CANTOPEN: "check its folder and permissions, or set state_dir in [TORQUE]",
        sqlite3.SQLITE_IOERR: _cause_of_io_error(),
    }.get(_code(error), _CHECK_DISK)
    return StateError(f"the state file {printable(str(path))} cannot be used: {error} ({advice})")


def _cause_of_io_error() -> str:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return _CHECK_DISK if limit == resource.RLIM_INFINITY else f"files are limited to {limit} bytes: raise `ulimit -f`"
