"""Events are numbered without gaps, replayed from any cursor, and trimmed; what cannot be replayed is a gap."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque.errors import StateError
from pyrotorque.events import JobFailed, LoadFailed, decode
from pyrotorque.outbox import BEGINNING, Cursor, CursorTable, Outbox, stored_events
from pyrotorque.store import Store, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "watcher.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    found = open_store(path, [])
    yield found
    found.close()


def add(store: Store, outbox: Outbox, *jobs: str) -> list[int]:
    with store.transaction():
        return [outbox.add(JobFailed(at=float(len(job)), job=job, reason="", seconds=0.0)) for job in jobs]


def jobs(bodies: list[bytes]) -> list[str]:
    return [event.job for body in bodies if isinstance(event := decode(body).event, JobFailed)]


def test_events_are_numbered_from_one_without_gaps(store: Store) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    assert add(store, outbox, "a", "b") == [1, 2]
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        outbox.add(JobFailed(at=0.0, job="never", reason="", seconds=0.0))
        raise ZeroDivisionError
    assert add(store, outbox, "c") == [3]
    assert [decode(body).envelope.seq for body in outbox.since(0)] == [1, 2, 3]
    assert jobs(outbox.since(1)) == ["b", "c"]
    assert jobs(outbox.since(0, limit=2)) == ["a", "b"]


def test_the_head_is_what_is_committed(store: Store) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    with store.transaction():
        outbox.add(JobFailed(at=0.0, job="a", reason="", seconds=0.0))
        assert outbox.head == 0
    assert outbox.refresh() == outbox.head == 1


def test_an_event_outside_a_transaction_is_a_bug(store: Store) -> None:
    with pytest.raises(RuntimeError, match="outside a transaction"):
        Outbox(store, "watcher").add(JobFailed(at=0.0, job="a", reason="", seconds=0.0))


def test_numbers_go_on_after_a_restart_in_the_same_boot(path: Path) -> None:
    for expected in (1, 2):
        store = open_store(path, [])
        assert add(store, Outbox(store, "watcher", boot="b1"), "a") == [expected]
        store.close()


def test_a_new_boot_is_a_new_epoch_and_the_old_one_is_still_replayed(store: Store) -> None:
    old = Outbox(store, "watcher", boot="b1")
    add(store, old, "a", "b")
    new = Outbox(store, "watcher", boot="b2")
    assert new.epoch != old.epoch
    assert add(store, new, "c") == [1]
    replay = new.after(Cursor(old.epoch, 1))
    assert (jobs(replay.bodies), replay.reached, replay.gap) == (["b", "c"], Cursor(new.epoch, 1), "")


def test_a_cursor_ahead_of_the_file_continues_with_the_new_epoch(store: Store) -> None:
    old = Outbox(store, "watcher", boot="b1")
    add(store, old, "a", "b")
    store.db.execute("DELETE FROM bus_events WHERE position = 2")
    new = Outbox(store, "watcher", boot="b2")
    add(store, new, "c")
    replay = new.after(Cursor(old.epoch, 2))
    assert (jobs(replay.bodies), replay.gap) == (["c"], "")


def test_a_subscriber_without_a_cursor_gets_all_stored_events(store: Store) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    assert outbox.after(BEGINNING).bodies == []
    add(store, outbox, "a", "b")
    assert jobs(outbox.after(BEGINNING).bodies) == ["a", "b"]


@pytest.mark.parametrize(
    ("mark", "gap", "resume"),
    [
        (Cursor("another-b1", 1), "watcher has a new state file", 5),
        (Cursor("own", 99), "watcher went back to an older state", 15),
        (Cursor("own", 1), "4 events were trimmed", 5),
    ],
    ids=["of another database", "ahead of us", "trimmed away"],
)
def test_a_cursor_that_cannot_be_replayed_is_a_gap_with_a_place_to_continue(
    store: Store, mark: Cursor, gap: str, resume: int
) -> None:
    outbox = Outbox(store, "watcher", keep=10, boot="b1")
    add(store, outbox, *("x" * 15))
    outbox.trim()
    asked = mark._replace(epoch=outbox.epoch) if mark.epoch == "own" else mark
    replay = outbox.after(asked)
    assert (replay.gap, replay.reached, replay.bodies) == (gap, Cursor(outbox.epoch, resume), [])


def test_it_trims_old_events_and_replays_in_bounded_pieces(store: Store) -> None:
    outbox = Outbox(store, "watcher", keep=1000, boot="b1")
    for _ in range(4):
        add(store, outbox, *("x" * 500))
    (kept,) = store.db.execute("SELECT count(*) FROM bus_events").fetchone()
    assert 1000 <= kept <= 1500
    assert len(outbox.after(BEGINNING).bodies) == 500


def test_a_text_that_is_no_utf8_or_far_too_long_is_stored_anyway(store: Store) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    with store.transaction():
        outbox.add(LoadFailed(at=0.0, metafile="/watch/\udcff.torrent", job="w", kind="io", reason="x" * 1_000_000))
    (body,) = outbox.since(0)
    event = decode(body).event
    assert isinstance(event, LoadFailed)
    assert event.metafile == "/watch/\\xff.torrent"
    assert len(body) < 10_000


def test_replaying_in_any_pieces_gives_every_event_once(store: Store) -> None:
    chance = random.Random(7)
    boots, names = 0, 0
    outbox = Outbox(store, "watcher", boot="0")
    for _ in range(60):
        if chance.random() < 0.3:
            boots += 1
            outbox = Outbox(store, "watcher", boot=str(boots))
        many = chance.randrange(5)
        add(store, outbox, *map(str, range(names, names + many)))
        names += many
    mark, received = BEGINNING, list[str]()
    while (replay := outbox.after(mark, limit=chance.randrange(1, 9))).bodies:
        received += jobs(replay.bodies)
        mark = replay.reached
    assert received == list(map(str, range(names)))


def test_a_cursor_moves_with_the_effect_or_not_at_all(store: Store) -> None:
    cursors = CursorTable(store)
    assert cursors.get("watcher") == BEGINNING == ("", 0)
    with store.transaction():
        cursors.advance("watcher", "e1", 3)
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        cursors.advance("watcher", "e1", 4)
        raise ZeroDivisionError
    assert cursors.get("watcher") == Cursor("e1", 3)


def test_a_gap_is_recorded_and_the_cursor_moved_behind_it(store: Store) -> None:
    cursors = CursorTable(store)
    cursors.record_gap("watcher", Cursor("e2", 0), "new file")
    assert [(source, reason) for _, source, reason in cursors.gaps()] == [("watcher", "new file")]
    assert cursors.get("watcher") == Cursor("e2", 0)


def test_stored_events_can_be_read_from_outside(path: Path, store: Store) -> None:
    add(store, Outbox(store, "watcher"), "a", "bb", "ccc")
    assert jobs(list(stored_events(path, since=2.0))) == ["bb", "ccc"]
    assert list(stored_events(path.with_name("absent.sqlite3"))) == []


def test_a_full_disk_loses_no_number(store: Store) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    add(store, outbox, "a")
    (pages,) = store.db.execute("PRAGMA page_count").fetchone()
    store.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="full"):
        add(store, outbox, *["x" * 1000] * 1000)
    store.db.execute("PRAGMA max_page_count = 100000")
    assert add(store, outbox, "b") == [2]


@pytest.mark.parametrize("size", [10, 20_000])
def test_a_reader_that_waits_keeps_no_transaction_open(path: Path, store: Store, size: int) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    names = [f"{number} {'x' * size}" for number in range(1201)]
    add(store, outbox, *names[:1200])
    reader = stored_events(path)
    first = [next(reader) for _ in range(5)]
    add(store, outbox, names[1200])
    busy, _, _ = store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, path.with_name(f"{path.name}-wal").stat().st_size) == (0, 0)
    assert jobs([*first, *reader]) == names
