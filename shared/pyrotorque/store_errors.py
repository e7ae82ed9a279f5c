"""Errors of SQLite: what they mean for a state file, and what the user can do."""

import os
import resource
import sqlite3
from pathlib import Path
from typing import Final

from pyrotorque.errors import StateError
from pyrotorque.text import printable

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CHECK_DISK: Final = "check the disk; a damaged file is replaced at the next start"

_LOCKED: Final = "another program, such as `sqlite3`, has it locked: end that; it is tried again"

_FREE_SPACE: Final = "free some space, or set state_dir in [TORQUE] to another disk"
_SQLITE_GROWS_BY: Final = 65536
"""Bytes: at most so much does SQLite need at once in a new state file (32 KiB of shared memory, some pages)."""


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
        sqlite3.SQLITE_FULL: _FREE_SPACE,
        sqlite3.SQLITE_BUSY: _LOCKED,
        sqlite3.SQLITE_LOCKED: _LOCKED,
        sqlite3.SQLITE_READONLY: "make it writable, or set state_dir in [TORQUE]",
        sqlite3.SQLITE_CANTOPEN: _full(path) or "check its folder and permissions, or set state_dir in [TORQUE]",
        sqlite3.SQLITE_IOERR: _full(path) or _cause_of_io_error(),
    }.get(_code(error), _CHECK_DISK)
    return StateError(f"the state file {printable(str(path))} cannot be used: {error} ({advice})")


def _full(path: Path) -> str:
    """What the disk of the file lacks and what to do; empty if it has room, or statvfs fails.

    A full disk is an I/O error to SQLite when the shared memory of its WAL cannot grow (SQLITE_IOERR_SHMSIZE), and
    SQLITE_CANTOPEN when a file cannot be created.
    """
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return ""
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < _SQLITE_GROWS_BY:
        return f"the disk is full: {_FREE_SPACE}"
    if disk.f_files and not disk.f_favail:
        return "the disk has no free inodes: remove some files, or set state_dir in [TORQUE] to another disk"
    return ""


def _cause_of_io_error() -> str:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return _CHECK_DISK if limit == resource.RLIM_INFINITY else f"files are limited to {limit} bytes: raise `ulimit -f`"
