"""The ledger: the order of rows, what a rewrite of a file ends, and what a retry begins."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pyrotorque.layout import Layout
from pyrotorque.settings.schema import RTorrentSettings, Settings
from pyrotorque.store import Store, open_store
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.load.retries import retry_after_ini_change
from pyrotorque_watcher.requests import turns_at
from pyrotorque_watcher.rows import MIGRATIONS, PENDING, FoundFile, LoadRecord, LoadRefused, Sighting, State
from tests.watching import job

NOW = 1_700_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "watcher.sqlite3", MIGRATIONS)
    yield opened
    opened.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


def found(name: bytes, mtime: int = 1, size: int = 10, inode: int = 5) -> FoundFile:
    return FoundFile(b"/w/" + name, size, mtime, 7, 1, inode, 1)


def see(ledger: Ledger, *files: FoundFile, state: State = "seen") -> None:
    for file in files:
        ledger.add("job", b"/w", file, NOW, Sighting(NOW, state=state))


def test_rows_come_in_the_order_they_were_seen_also_after_a_restart(store: Store, ledger: Ledger) -> None:
    see(ledger, found(b"b"), found(b"a", 2))
    again = Ledger(store)
    see(again, found(b"c", 3), found(b"b", 4))
    assert [row.path for row in again.rows("seen", NOW, 10)] == [b"/w/a", b"/w/c", b"/w/b"]


def test_new_files_do_not_wait_behind_thousands_and_these_do_not_wait_for_an_end_of_new_ones(ledger: Ledger) -> None:
    names = [b"%04d" % number for number in range(1000)]
    see(ledger, *(found(name, number) for number, name in enumerate(names)))
    paths = [row.path.rpartition(b"/")[2] for row in ledger.rows_to_load(NOW, 8)]
    # In turn: on a slow machine a step gets to some of them only, and the next one begins with the first again.
    assert paths == [b"0999", b"0000", b"0998", b"0001", b"0997", b"0002", b"0996", b"0003"]


def test_an_urgent_file_is_loaded_first_also_if_older_ones_are_recorded_after_it(ledger: Ledger) -> None:
    see(ledger, *(found(b"%04d" % number, number) for number in range(100)))
    with ledger.urgent():
        see(ledger, found(b"newest", 1000))
    see(ledger, *(found(b"%04d" % number, number) for number in range(100, 200)))
    paths = [row.path.rpartition(b"/")[2] for row in ledger.rows_to_load(NOW, 8)]
    assert paths[0] == b"newest"
    assert len(paths) == len(set(paths)) == 8
    assert b"0000" in paths
    assert b"newest" not in [row.path.rpartition(b"/")[2] for row in ledger.rows_to_load(NOW, 8)]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 11])
def test_a_few_files_are_loaded_in_the_order_they_were_seen(ledger: Ledger, count: int) -> None:
    see(ledger, *(found(b"%02d" % number, number) for number in range(count)))
    paths = [row.path for row in ledger.rows_to_load(NOW, 8)]
    assert len(paths) == len(set(paths)) >= min(count, 4)
    assert count > 8 or paths == sorted(paths)


def test_a_row_that_waits_is_returned_when_it_is_due(ledger: Ledger) -> None:
    see(ledger, found(b"a"))
    (row,) = ledger.rows("seen", NOW, 10)
    ledger.postpone(row, NOW + 5, "its writer is not done", NOW)
    assert not ledger.rows("seen", NOW + 4, 10)
    assert ledger.next_try("seen") == NOW + 5
    assert ledger.rows("seen", NOW + 5, 10)


def test_an_operation_on_the_row_of_a_file_that_was_written_again_changes_nothing(ledger: Ledger) -> None:
    see(ledger, found(b"a"))
    (old,) = ledger.rows("seen", NOW, 10)
    see(ledger, found(b"a", 2))
    ledger.mark_loaded([old], NOW)
    ledger.send_again(old, NOW)
    ledger.remove(old)
    assert ledger.record_loads([old], NOW) == []
    assert [row.file.mtime_ns for row in ledger.rows("seen", NOW, 10)] == [2]


def test_a_new_row_remembers_the_hash_and_the_broken_item_of_the_old_one(ledger: Ledger) -> None:
    see(ledger, found(b"a"))
    (old,) = ledger.rows("seen", NOW, 10)
    ledger.mark_failed(replace(old, load=LoadRecord(info_hash="AA")), LoadRefused("rpc", "refused"), NOW)
    see(ledger, found(b"a", 2))
    (new,) = ledger.rows("seen", NOW, 10)
    assert (new.earlier.info_hash, new.earlier.broken_token, new.load.info_hash) == ("AA", old.token, "")


def test_a_row_that_was_sent_is_due_a_second_later(ledger: Ledger) -> None:
    see(ledger, found(b"a"))
    rows = ledger.rows("seen", NOW, 10)
    assert ledger.record_loads(rows, NOW) == rows
    assert not ledger.rows("sent", NOW, 10)
    assert [row.load.attempts for row in ledger.rows("sent", NOW + 1, 10)] == [1]


@pytest.mark.parametrize(("todo", "then"), [("", "retie"), ("loaded", "retie_loaded"), ("retie", "retie")])
def test_the_tie_of_a_file_that_was_renamed_while_its_load_was_prepared_follows(
    ledger: Ledger, todo: str, then: str
) -> None:
    see(ledger, found(b"a"))
    (row,) = ledger.rows("seen", NOW, 10)
    ledger.move("job", b"/w/a", b"/w", found(b"b"))
    ledger._db.execute("UPDATE metafiles SET todo = ?", (todo,))  # pyright: ignore[reportPrivateUsage]
    assert ledger.record_loads([row], NOW) == [row]
    ledger.mark_visible([row], "rtorrent", NOW)
    assert [what for what, _ in ledger.todo(10)] == [then]
    assert [row.path for row in ledger.rows("visible", NOW + 1, 10)] == [b"/w/b"]


def test_a_moved_file_keeps_its_state_and_takes_the_place_of_another(ledger: Ledger) -> None:
    see(ledger, found(b"a"), found(b"b", 2), state="loaded")
    ledger.move("job", b"/w/a", b"/w", found(b"b"))
    assert ledger.known("job", b"/w/a") is None
    known = ledger.known("job", b"/w/b")
    assert known is not None
    assert (known.mtime_ns, known.state) == (1, "loaded")


def retry(ledger: Ledger, path: str) -> int:
    return ledger.retry(turns_at(ledger.retryable(), [path]), NOW)


def test_retry_takes_paths_as_they_are_shown(ledger: Ledger) -> None:
    see(ledger, found(b"\xff.torrent"), found(b"b", 2), found(b"c", 3), state="failed")
    assert retry(ledger, "/w/\\xff.torrent") == 1
    assert retry(ledger, "/w/absent") == 0
    assert ledger.retry_all(NOW) == 2
    assert ledger.counts() == {"seen": 3}


def test_retry_takes_folders_and_paths_with_links(ledger: Ledger, tmp_path: Path) -> None:
    see(ledger, found(b"tv/a.torrent"), found(b"tv/b/c.torrent", 2), found(b"tv2/d.torrent", 3), state="baseline")
    assert retry(ledger, "/w/tv") == 2
    assert ledger.counts() == {"seen": 2, "baseline": 1}
    (tmp_path / "link").symlink_to("/w")
    assert retry(ledger, str(tmp_path / "link/tv2/d.torrent")) == 1


def retried(ledger: Ledger, folder: bytes, job_name: str = "job") -> int:
    """How many metafiles are retried after the watch.ini in `folder` was written."""
    before = ledger.counts().get("seen", 0)
    settings = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=())
    retry_after_ini_change(
        JobRecipes(job(name=job_name), settings, Layout.below(Path("/absent"))), [folder], ledger, NOW
    )
    return ledger.counts().get("seen", 0) - before


def test_a_watch_ini_is_not_valid_for_a_root_inside_its_folder(ledger: Ledger) -> None:
    see(ledger, found(b"a.torrent"), found(b"tv/b.torrent", 2), state="seen")
    ledger.add("job", b"/w/tv", found(b"tv/c.torrent", 3), NOW, Sighting(NOW))
    for row in ledger.rows("seen", NOW, 10):
        ledger.mark_failed(row, LoadRefused("template", "its watch.ini is invalid"), NOW)
    assert retried(ledger, b"/w", "other") == 0
    assert retried(ledger, b"/w") == 2
    assert retried(ledger, b"/w/tv") == 1
    assert ledger.counts() == {"seen": 3}


def test_what_is_gone_is_remembered_for_a_year(ledger: Ledger) -> None:
    see(ledger, found(b"a"), state="loaded")
    ledger.mark_gone("job", [b"/w/a"], NOW)
    assert ledger.counts() == {}
    ledger.forget_old(NOW + 300 * 86400, kept=0)
    assert ledger.known("job", b"/w/a") is not None
    ledger.forget_old(NOW + 400 * 86400, kept=0)
    assert ledger.known("job", b"/w/a") is None


@pytest.mark.parametrize("gone_at", [NOW, 60.0], ids=["the clock is years ahead now", "it was in 1970 then"])
def test_no_clock_makes_the_newest_files_that_are_gone_forgotten(ledger: Ledger, gone_at: float) -> None:
    names = [b"a", b"b", b"c", b"there"]
    for inode, name in enumerate(names):
        see(ledger, found(name, inode), state="loaded")
    ledger.mark_gone("job", [b"/w/" + name for name in names[:3]], gone_at)
    ledger.forget_old(NOW + 400 * 86400)
    assert all(ledger.known("job", b"/w/" + name) for name in names)
    ledger.forget_old(NOW + 400 * 86400, kept=2)
    assert [name for name in names if ledger.known("job", b"/w/" + name)] == [b"b", b"c", b"there"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"path": b"/w/x/b.torrent"}, True),
        ({"path": b"/w/x/b.torrent", "device": 5}, True),
        ({"inode": 99}, True),
        ({"path": b"/w/x/b.torrent", "inode": 99}, False),
        ({"mtime_ns": 2}, False),
        ({"size": 1}, False),
    ],
    ids=["inode", "inode on another mount", "name on another disk", "neither", "other time", "other size"],
)
def test_the_same_file_is_found_by_its_inode_or_its_name(ledger: Ledger, changes: dict[str, Any], same: bool) -> None:
    see(ledger, found(b"a.torrent"), state="loaded")
    other = replace(found(b"x/a.torrent"), **changes)
    assert (ledger.same_file("job", other) is not None) is same
    assert ledger.same_file("another job", other) is None


def test_of_several_that_look_the_same_the_one_that_is_gone_was_renamed(ledger: Ledger) -> None:
    see(ledger, found(b"a.torrent"), found(b"b.torrent"), found(b"c.torrent"), state="loaded")
    ledger.mark_gone("job", [b"/w/b.torrent"], NOW)
    renamed = ledger.same_file("job", found(b"x/d.torrent"))
    assert renamed is not None
    assert renamed.path == b"/w/b.torrent"


def test_the_same_file_is_found_without_reading_all_of_that_time(store: Store, ledger: Ledger) -> None:
    asked: list[str] = []
    store.db.set_trace_callback(asked.append)
    ledger.same_file("job", found(b"a.torrent"))
    store.db.set_trace_callback(None)
    plan = " ".join(row[3] for row in store.db.execute(f"EXPLAIN QUERY PLAN {asked[0]}"))
    assert "metafiles_inode (mtime_ns=? AND size=? AND inode=?)" in plan
    assert "metafiles_name (mtime_ns=? AND size=? AND <expr>=?)" in plan


def test_what_is_pending_is_found_without_reading_all_rows(store: Store, ledger: Ledger) -> None:
    asked: list[str] = []
    store.db.set_trace_callback(asked.append)
    for state in PENDING:
        ledger.rows(state, NOW, 10)
        ledger.next_try(state)
    store.db.set_trace_callback(None)
    assert len(asked) == 6
    for query in asked:
        plan = " ".join(row[3] for row in store.db.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert "metafiles_state (state=?" in plan, query
