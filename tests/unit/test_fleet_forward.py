"""Events are forwarded once and in order, whatever answers are lost; against a stream that is made to lose them."""

import itertools
import json
import random
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from pyrotorque.events import Delivery, Envelope, TorrentErased
from pyrotorque.store import Store, open_store
from pyrotorque_fleet.exchange import Conflict, LinkError, StoredEvent
from pyrotorque_fleet.forward import MIGRATIONS, Forwarder


class LossyStream:
    """A stream with JetStream's condition on the newest sequence; real servers lose answers too rarely for a test."""

    def __init__(self, chance: random.Random, share: float) -> None:
        self.events: list[tuple[int, str, bytes]] = []
        self._chance, self._share = chance, share
        self._sequence = itertools.count(1)

    def append(self, source: str, body: bytes, last: int) -> Future[int]:
        done: Future[int] = Future()
        if self._lost():
            done.set_exception(LinkError("not sent"))
            return done
        newest = max((number for number, name, _ in self.events if name == source), default=0)
        if newest != last:
            done.set_exception(Conflict("wrong last sequence"))
            return done
        number = next(self._sequence)
        self.events.append((number, source, body))
        if self._lost():
            done.set_exception(LinkError("written, and the answer was lost"))
        else:
            done.set_result(number)
        return done

    def newest_event(self, source: str) -> Future[StoredEvent | None]:
        done: Future[StoredEvent | None] = Future()
        found = [StoredEvent(number, body) for number, name, body in self.events if name == source]
        if self._lost():
            done.set_exception(LinkError("no answer"))
        else:
            done.set_result(found[-1] if found else None)
        return done

    def _lost(self) -> bool:
        return self._chance.random() < self._share

    def sequences(self, source: str) -> list[int]:
        return [json.loads(body).get("seq", 0) for _, name, body in self.events if name == source]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "fleet.sqlite3", MIGRATIONS)
    yield found
    found.close()


def delivery(source: str, seq: int) -> Delivery:
    event = TorrentErased(at=1.0, info_hash="A" * 40, name="n")
    return Delivery(Envelope(source=source, epoch="e1", seq=seq), event)


def keep(store: Store, forwarder: Forwarder, source: str, *sequences: int) -> None:
    with store.transaction() as db:
        for seq in sequences:
            forwarder.keep(db, delivery(source, seq))


def forward_all(forwarder: Forwarder, now: float = 0.0) -> None:
    for turn in range(10_000):
        forwarder.step(now + 3.0 * turn)
        if not forwarder.waiting:
            return
    raise AssertionError(f"{forwarder.waiting} events still wait")


@pytest.mark.parametrize("seed", range(20))
def test_each_event_is_stored_once_and_in_order_although_answers_and_processes_are_lost(
    store: Store, seed: int
) -> None:
    chance = random.Random(seed)
    stream = LossyStream(chance, 0.3)
    written = {"watcher": 0, "scheduler": 0}
    forwarder = Forwarder(store, stream, lambda: None)
    for turn in range(200):
        source = chance.choice(sorted(written))
        written[source] += 1
        keep(store, forwarder, source, written[source])
        for _ in range(chance.randrange(4)):
            forwarder.step(10.0 * turn)
        if chance.random() < 0.1:  # killed: what is not in the file is lost
            forwarder = Forwarder(store, stream, lambda: None)
    forward_all(forwarder, 10_000.0)
    for source, count in written.items():
        assert stream.sequences(source) == list(range(1, count + 1))


def test_a_gap_is_stored_once_too(store: Store) -> None:
    stream = LossyStream(random.Random(3), 0.5)
    forwarder = Forwarder(store, stream, lambda: None)
    keep(store, forwarder, "watcher", 1)
    forwarder.keep_gap("watcher", "5 events were trimmed")
    keep(store, forwarder, "watcher", 7)
    forward_all(forwarder)
    assert stream.sequences("watcher") == [1, 0, 7]
    gap = json.loads(stream.events[1][2])
    assert (gap["type"], gap["source"], gap["reason"]) == ("EventsMissing", "watcher", "5 events were trimmed")


def test_events_that_are_read_again_after_a_lost_file_are_not_stored_twice(tmp_path: Path) -> None:
    stream = LossyStream(random.Random(1), 0.0)
    for name in ("first", "second"):
        store = open_store(tmp_path / f"{name}.sqlite3", MIGRATIONS)
        forwarder = Forwarder(store, stream, lambda: None)
        keep(store, forwarder, "watcher", 1, 2, 3)
        forward_all(forwarder)
        store.close()
    assert stream.sequences("watcher") == [1, 2, 3]


def test_what_is_too_much_is_deleted_from_the_oldest_and_reported_in_its_place(store: Store) -> None:
    stream = LossyStream(random.Random(1), 0.0)
    forwarder = Forwarder(store, stream, lambda: None, keep=10)
    for seq in range(1, 31):
        keep(store, forwarder, "watcher", seq)
        keep(store, forwarder, "scheduler", seq)
    assert forwarder.waiting <= 12
    forward_all(forwarder)
    for source in ("watcher", "scheduler"):
        sequences = stream.sequences(source)
        assert sequences[-1] == 30
        assert sequences[0] == 0
        events = [seq for seq in sequences if seq]
        assert events == list(range(events[0], 31))
    assert (forwarder.waiting, Forwarder(store, stream, lambda: None).waiting) == (0, 0)


def test_a_stream_that_was_replaced_gets_what_waits(store: Store) -> None:
    stream = LossyStream(random.Random(1), 0.0)
    forwarder = Forwarder(store, stream, lambda: None)
    keep(store, forwarder, "watcher", 1, 2)
    forward_all(forwarder)
    stream.events.clear()
    keep(store, forwarder, "watcher", 3)
    forwarder.connected()
    forward_all(forwarder)
    assert stream.sequences("watcher") == [3]


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_an_older_file_appends_nothing_that_is_in_the_stream(store: Store, share: float) -> None:
    stream = LossyStream(random.Random(7), share)
    forwarder = Forwarder(store, stream, lambda: None)
    keep(store, forwarder, "watcher", *range(1, 31))
    forward_all(forwarder)
    # A file of the time of event 10, in which 11 and 12 waited: the others are replayed in several parts.
    again = Forwarder(store, stream, lambda: None)
    keep(store, again, "watcher", 11, 12)
    keep(store, again, "scheduler", 1)
    forward_all(again)
    for begin in (13, 20, 27):
        keep(store, again, "watcher", *range(begin, begin + 7))
        forward_all(again)
    assert stream.sequences("watcher") == list(range(1, 34))
    assert stream.sequences("scheduler") == [1]
    assert store.db.execute("SELECT count(*) FROM forwards").fetchone() == (0,)
    assert again.waiting == 0
