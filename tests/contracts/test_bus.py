"""The bus between real sockets and files: what is told is heard once, in order, whatever happens in between."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

import pytest

from pyrotorque.bus import Bus, PendingRequest, Wakeup, ask
from pyrotorque.bus.heartbeats import HeartbeatPublisher
from pyrotorque.errors import ServiceUnreachable, StateError
from pyrotorque.events import Delivery, TorrentErased
from pyrotorque.layout import Layout
from pyrotorque.outbox import CursorTable, Outbox
from pyrotorque.requests import Answer, DescribeService, PauseJob
from pyrotorque.store import open_store
from tests.heartbeats import heartbeat
from tests.waiting import eventually


class Teller:
    """A service that only tells."""

    def __init__(self, layout: Layout, name: str = "watcher", *, keep: int = 100_000, boot: str = "b1") -> None:
        self.layout = layout
        self.store = open_store(layout.database(name), [])
        self.outbox = Outbox(self.store, name, keep=keep, boot=boot)
        self.bus = Bus(layout, name, self.outbox)

    def commit(self, *names: str) -> None:
        for name in names:
            with self.store.transaction():
                self.outbox.add(TorrentErased(at=time.time(), info_hash="AA", name=name))

    def tells(self, *names: str) -> None:
        self.commit(*names)
        self.bus.publish()


class Listener:
    """A service that follows `watcher` and applies what it hears to a table of its own."""

    def __init__(self, layout: Layout, *, from_newest: bool = False) -> None:
        self.store = open_store(layout.database("exporter"), ["CREATE TABLE heard (name TEXT)"])
        self.outbox = Outbox(self.store, "exporter", boot="b1")
        self.gaps: list[str] = []
        self.bus = Bus(
            layout,
            "exporter",
            self.outbox,
            subscribe={"watcher": [TorrentErased]},
            cursors=CursorTable(self.store),
            from_newest=from_newest,
        )

    @property
    def heard(self) -> list[str]:
        return [name for (name,) in self.store.db.execute("SELECT name FROM heard ORDER BY rowid")]

    def step(self, timeout: float = 0.05) -> Wakeup:
        woken = self.bus.wait(timeout)
        for delivery in woken.deliveries:
            assert isinstance(delivery.event, TorrentErased)
            with self.bus.applying(delivery) as db:
                db.execute("INSERT INTO heard VALUES (?)", (delivery.event.name,))
        self.gaps += [gap.reason for gap in woken.gaps]
        return woken


@contextmanager
def living(*services: Teller | Listener) -> Generator[None]:
    with ExitStack() as stack:
        for service in services:
            stack.callback(service.store.close)
            stack.enter_context(service.bus)
        yield


def turns(teller: Teller, listener: Listener, until: Callable[[], bool], timeout: float = 5.0) -> None:
    """Let both loops turn, with the heartbeat of the teller, until something holds."""
    deadline = time.monotonic() + timeout
    with beating(teller) as beat:
        while not until():
            assert time.monotonic() < deadline, f"heard {listener.heard}, gaps {listener.gaps}"
            beat()
            teller.bus.wait(0.005)
            listener.step(0.005)


@contextmanager
def beating(teller: Teller) -> Generator[Callable[[], None]]:
    """What says now what the newest event of `teller` is."""
    beats = HeartbeatPublisher(teller.layout, "watcher")

    def beat() -> None:
        beats.publish(heartbeat(epoch=teller.outbox.epoch, head=teller.outbox.head))

    try:
        yield beat
    finally:
        beats.close()


def lives(teller: Teller, listener: Listener, *unrung: str) -> None:
    """It lives until its "a" was heard; what it commits last, it does not ring for any more."""
    with living(teller):
        teller.tells("a")
        turns(teller, listener, lambda: listener.heard == ["a"])
        teller.commit(*unrung)


def test_what_was_told_is_heard_once_and_in_order(layout: Layout) -> None:
    teller, listener = Teller(layout), Listener(layout)
    with living(teller, listener):
        teller.tells("a", "b")
        turns(teller, listener, lambda: len(listener.heard) >= 2)
        teller.tells("c")
        turns(teller, listener, lambda: len(listener.heard) >= 3)
        assert listener.heard == ["a", "b", "c"]
        assert listener.gaps == []


def test_what_was_told_while_nobody_listened_is_replayed(layout: Layout) -> None:
    teller = Teller(layout)
    teller.commit(*map(str, range(1200)))
    listener = Listener(layout)
    with living(teller, listener):
        turns(teller, listener, lambda: len(listener.heard) >= 1200)
        assert listener.heard == list(map(str, range(1200)))


def test_a_listener_that_restarts_goes_on_where_it_was(layout: Layout) -> None:
    teller, first = Teller(layout), Listener(layout)
    with living(teller):
        with living(first):
            teller.tells("a")
            turns(teller, first, lambda: first.heard == ["a"])
        teller.tells("b")
        second = Listener(layout)
        with living(second):
            turns(teller, second, lambda: len(second.heard) >= 2)
            assert second.heard == ["a", "b"]


def test_a_teller_that_restarts_is_followed_on(layout: Layout) -> None:
    first, listener = Teller(layout), Listener(layout)
    with living(listener):
        lives(first, listener, "committed, never rung")
        second = Teller(layout)
        with living(second):
            second.tells("b")
            turns(second, listener, lambda: len(listener.heard) >= 3)
    assert listener.gaps == []


def test_a_new_boot_of_the_kernel_loses_nothing(layout: Layout) -> None:
    before, listener = Teller(layout, boot="b1"), Listener(layout)
    with living(listener):
        lives(before, listener, "b")
        after = Teller(layout, boot="b2")
        with living(after):
            after.commit("c")
            turns(after, listener, lambda: len(listener.heard) >= 3)
        assert (listener.heard, listener.gaps) == (["a", "b", "c"], [])


def test_a_new_database_is_a_gap_that_is_recorded_and_its_events_are_heard(layout: Layout) -> None:
    old, listener = Teller(layout), Listener(layout)
    with living(listener):
        lives(old, listener)
        for path in layout.state_dir.glob("watcher.sqlite3*"):
            path.unlink()
        new = Teller(layout)
        with living(new):
            new.tells("b")
            turns(new, listener, lambda: len(listener.heard) >= 2)
        assert listener.heard == ["a", "b"]
        assert listener.gaps == ["watcher has a new state file"]
        assert [reason for _, _, reason in CursorTable(listener.store).gaps()] == listener.gaps


def falls_behind(teller: Teller, listener: Listener) -> None:
    """Its bus is closed while ten times as much is told as `teller` keeps."""
    teller.tells("first")
    turns(teller, listener, lambda: listener.heard == ["first"])
    listener.bus.close()
    teller.commit(*map(str, range(100)))
    teller.outbox.trim()


def hears_what_was_kept(teller: Teller, listener: Listener) -> None:
    turns(teller, listener, lambda: len(listener.heard) >= 11)
    assert listener.heard == ["first", *map(str, range(90, 100))]
    assert listener.gaps == ["90 events were trimmed"]


def test_a_cursor_that_was_trimmed_away_is_a_gap_and_the_rest_is_heard(layout: Layout) -> None:
    teller, listener = Teller(layout, keep=10), Listener(layout)
    with living(teller, listener):
        falls_behind(teller, listener)
        listener.bus.open()
        hears_what_was_kept(teller, listener)


def test_while_the_listeners_disk_is_full_nothing_is_lost_and_nothing_breaks(layout: Layout) -> None:
    teller, listener = Teller(layout, keep=10), Listener(layout)
    with living(teller, listener):
        falls_behind(teller, listener)
        listener.store.db.execute("PRAGMA query_only = on")
        listener.bus.open()
        with beating(teller) as beat:
            for _ in range(50):
                beat()
                teller.bus.wait(0.005)
                assert not listener.bus.wait(0.005)
        listener.store.db.execute("PRAGMA query_only = off")
        hears_what_was_kept(teller, listener)


def test_an_effect_that_fails_is_tried_again_and_nothing_overtakes_it(layout: Layout) -> None:
    teller, listener = Teller(layout), Listener(layout)
    with living(teller, listener), beating(teller) as beat:
        teller.commit("a", "b", "c")
        deliveries = until_heard(teller, listener, beat, 3)
        with pytest.raises(ZeroDivisionError), listener.bus.applying(deliveries[0]):
            raise ZeroDivisionError
        with pytest.raises(StateError, match="is not applied"), listener.bus.applying(deliveries[1]):
            pass
    with living(reopened := Listener(layout), again := Teller(layout)):
        turns(again, reopened, lambda: len(reopened.heard) >= 3)
        assert reopened.heard == ["a", "b", "c"]


def until_heard(teller: Teller, listener: Listener, beat: Callable[[], None], count: int) -> list[Delivery]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        beat()
        teller.bus.wait(0.01)
        if len(woken := listener.bus.wait(0.01).deliveries) == count:
            return woken
    raise AssertionError("nothing was heard")


def test_a_request_is_answered_and_an_absent_service_is_told_at_once(layout: Layout) -> None:
    with pytest.raises(ServiceUnreachable, match="is it running"):
        ask(layout, "watcher", DescribeService())
    with living(teller := Teller(layout)):
        answers: list[Answer] = []
        asker = threading.Thread(target=lambda: answers.append(ask(layout, "watcher", PauseJob(job="queue\udcff"))))
        asker.start()
        woken = teller.bus.wait(5.0)
        assert [asked.request for asked in woken.requests] == [PauseJob(job="queue\\xff")]
        woken.requests[0].answer(Answer(ok=True, text="paused", data={"name": "\udcff"}))
        asker.join(5.0)
    assert answers == [Answer(ok=True, text="paused", data={"name": "\\xff"})]


def test_who_asked_while_the_subscription_changed_is_answered_and_no_event_is_missed(layout: Layout) -> None:
    teller, listener = Teller(layout), Listener(layout)
    answers: list[Answer] = []
    with living(teller, listener):
        asking = threading.Thread(target=lambda: answers.append(ask(layout, "exporter", DescribeService(), 10)))
        asking.start()
        listener.bus.subscribe({"scheduler": [TorrentErased]}, None)
        teller.tells("one", "two")
        listener.bus.subscribe({"watcher": [TorrentErased]}, CursorTable(listener.store))
        asked: list[PendingRequest] = []

        def all_came() -> bool:
            teller.tells("later")
            asked.extend(listener.step(0.02).requests)
            teller.bus.wait(0.02)
            return bool(asked) and len(listener.heard) > 2

        eventually(all_came)
        asked[0].answer(Answer(ok=True, text="here"))
        asking.join(5)
        assert [answer.text for answer in answers] == ["here"]
        assert listener.heard[:3] == ["one", "two", "later"]
