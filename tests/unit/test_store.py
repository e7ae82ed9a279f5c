"""A service's file: made, migrated, set aside when it is damaged, and never half written."""

import contextlib
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrotorque.errors import AlreadyRunning, StateError
from pyrotorque.store import COMMON_MIGRATIONS, Store, open_in_memory, open_readonly, open_store

FIRST = "CREATE TABLE metafiles (path TEXT); CREATE INDEX by_path ON metafiles (path)"
SECOND = "ALTER TABLE metafiles ADD COLUMN size INTEGER NOT NULL DEFAULT 0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "watcher.sqlite3"


def filled(path: Path, rows: int = 2000) -> None:
    store = open_store(path, [FIRST])
    with store.transaction() as db:
        db.executemany("INSERT INTO metafiles VALUES (?)", ((f"/watch/{number}.torrent",) for number in range(rows)))
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()


def count(store: Store) -> int:
    (found,) = store.db.execute("SELECT count(*) FROM metafiles").fetchone()
    return int(found)


def version(store: Store) -> int:
    return int(store.db.execute("PRAGMA user_version").fetchone()[0])


def test_a_new_file_is_private_and_has_a_write_ahead_log(path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(path, [FIRST])
        store.db.execute("INSERT INTO metafiles VALUES ('a')")
        assert [stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()] == [0o600] * 4
    finally:
        os.umask(before)
    assert store.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.reset_reason is None
    assert store.created > 1.6e9
    store.close()


def test_only_new_migrations_are_run_and_they_are_counted(path: Path) -> None:
    filled(path, rows=3)
    store = open_store(path, [FIRST, SECOND])
    assert version(store) == 2
    assert store.db.execute("SELECT sum(size) FROM metafiles").fetchone() == (0,)
    store.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    filled(path, rows=3)
    with pytest.raises(StateError, match="no such table"):
        open_store(path, [FIRST, "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1)"])
    store = open_store(path, [FIRST])
    assert (version(store), count(store)) == (1, 3)
    assert store.db.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall() == []
    store.close()


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    open_store(path, [FIRST, SECOND]).close()
    with pytest.raises(StateError, match=r"newer pyrotorque \(schema 2, this version supports 1\)"):
        open_store(path, [FIRST])
    assert not list(path.parent.glob("*.damaged*"))


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1], ids=lambda kept: f"{kept:.0%} left")
def test_a_truncated_file_is_set_aside_and_replaced(path: Path, kept: float, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    os.truncate(path, int(path.stat().st_size * kept))
    store = open_store(path, [FIRST])
    assert count(store) == 0
    assert "was damaged" in (store.reset_reason or "")
    assert "renamed to watcher.sqlite3.damaged-" in caplog.text
    assert len(list(path.parent.glob("watcher.sqlite3.damaged-*"))) == 1
    store.close()


def test_a_file_that_is_no_database_is_set_aside(path: Path) -> None:
    path.write_bytes(os.urandom(10_000))
    store = open_store(path, [FIRST])
    assert store.reset_reason is not None
    store.close()
    again = open_store(path, [FIRST])
    assert again.reset_reason is None
    again.close()


OTHER = "CREATE TABLE parked (info_hash TEXT); CREATE TABLE paused (job TEXT)"


def dump(path: Path) -> None:
    """As `sqlite3 FILE .dump | sqlite3 NEW`, which loses the versions."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        text = "\n".join(db.iterdump())
    path.unlink()
    run_sql(path, text)


def run_sql(path: Path, text: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(text)


def replace_by(path: Path, *migrations: str) -> None:
    other = path.with_name("other.sqlite3")
    open_store(other, migrations).close()
    other.replace(path)


def write_other(path: Path) -> None:
    path.unlink()
    run_sql(path, "CREATE TABLE moz_places (id)")


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "of another service": (lambda path: replace_by(path, OTHER), "database of another service"),
    "of another one with as many migrations": (
        lambda path: replace_by(path, OTHER, "CREATE TABLE more (a)"),
        "database of another service",
    ),
    "of another one with more migrations": (
        lambda path: replace_by(path, OTHER, *["CREATE TABLE x (a); DROP TABLE x"] * 4),
        "database of another service",
    ),
    "a dump": (dump, "tables without their version"),
    "without a common table": (lambda path: run_sql(path, "DROP TABLE bus_cursors"), "lacks the table bus_cursors"),
    "without several tables": (
        lambda path: run_sql(path, "DROP TABLE second; DROP TABLE kept_totals"),
        "lacks the table kept_totals and 1 more",
    ),
    "without a table of its own": (lambda path: run_sql(path, "DROP TABLE metafiles"), "lacks the table metafiles"),
    "of another program": (write_other, "database of another program"),
}


@pytest.mark.parametrize(("change", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_a_database_without_the_tables_of_the_service_is_set_aside_unchanged(
    path: Path, change: Callable[[Path], object], reason: str
) -> None:
    migrations = [FIRST, "CREATE TABLE second (a)"]
    open_store(path, migrations).close()
    change(path)
    content = path.read_bytes()
    store = open_store(path, [*migrations, SECOND])
    assert reason in (store.reset_reason or "")
    assert version(store) == 3
    store.close()
    aside = next(path.parent.glob("*.damaged-*"))
    assert tables(aside) == tables_in(content, path.parent)
    store = open_store(path, [*migrations, SECOND])
    assert store.reset_reason is None
    store.close()


def tables(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master")}


def tables_in(content: bytes, folder: Path) -> set[str]:
    (folder / "copy").write_bytes(content)
    return tables(folder / "copy")


def test_a_database_that_another_program_holds_is_no_damage(path: Path) -> None:
    filled(path, rows=3)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = exclusive")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateError, match=r"database is locked \(another program, such as `sqlite3`, has it locked"):
            open_store(path, [FIRST])
    store = open_store(path, [FIRST])
    assert (count(store), store.reset_reason) == (3, None)
    store.close()


def test_flipped_bytes_in_the_middle_are_found_at_the_next_start(path: Path) -> None:
    filled(path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(8192))
    store = open_store(path, [FIRST])
    assert store.reset_reason is not None
    store.close()


def test_a_torn_write_ahead_log_costs_the_last_commits_only(path: Path) -> None:
    store = open_store(path, [FIRST])
    for name in "abc":
        with store.transaction() as db:
            db.execute("INSERT INTO metafiles VALUES (?)", (name,))
    log = path.with_name(path.name + "-wal")
    torn, main = log.read_bytes()[:-3000], path.read_bytes()
    store.close()
    path.write_bytes(main)
    log.write_bytes(torn)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    recovered = open_store(path, [FIRST])
    assert recovered.reset_reason is None
    assert count(recovered) == 2
    recovered.close()


def test_a_transaction_is_all_or_nothing_and_joins_an_outer_one(path: Path) -> None:
    store = open_store(path, [FIRST])
    with contextlib.suppress(ZeroDivisionError), store.transaction() as db:
        with store.transaction():
            db.execute("INSERT INTO metafiles VALUES ('a')")
        raise ZeroDivisionError
    assert count(store) == 0
    with store.transaction() as db:
        db.execute("INSERT INTO metafiles VALUES ('b')")
    assert count(store) == 1
    store.close()


def test_a_full_disk_is_reported_changes_nothing_and_passes(path: Path) -> None:
    store = open_store(path, [FIRST])
    (pages,) = store.db.execute("PRAGMA page_count").fetchone()
    store.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match=r"disk is full.*free some space"), store.transaction() as db:
        db.executemany("INSERT INTO metafiles VALUES (?)", (("x" * 1000,) for _ in range(1000)))
    assert count(store) == 0
    store.db.execute("PRAGMA max_page_count = 1000000")
    with store.transaction() as db:
        db.execute("INSERT INTO metafiles VALUES ('a')")
    assert count(store) == 1
    store.close()


def test_a_limit_of_file_sizes_is_named(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(StateError, match=r"limited to 20000 bytes: raise `ulimit -f`"):
            open_store(path, [FIRST])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    open_store(path, [FIRST]).close()


def test_wrong_sql_is_a_bug_and_not_a_state_error(path: Path) -> None:
    store = open_store(path, [FIRST])
    with pytest.raises(sqlite3.OperationalError, match="no such table"), store.transaction() as db:
        db.execute("INSERT INTO nowhere VALUES (1)")
    store.close()


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory"):
        open_store(tmp_path / "nowhere" / "x.sqlite3", [])


def test_a_file_has_one_holder_who_is_named(path: Path) -> None:
    store = open_store(path, [FIRST])
    with pytest.raises(AlreadyRunning, match=rf"in use \(pid {os.getpid()} holds .*\): stop that group first"):
        open_store(path, [FIRST])
    store.close()
    open_store(path, [FIRST]).close()


def test_a_full_disk_that_takes_no_name_of_the_holder_is_locked_all_the_same(path: Path) -> None:
    path.with_name(f"{path.name}.lock").symlink_to("/dev/full")
    store = open_store(path, [FIRST])
    with pytest.raises(AlreadyRunning):
        open_store(path, [FIRST])
    store.close()


def test_a_reader_sees_what_is_committed_and_can_write_nothing(path: Path) -> None:
    with pytest.raises(StateError, match="the service has not run"):
        open_readonly(path)
    store = open_store(path, [FIRST])
    with store.transaction() as db:
        db.execute("INSERT INTO metafiles VALUES ('a')")
        reader = open_readonly(path)
        assert reader.execute("SELECT count(*) FROM metafiles").fetchone() == (0,)
    assert reader.execute("SELECT count(*) FROM metafiles").fetchone() == (1,)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM metafiles")
    reader.close()
    store.close()


def test_a_kill_in_the_middle_of_a_transaction_leaves_what_was_before(path: Path) -> None:
    filled(path, rows=3)
    killed = (
        "import os, sys; from pathlib import Path; from pyrotorque.store import open_store\n"
        "store = open_store(Path(sys.argv[1]), [sys.argv[2]])\n"
        "store.db.execute('BEGIN IMMEDIATE'); store.db.execute('DELETE FROM metafiles'); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", killed, str(path), FIRST], env=environment, check=False)
    store = open_store(path, [FIRST])
    assert count(store) == 3
    store.close()


def test_a_store_in_memory_has_the_same_tables_and_says_why() -> None:
    store = open_in_memory([FIRST], "disk full")
    assert (count(store), store.reset_reason) == (0, "disk full")
    store.close()


def test_a_network_filesystem_is_refused_with_the_setting_that_helps(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything_is_nfs(_path: bytes, _mounts: object) -> str:
        return "nfs4"

    monkeypatch.setattr("pyrotorque.store.filesystem_type", everything_is_nfs)
    with pytest.raises(StateError, match=r"network filesystem \(nfs4\).*set state_dir"):
        open_store(path, [])


def test_the_common_tables_are_counted_apart(path: Path) -> None:
    store = open_store(path, [])
    assert version(store) == 0
    assert store.db.execute("PRAGMA application_id").fetchone() == (len(COMMON_MIGRATIONS),)
    store.close()
