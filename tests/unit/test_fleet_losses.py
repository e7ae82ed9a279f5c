"""An old answer of the servers is no loss: it is one when they have been behind for 15 seconds.

The servers are fakes: real ones cannot be made to answer with old values at a given moment.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.aio.client import Client

from pyrotorque.settings.schema import FleetSettings
from pyrotorque_fleet.bucket_watch import BucketWatch
from pyrotorque_fleet.exchange import BucketState, LinkError
from pyrotorque_fleet.jetstream import JetStreamCalls
from pyrotorque_fleet.losses import LossWatch
from pyrotorque_fleet.streams import FleetStreams

KNOWN = BucketState("bucket", 90)
OLDER = BucketState("bucket", 70)
Clock = list[float]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """CLOCK_MONOTONIC."""
    found = [1000.0]
    for module in ("bucket_watch", "jetstream"):
        monkeypatch.setattr(f"pyrotorque_fleet.{module}.time", SimpleNamespace(monotonic=lambda: found[0]))
    return found


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([(0, True)], False),
        ([(0, True), (14.9, True)], False),
        ([(0, True), (15, True)], True),
        ([(0, True), (7, True), (14, True), (15.1, True)], True),
        ([(0, True), (14, False), (16, True)], False),
        ([(0, True), (3600, True)], False),
        ([(0, True), (3600, True), (3615, True)], True),
        ([(0, False), (15, False)], False),
    ],
)
def test_it_is_a_loss_when_each_look_was_behind_for_long_enough(
    looks: list[tuple[float, bool]], expected: bool
) -> None:
    losses = LossWatch()
    assert losses.is_lost("other", 0.0, is_behind=True) is False
    found = [losses.is_lost("key", at, is_behind=is_behind) for at, is_behind in looks]
    assert found == [*[False] * (len(looks) - 1), expected]


def test_the_clock_starts_again_when_a_loss_is_known() -> None:
    losses = LossWatch()
    losses.is_lost("key", 0.0, is_behind=True)
    assert [losses.is_lost("key", at, is_behind=True) for at in (15.0, 16.0)] == [True, True]
    losses.forget("key")
    assert losses.is_lost("key", 17.0, is_behind=True) is False


def test_any_number_of_keys_needs_bounded_room() -> None:
    losses = LossWatch()
    for number in range(30_000):
        losses.is_lost(str(number), number / 100, is_behind=True)
    assert len(vars(losses)["_behind"]) <= 10_001


class FakeClient:
    """Has subscriptions that get nothing."""

    def new_inbox(self) -> str:
        return "_INBOX_x.1"

    async def subscribe(self, *_: Any, **__: Any) -> Any:
        async def unsubscribe() -> None: ...

        return SimpleNamespace(unsubscribe=unsubscribe)


class FakeCalls:
    """Answers with `state`; `starts` are the revisions from which something was followed."""

    def __init__(self) -> None:
        self.state = KNOWN
        self.starts: list[int] = []

    async def bucket_state(self, _stream: str) -> BucketState:
        return self.state

    async def call(self, make: Callable[[Any], Any]) -> None:
        async def add_consumer(_stream: str, config: Any) -> None:
            self.starts.append(config.opt_start_seq)

        await make(SimpleNamespace(add_consumer=add_consumer))


class Scene:
    def __init__(self, **more: Any) -> None:
        self.calls, self.entered = FakeCalls(), list[BucketState]()
        calls = cast(JetStreamCalls, self.calls)

        def receive(_key: str, _revision: int, _value: bytes) -> None: ...

        self.watch = BucketWatch("claims", calls, receive, self.entered.append, **more)

    def begin(self, known: BucketState = KNOWN) -> None:
        asyncio.run(self.watch.begin(cast(Client, FakeClient()), known))

    def check(self) -> None:
        asyncio.run(self.watch.check())


@pytest.mark.parametrize("seconds", [0.1, 5.0, 14.0])
def test_servers_that_are_behind_after_a_connection_catch_up(now: Clock, seconds: float) -> None:
    s = Scene()
    s.calls.state = OLDER
    for at in (0.0, seconds):
        now[0] = 1000.0 + at
        with pytest.raises(LinkError, match="do not have the newest values yet"):
            s.begin()
    s.calls.state = KNOWN
    s.begin()
    assert (s.entered, s.calls.starts) == ([KNOWN], [91])


def test_a_server_that_answers_with_an_old_value_during_a_connection_ends_nothing(now: Clock) -> None:
    s = Scene()
    s.begin()
    s.calls.state = OLDER
    with pytest.raises(LinkError):
        s.check()
    now[0] += 10
    s.calls.state = BucketState("bucket", 90)
    s.check()
    now[0] += 10
    s.calls.state = OLDER
    with pytest.raises(LinkError):
        s.check()
    assert not [each for each in s.entered if each.cut]
    assert s.calls.starts == [91]


@pytest.mark.parametrize("connected", [False, True])
def test_what_is_behind_for_15_seconds_was_lost(now: Clock, connected: bool) -> None:
    s = Scene()
    if connected:
        s.begin()
    look = s.check if connected else s.begin
    # Other groups write on.
    for at, newest in ((0, 70), (5, 71), (10, 72)):
        now[0], s.calls.state = 1000.0 + at, BucketState("bucket", newest)
        with pytest.raises(LinkError):
            look()
    now[0], s.calls.state = 1015.0, BucketState("bucket", 73)
    look()
    assert s.entered[-1] == BucketState("bucket", 73, cut=True)
    assert s.calls.starts[-1] == 1
    now[0] += 10
    s.check()
    assert [each.cut for each in s.entered].count(True) == 1


def test_another_bucket_is_followed_at_once(now: Clock) -> None:
    s = Scene()
    s.calls.state = BucketState("another", 3)
    s.begin()
    assert (s.entered, s.calls.starts) == ([BucketState("another", 3)], [1])


def test_what_is_read_again_without_harm_need_not_be_certain(now: Clock) -> None:
    s = Scene(lost_after=0.0)
    s.calls.state = OLDER
    s.begin()
    assert s.calls.starts == [1]


class EventStream:
    """The stream of events as `events_after` reads it; `newest` is its last sequence."""

    def __init__(self) -> None:
        self.newest = 90
        self.calls = JetStreamCalls(FleetStreams(FleetSettings(servers=("nats://127.0.0.1",), name="one")))
        self.calls.connected(cast(Any, self))

    async def stream_info(self, _stream: str) -> Any:
        return SimpleNamespace(state=SimpleNamespace(first_seq=1, last_seq=self.newest))

    async def get_msg(self, _stream: str, sequence: int) -> Any:
        return SimpleNamespace(seq=sequence, data=b"x", subject="s")

    def after(self, sequence: int) -> list[int]:
        return [each.sequence for each in asyncio.run(self.calls.events_after(sequence, 200))]


def test_events_are_not_printed_again_after_an_old_answer(now: Clock) -> None:
    stream = EventStream()
    assert stream.after(88) == [89, 90]
    stream.newest = 3
    assert stream.after(90) == []
    now[0] += 10
    stream.newest = 91
    assert stream.after(90) == [91]
    stream.newest = 3
    assert stream.after(91) == []
    now[0] += 15
    assert stream.after(91) == [1, 2, 3]


def test_a_reader_that_came_after_the_loss_hides_it_from_no_other(now: Clock) -> None:
    stream = EventStream()
    stream.newest = 3
    for now[0] in (1000.0, 1007.0):
        assert (stream.after(90), stream.after(2)) == ([], [3])
    now[0] = 1015.0
    assert stream.after(90) == [1, 2, 3]
    assert stream.after(3) == []
