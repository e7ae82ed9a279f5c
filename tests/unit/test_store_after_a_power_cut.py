"""What a power cut may leave of a service's file: the rest is intact, and losses are reported."""

import logging
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyrotorque import logs
from pyrotorque.events import TorrentErased
from pyrotorque.layout import Layout
from pyrotorque.outbox import BEGINNING, Cursor, Outbox
from pyrotorque.store import Store, open_store
from pyrotorque_exporter import state as exporter_state
from pyrotorque_scheduler import state
from pyrotorque_watcher import rows as watcher_rows

TABLES = ("CREATE TABLE effects (number INTEGER PRIMARY KEY)",)
COUNT = 60


def published_and_done(store: Store, outbox: Outbox) -> tuple[int, int]:
    (done,) = store.db.execute("SELECT count(*) FROM effects").fetchone()
    return len(outbox.after(BEGINNING).bodies), done


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A folder with a file and its write-ahead log, as they are while a service runs: half of it in each."""
    folder = tmp_path / "full"
    folder.mkdir()
    store = open_store(folder / "db", TABLES)
    outbox = Outbox(store, "watcher", boot="before")
    for number in range(COUNT):
        with store.transaction() as db:
            db.execute("INSERT INTO effects VALUES (?)", (number,))
            outbox.add(TorrentErased(at=1.0, info_hash="A" * 40, name=str(number)))
        if number == COUNT // 2:
            store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    cut = tmp_path / "cut"
    shutil.copytree(folder, cut)
    store.close()
    return cut


def opened_after(full: Path, folder: Path, name: str, size: int) -> tuple[Store, Outbox]:
    """Open a copy whose file `name` lost everything after `size` bytes; the shared memory is gone in any case."""
    shutil.copytree(full, folder)
    (folder / "db-shm").unlink(missing_ok=True)
    with (folder / name).open("r+b") as file:
        file.truncate(size)
    store = open_store(folder / "db", TABLES)
    return store, Outbox(store, "watcher", boot="after")


def test_a_log_that_was_cut_anywhere_leaves_the_first_commits_whole(full: Path, tmp_path: Path) -> None:
    chance, size = random.Random(7), (full / "db-wal").stat().st_size
    kept: list[int] = []
    for context, cut in enumerate(sorted(chance.randrange(size) for _ in range(40))):
        store, outbox = opened_after(full, tmp_path / str(context), "db-wal", cut)
        published, done = published_and_done(store, outbox)
        assert published == done
        assert store.reset_reason is None
        kept.append(done)
        # A subscriber that received all of them continues with new events, and drops none as a duplicate.
        with store.transaction() as db:
            db.execute("INSERT INTO effects VALUES (1000)")
            outbox.add(TorrentErased(at=2.0, info_hash="B" * 40, name="new"))
        ((before,), _) = store.db.execute("SELECT name FROM bus_epochs ORDER BY number").fetchall()
        assert len(outbox.after(Cursor(before, COUNT)).bodies) == 1
        store.close()
    assert kept == sorted(kept)
    assert kept[0] < kept[-1]


def test_a_file_that_was_cut_anywhere_is_whole_or_set_aside_or_said_to_be_empty(full: Path, tmp_path: Path) -> None:
    chance, size = random.Random(11), (full / "db").stat().st_size
    for context, cut in enumerate([0, 1, 100, 4096, *(chance.randrange(size) for _ in range(20))]):
        store, outbox = opened_after(full, tmp_path / str(context), "db", cut)
        published, done = published_and_done(store, outbox)
        assert published == done
        assert store.reset_reason or done == COUNT
        assert store.db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        store.close()


def test_losses_are_reported_in_the_owners_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout.below(tmp_path)
    layout.prepare()
    root, handlers = logging.getLogger(), list(logging.getLogger().handlers)
    logs.configure("INFO", "watcher", layout)
    try:
        layout.database("watcher").touch()
        open_store(layout.database("watcher"), TABLES).close()
        layout.database("watcher").write_bytes(b"no database" * 1000)
        open_store(layout.database("watcher"), TABLES).close()
    finally:
        root.handlers[:] = handlers
    said = (layout.log_dir / logs.OWNERS_LOG).read_text()
    assert "was empty, as after a power cut; created a new one" in said
    assert "renamed to watcher.sqlite3.damaged-" in said


@pytest.mark.parametrize(
    "migrations",
    [watcher_rows.MIGRATIONS, state.MIGRATIONS, exporter_state.MIGRATIONS],
    ids=["watcher", "scheduler", "exporter"],
)
def test_the_file_of_every_older_version_becomes_the_newest(migrations: Sequence[str], tmp_path: Path) -> None:
    newest = schema(tmp_path / "new", migrations)
    for version in range(len(migrations)):
        assert schema(tmp_path / str(version), migrations[:version], migrations) == newest


def schema(path: Path, *versions: Sequence[str]) -> set[tuple[str, str]]:
    """The tables and indexes with their columns, after opening the file as these versions did, one after the other."""
    found: set[tuple[str, str]] = set()
    for migrations in versions:
        store = open_store(path, migrations)
        names = store.db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        found = {(name, str(store.db.execute(f"PRAGMA table_info({name})").fetchall())) for (name,) in names}
        store.close()
    return found


def test_runs_that_waited_in_a_file_of_the_first_version_are_still_run(tmp_path: Path) -> None:
    store = open_store(tmp_path / "scheduler.sqlite3", state.MIGRATIONS[:1])
    store.db.execute("INSERT INTO event_runs (job, body) VALUES ('notify', x'7b7d')")
    store.db.execute("INSERT INTO paused VALUES ('queue', 1.0)")
    store.close()
    store = open_store(tmp_path / "scheduler.sqlite3", state.MIGRATIONS)
    assert store.db.execute("SELECT number, job, body, attempts FROM event_runs").fetchall() == [
        (1, "notify", b"{}", 0)
    ]
    assert store.db.execute("SELECT job FROM paused").fetchall() == [("queue",)]
    store.close()
