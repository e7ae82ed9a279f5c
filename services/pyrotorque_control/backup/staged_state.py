"""Prepares the state in a backup for its new place: new epochs, moved paths, and the session that belongs to it."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from pyrotorque.epochs import Epochs, RestoredFile
from pyrotorque.json_input import decode_json
from pyrotorque.layout import ALL_SERVICES
from pyrotorque.linux.processes import boot_id
from pyrotorque.rtorrent.recognition import RECORD_NAME, KnownSession, decode_record, encode_record
from pyrotorque.rtorrent.session_mark import SessionMark, new_mark, read_mark, write_mark
from pyrotorque.snapshots import verify_database
from pyrotorque.store import Connection, Store, open_store
from pyrotorque_control.backup.inbox import set_exact_times
from pyrotorque_control.backup.manifest import JOURNAL_FOLDERS, ArchiveError
from pyrotorque_control.backup.moved_paths import MovedPaths, moved_journal, rewrite
from pyrotorque_exporter.state import MIGRATIONS as EXPORTER_MIGRATIONS
from pyrotorque_fleet.forward import MIGRATIONS as FLEET_MIGRATIONS
from pyrotorque_panel.migrations import MIGRATIONS as PANEL_MIGRATIONS
from pyrotorque_scheduler.state import MIGRATIONS as SCHEDULER_MIGRATIONS
from pyrotorque_watcher.rows import MIGRATIONS as WATCHER_MIGRATIONS

MIGRATIONS: Final[Mapping[str, Sequence[str]]] = {
    "scheduler": SCHEDULER_MIGRATIONS,
    "watcher": WATCHER_MIGRATIONS,
    "exporter": EXPORTER_MIGRATIONS,
    "fleet": FLEET_MIGRATIONS,
    "panel": PANEL_MIGRATIONS,
    "guardian": (),
}
# An incarnation that no rTorrent has: one that runs on a restored session was started after the restore.
_NO_INCARNATION: Final = "restored"
_PATHS: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "watcher": {"metafiles": ("path", "folder", "root"), "roots": ("path",), "configured_folders": ("path",)},
    "fleet": {"handovers": ("path",), "offers": ("path",)},
}
"""Columns that are paths, by the service and the table."""
_JOURNAL_MAX: Final = 16 << 20


def prepare_state(
    folder: Path, reason: str, moved: MovedPaths, *, session: Path | None, seen_before_ns: int, state_dir: Path
) -> int:
    """Change the databases and journals in `folder`, which become those of `state_dir`; returns the number of paths
    that are others now.

    `session` is the staged session folder; without one, rTorrent keeps its own, and metafiles that the ledger does not
    know and that are older than `seen_before_ns` may have been loaded since. Raises ArchiveError or StateError.
    """
    changed = 0
    for service in ALL_SERVICES:
        path = folder / f"{service}.sqlite3"
        if not path.exists():
            continue
        verify_database(path)
        with closing(open_store(path, MIGRATIONS[service])) as store:
            if store.reset_reason:
                raise ArchiveError(f"{path.name} is no state of pyrotorque: {store.reset_reason}")
            identity = Epochs(store, service).restore(boot_id(), reason, None if session else seen_before_ns)
            changed += _move_columns(store, _PATHS.get(service, {}), moved)
            if service == "panel":
                _end_sessions(store)
            if service == "watcher":
                set_exact_times(store.db, folder, state_dir)
            if service == "scheduler":
                _adopt_session(store, folder, identity, session)
                _adopt_marks(folder / "marks", identity)
        path.with_name(f"{path.name}.lock").unlink()
    return changed + _move_journals(folder, moved)


def _end_sessions(store: Store) -> None:
    """End the sessions of all browsers: those that have ended since the backup would be valid again."""
    with store.transaction() as db:
        for (body,) in db.execute("SELECT body FROM access").fetchall():
            with suppress(msgspec.DecodeError):
                access = decode_json(body, type=dict[str, Any])
                access |= {"sessions": [], "ended": []}
                db.execute("UPDATE access SET body = ?", (msgspec.json.encode(access),))


def _move_columns(store: Store, tables: Mapping[str, Sequence[str]], moved: MovedPaths) -> int:
    if not moved or not tables:
        return 0
    changed = 0
    with store.transaction() as db:
        for table, columns in tables.items():
            for column in columns:
                changed += _move_column(db, table, column, moved)
    return changed


def _move_column(db: Connection, table: str, column: str, moved: MovedPaths) -> int:
    rows = db.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()
    changed = [(bytes(path), new) for (path,) in rows if (new := moved.path(bytes(path))) != path]
    # In two steps, because a new path may be one that moves itself; no path begins with NUL.
    update = f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {column} = ?"
    for old, new in changed:
        db.execute(update, (b"\0" + new, old))
    # What did not move and has this path already is another file: both cannot be kept.
    for _, new in changed:
        db.execute(update, (new, b"\0" + new))
    return len(changed)


def _adopt_session(store: Store, folder: Path, identity: RestoredFile, session: Path | None) -> None:
    """The record of the known rTorrent for the new identity of the database, in which it keeps its generation."""
    row = store.db.execute("SELECT body FROM known_rtorrent").fetchone()
    known = decode_record(row[0]) if row else None
    if known is None:
        return
    known = msgspec.structs.replace(known, group=identity.now)
    if session is not None:
        known = _restored_session(known, identity, os.fsencode(session))
    with store.transaction() as db:
        db.execute("INSERT OR REPLACE INTO known_rtorrent VALUES (1, ?)", (encode_record(known),))
    (folder / RECORD_NAME).write_bytes(encode_record(known))
    (folder / RECORD_NAME).chmod(0o600)


def _restored_session(known: KnownSession, identity: RestoredFile, session: bytes) -> KnownSession:
    """The session gets a new mark, in the record, too: its original may still exist, and differs from now on."""
    facts = msgspec.structs.replace(known.facts, incarnation=_NO_INCARNATION)
    mark = read_mark(session)
    if mark is not None and mark.name == facts.mark and mark.generation(identity.before) >= facts.generation:
        fresh = SessionMark(new_mark().name).at(identity.now, facts.generation)
        if not write_mark(session, fresh):
            raise ArchiveError("the mark of the session cannot be written")
        facts = msgspec.structs.replace(facts, mark=fresh.name)
    return msgspec.structs.replace(known, facts=facts, held=None)


def _adopt_marks(folder: Path, identity: RestoredFile) -> None:
    """The marks of ended runs name the database: without them, these runs would be repeated."""
    for path in folder.glob("*"):
        with suppress(UnicodeDecodeError):
            text = path.read_text("ascii")
            if text.startswith(f"{identity.before} "):
                rewrite(path, f"{identity.now}{text.removeprefix(identity.before)}".encode())


def _move_journals(folder: Path, moved: MovedPaths) -> int:
    """Unfinished moves and removals."""
    if not moved:
        return 0
    files = [path for name in JOURNAL_FOLDERS for path in (folder / name).rglob("*") if _may_be_journal(path)]
    return sum(rewrite(path, moved_journal(path.read_bytes(), moved)) for path in files)


def _may_be_journal(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= _JOURNAL_MAX
