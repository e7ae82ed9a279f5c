"""The bus over real sockets and files: each published event is applied once, in order, also across restarts."""

import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from pyrotorque.bus import Bus, PendingRequest, Wakeup, ask
from pyrotorque.bus.heartbeats import HeartbeatPublisher
from pyrotorque.errors import ServiceUnreachable, StateError
from pyrotorque.events import Delivery, TorrentErased
from pyrotorque.layout import Layout
from pyrotorque.limits import PUBLISHED_BYTES
from pyrotorque.outbox import CursorTable, Outbox
from pyrotorque.requests import Answer, DescribeService, PauseJob
from pyrotorque.store import open_store
from tests.heartbeats import heartbeat
from tests.waiting import bound, eventually


class Source:
    """A service that only publishes."""

    def __init__(self, layout: Layout, name: str = "watcher", *, keep: int = 100_000, boot: str = "b1") -> None:
        self.layout = layout
        self.store = open_store(layout.database(name), [])
        self.outbox = Outbox(self.store, name, keep=keep, boot=boot)
        self.bus = Bus(layout, name, self.outbox)

    def commit(self, *names: str) -> None:
        for name in names:
            with self.store.transaction():
                self.outbox.add(TorrentErased(at=time.time(), info_hash="AA", name=name))

    def publish(self, *names: str) -> None:
        self.commit(*names)
        self.bus.publish()


class Follower:
    """A service that follows `watcher` and applies its events to a table of its own."""

    def __init__(self, layout: Layout, *, from_newest: bool = False) -> None:
        self.store = open_store(layout.database("exporter"), ["CREATE TABLE applied (name TEXT)"])
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
    def applied(self) -> list[str]:
        return [name for (name,) in self.store.db.execute("SELECT name FROM applied ORDER BY rowid")]

    def step(self, timeout: float = 0.05) -> Wakeup:
        woken = self.bus.wait(timeout)
        for delivery in woken.deliveries:
            assert isinstance(delivery.event, TorrentErased)
            with self.bus.applying(delivery) as db:
                db.execute("INSERT INTO applied VALUES (?)", (delivery.event.name,))
        self.gaps += [gap.reason for gap in woken.gaps]
        return woken


@contextmanager
def opened(*services: Source | Follower) -> Generator[None]:
    with ExitStack() as stack:
        for service in services:
            stack.callback(service.store.close)
            stack.enter_context(service.bus)
        yield


def run_until(source: Source, follower: Follower, until: Callable[[], bool], timeout: float = 5.0) -> None:
    """Run both loops, with the heartbeat of the source, until a condition is true."""
    begun = time.monotonic()
    with heartbeats_of(source) as beat:
        while not until():
            assert time.monotonic() - begun < bound(timeout), f"applied {follower.applied}, gaps {follower.gaps}"
            beat()
            source.bus.wait(0.005)
            follower.step(0.005)


@contextmanager
def heartbeats_of(source: Source) -> Generator[Callable[[], None]]:
    """Publishes one heartbeat with the newest event of `source` at each call."""
    beats = HeartbeatPublisher(source.layout, "watcher")

    def beat() -> None:
        beats.publish(heartbeat(epoch=source.outbox.epoch, head=source.outbox.head))

    try:
        yield beat
    finally:
        beats.close()


def runs_once(source: Source, follower: Follower, *unpublished: str) -> None:
    """It runs until its "a" was applied; its last events are committed and not published."""
    with opened(source):
        source.publish("a")
        run_until(source, follower, lambda: follower.applied == ["a"])
        source.commit(*unpublished)


def test_published_events_are_applied_once_and_in_order(layout: Layout) -> None:
    source, follower = Source(layout), Follower(layout)
    with opened(source, follower):
        source.publish("a", "b")
        run_until(source, follower, lambda: len(follower.applied) >= 2)
        source.publish("c")
        run_until(source, follower, lambda: len(follower.applied) >= 3)
        assert follower.applied == ["a", "b", "c"]
        assert follower.gaps == []


def test_events_from_before_the_first_subscriber_are_replayed(layout: Layout) -> None:
    source = Source(layout)
    source.commit(*map(str, range(1200)))
    follower = Follower(layout)
    with opened(source, follower):
        run_until(source, follower, lambda: len(follower.applied) >= 1200)
        assert follower.applied == list(map(str, range(1200)))


def test_a_subscriber_that_restarts_continues_at_its_cursor(layout: Layout) -> None:
    source, first = Source(layout), Follower(layout)
    with opened(source):
        with opened(first):
            source.publish("a")
            run_until(source, first, lambda: first.applied == ["a"])
        source.publish("b")
        second = Follower(layout)
        with opened(second):
            run_until(source, second, lambda: len(second.applied) >= 2)
            assert second.applied == ["a", "b"]


def test_a_source_that_restarts_is_still_followed(layout: Layout) -> None:
    first, follower = Source(layout), Follower(layout)
    with opened(follower):
        runs_once(first, follower, "committed, never published")
        second = Source(layout)
        with opened(second):
            second.publish("b")
            run_until(second, follower, lambda: len(follower.applied) >= 3)
    assert follower.gaps == []


def test_a_new_boot_of_the_kernel_loses_nothing(layout: Layout) -> None:
    before, follower = Source(layout, boot="b1"), Follower(layout)
    with opened(follower):
        runs_once(before, follower, "b")
        after = Source(layout, boot="b2")
        with opened(after):
            after.commit("c")
            run_until(after, follower, lambda: len(follower.applied) >= 3)
        assert (follower.applied, follower.gaps) == (["a", "b", "c"], [])


def test_a_new_database_is_a_gap_that_is_recorded_and_its_events_are_applied(layout: Layout) -> None:
    old, follower = Source(layout), Follower(layout)
    with opened(follower):
        runs_once(old, follower)
        for path in layout.state_dir.glob("watcher.sqlite3*"):
            path.unlink()
        new = Source(layout)
        with opened(new):
            new.publish("b")
            run_until(new, follower, lambda: len(follower.applied) >= 2)
        assert follower.applied == ["a", "b"]
        assert follower.gaps == ["watcher has a new state file"]
        assert [reason for _, _, reason in CursorTable(follower.store).gaps()] == follower.gaps


def falls_behind(source: Source, follower: Follower) -> None:
    """The follower's bus is closed while the source commits ten times as many events as it keeps."""
    source.publish("first")
    run_until(source, follower, lambda: follower.applied == ["first"])
    follower.bus.close()
    source.commit(*map(str, range(100)))
    source.outbox.trim()


def assert_kept_events_are_applied(source: Source, follower: Follower) -> None:
    run_until(source, follower, lambda: len(follower.applied) >= 11)
    assert follower.applied == ["first", *map(str, range(90, 100))]
    assert follower.gaps == ["90 events were trimmed"]


def test_trimmed_events_are_a_gap_and_the_rest_is_applied(layout: Layout) -> None:
    source, follower = Source(layout, keep=10), Follower(layout)
    with opened(source, follower):
        falls_behind(source, follower)
        follower.bus.open()
        assert_kept_events_are_applied(source, follower)


def test_a_full_disk_of_the_subscriber_loses_no_event(layout: Layout) -> None:
    source, follower = Source(layout, keep=10), Follower(layout)
    with opened(source, follower):
        falls_behind(source, follower)
        follower.store.db.execute("PRAGMA query_only = on")
        follower.bus.open()
        with heartbeats_of(source) as beat:
            for _ in range(50):
                beat()
                source.bus.wait(0.005)
                assert not follower.bus.wait(0.005)
        follower.store.db.execute("PRAGMA query_only = off")
        assert_kept_events_are_applied(source, follower)


def test_a_failed_effect_is_retried_in_order(layout: Layout) -> None:
    source, follower = Source(layout), Follower(layout)
    with opened(source, follower), heartbeats_of(source) as beat:
        source.commit("a", "b", "c")
        deliveries = wait_for_deliveries(source, follower, beat, 3)
        with pytest.raises(ZeroDivisionError), follower.bus.applying(deliveries[0]):
            raise ZeroDivisionError
        with pytest.raises(StateError, match="is not applied"), follower.bus.applying(deliveries[1]):
            pass
    with opened(reopened := Follower(layout), again := Source(layout)):
        run_until(again, reopened, lambda: len(reopened.applied) >= 3)
        assert reopened.applied == ["a", "b", "c"]


def wait_for_deliveries(source: Source, follower: Follower, beat: Callable[[], None], count: int) -> list[Delivery]:
    begun = time.monotonic()
    while time.monotonic() - begun < bound(20):
        beat()
        source.bus.wait(0.01)
        if len(woken := follower.bus.wait(0.01).deliveries) == count:
            return woken
    raise AssertionError("no event was delivered")


def test_a_request_is_answered_and_an_absent_service_is_reported_at_once(layout: Layout) -> None:
    with pytest.raises(ServiceUnreachable, match="is it running"):
        ask(layout, "watcher", DescribeService())
    with opened(source := Source(layout)):
        answers: list[Answer] = []
        client = threading.Thread(
            target=lambda: answers.append(ask(layout, "watcher", PauseJob(job="queue\udcff"), bound(5)))
        )
        client.start()
        woken = source.bus.wait(bound(5))
        assert [pending.request for pending in woken.requests] == [PauseJob(job="queue\\xff")]
        woken.requests[0].answer(Answer(ok=True, text="paused", data={"name": "\udcff"}))
        client.join(bound(5))
    assert answers == [Answer(ok=True, text="paused", data={"name": "\\xff"})]


def test_a_change_of_subscriptions_loses_no_request_and_no_event(layout: Layout) -> None:
    source, follower = Source(layout), Follower(layout)
    answers: list[Answer] = []
    with opened(source, follower):
        client = threading.Thread(target=lambda: answers.append(ask(layout, "exporter", DescribeService(), bound(10))))
        client.start()
        follower.bus.subscribe({"scheduler": [TorrentErased]}, None)
        source.publish("one", "two")
        follower.bus.subscribe({"watcher": [TorrentErased]}, CursorTable(follower.store))
        pending: list[PendingRequest] = []

        def all_arrived() -> bool:
            source.publish("later")
            pending.extend(follower.step(0.02).requests)
            source.bus.wait(0.02)
            return bool(pending) and len(follower.applied) > 2

        eventually(all_arrived)
        pending[0].answer(Answer(ok=True, text="here"))
        client.join(bound(5))
        assert [answer.text for answer in answers] == ["here"]
        assert follower.applied[:3] == ["one", "two", "later"]


def test_a_large_event_comes_by_replay_in_its_place(layout: Layout) -> None:
    source, follower = Source(layout), Follower(layout)
    large = ["l" * size for size in (PUBLISHED_BYTES, 100_000, 4 * PUBLISHED_BYTES)]
    with opened(source, follower):
        source.publish("a")
        run_until(source, follower, lambda: follower.applied == ["a"])
        source.publish(*large)
        run_until(source, follower, lambda: len(follower.applied) == 4)
        source.publish("b", large[1], "c")
        run_until(source, follower, lambda: len(follower.applied) == 7)
        assert follower.applied == ["a", *large, "b", large[1], "c"]
        assert not follower.gaps


def test_a_subscriber_that_does_not_read_costs_its_source_little_memory(layout: Layout) -> None:
    source, follower = Source(layout), Follower(layout)
    with opened(source, follower):
        source.publish("a")
        run_until(source, follower, lambda: follower.applied == ["a"])
        before = resident_bytes()
        for _ in range(50):
            source.publish(*("x" * 200_000 for _ in range(10)))
        assert resident_bytes() - before < 48 << 20
        run_until(source, follower, lambda: bool(follower.gaps), 20.0)
    assert "trimmed" in follower.gaps[0]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_events_of_a_source_that_went_back_to_an_older_file_are_a_gap_and_new_ones_are_applied(
    layout: Layout,
) -> None:
    source, follower = Source(layout), Follower(layout)
    path, copy = source.store.path, layout.state_dir / "copy"
    with opened(follower):
        with opened(source):
            source.publish(*(f"old {number}" for number in range(5)))
            run_until(source, follower, lambda: len(follower.applied) == 5)
            with closing(sqlite3.connect(copy)) as to:
                source.store.db.backup(to)
            source.publish(*(f"lost {number}" for number in range(10)))
            run_until(source, follower, lambda: len(follower.applied) == 15)
            source.commit("never applied")
            source.bus.publish()
        copy.replace(path)
        source = Source(layout)
        with opened(source):
            source.commit(*(f"new {number}" for number in range(25)))
            run_until(source, follower, lambda: len(follower.applied) >= 40)
            source.publish("live")
            run_until(source, follower, lambda: follower.applied[-1] == "live")
        applied = follower.applied
    assert [name for name in applied if name.startswith("new")] == [f"new {number}" for number in range(25)]
    (gap,) = follower.gaps
    assert gap == "watcher.sqlite3 lost its last 11 events: it was replaced by an older one"
