"""Edge cases of the bus: garbage, newer versions, stopped peers, other users; no publisher is ever blocked."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import zmq

from pyrotorque.bus import Bus, ask, follow, wire
from pyrotorque.bus.client import ServiceEnded
from pyrotorque.bus.heartbeats import HeartbeatSubscriber
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.events import Delivery, Envelope, Fact, JobFailed, JobFinished, TorrentErased, encode
from pyrotorque.layout import Layout
from pyrotorque.limits import FRAME_BYTES, REQUEST_BYTES
from pyrotorque.outbox import Cursor, CursorTable, Outbox
from pyrotorque.requests import Answer, DescribeService, RunJob
from pyrotorque.store import Store, open_store
from pyrotorque.totals import Totals
from tests.waiting import bound, eventually


@pytest.fixture
def store(layout: Layout) -> Iterator[Store]:
    found = open_store(layout.database("watcher"), [])
    yield found
    found.close()


@pytest.fixture
def bus(layout: Layout, store: Store) -> Iterator[Bus]:
    with Bus(layout, "watcher", Outbox(store, "watcher", boot="b1")) as found:
        yield found


@pytest.fixture
def dealer(layout: Layout, bus: Bus) -> Iterator[wire.Socket]:
    with zmq.Context[zmq.Socket[bytes]]() as context, wire.socket(context, zmq.DEALER) as found:
        found.connect(layout.requests_endpoint("watcher"))
        yield found


def erased(name: str) -> TorrentErased:
    return TorrentErased(at=time.time(), info_hash="AA", name=name)


def test_a_wait_ends_at_once_for_a_wake_from_anywhere(bus: Bus) -> None:
    timer = threading.Timer(0.05, bus.wake)
    timer.start()
    began = time.monotonic()
    assert not bus.wait(bound(5))
    assert time.monotonic() - began < bound(1.0)
    timer.join()


def test_a_wait_ends_at_once_for_a_signal_whose_handler_wakes(bus: Bus) -> None:
    def on_signal(_number: int, _frame: object) -> None:
        bus.wake()

    before = signal.signal(signal.SIGUSR1, on_signal)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        began = time.monotonic()
        bus.wait(bound(5))
        assert time.monotonic() - began < bound(1.0)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_wait_ends_for_a_readable_fd_and_names_it(bus: Bus) -> None:
    one, two = os.pipe(), os.pipe()
    os.write(two[1], b"x")
    assert bus.wait(bound(5), one[0], two[0]).fds == {two[0]}
    assert bus.wait(0.0, one[0]).fds == set()
    for fd in (*one, *two):
        os.close(fd)


def test_a_wait_ends_when_its_time_is_up(bus: Bus) -> None:
    began = time.monotonic()
    assert not bus.wait(0.05)
    assert 0.04 < time.monotonic() - began < bound(0.5)


def name_of(delivery: Delivery | None) -> str:
    return delivery.event.name if delivery is not None and isinstance(delivery.event, TorrentErased) else ""


GARBAGE = [
    [b""],
    [b"ask", b"1", b"not json"],
    [b"replay", b"1", b'{"epoch": 7}'],
    [b"steal", b"1", b"{}"],
    [b"replay", b"x" * 50_000, b"\xff\xfe"],
    [b"a"] * 50,
    [b"ask", b"1", b'{"type":"DescribeService","z":' + b"[" * 50_000],
    [b"replay", b"1", b"[" * 50_000],
    [b""] * 3000,
    [b"ask", b"1", b'{"type":"RunJob","job":"\xff"}'],
    [b"ask", b"1", b'{"type":"ListMetafiles","after":99999999999999999999}'],
    [b"ask", b"1", b'{"type":"RetryMetafiles","paths":["/watch/\\u0000"]}'],
]


def test_garbage_is_counted_and_logged_once_and_changes_nothing(
    bus: Bus, dealer: wire.Socket, caplog: pytest.LogCaptureFixture
) -> None:
    totals = Totals()
    bus.stats.count_into(totals)
    for _ in range(3):
        for frames in GARBAGE:
            dealer.send_multipart(frames)
    eventually(lambda: bus.wait(0.01) or bus.stats.dropped >= 3 * len(GARBAGE))
    logged = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert 1 <= len(logged) <= 4
    dropped = next(family for family in totals.families() if "dropped" in family.name)
    assert sum(sample.value for sample in dropped.samples) == 3 * len(GARBAGE)


DAMAGED = [b"[" * 200_000, b'{"ok":true,"text":"\xff","z":1}', b'{"ok":true,"data":' + b"[" * 200_000, b""]


@pytest.mark.parametrize("body", DAMAGED)
def test_a_damaged_answer_is_an_unreachable_service(layout: Layout, body: bytes) -> None:
    def answer(router: wire.Socket) -> None:
        router.send_multipart([*router.recv_multipart()[:3], body])

    with zmq.Context[zmq.Socket[bytes]]() as context, wire.socket(context, zmq.ROUTER) as router:
        router.bind(layout.requests_endpoint("watcher"))
        service = threading.Thread(target=answer, args=(router,))
        service.start()
        with pytest.raises(ServiceUnreachable, match="cannot decode the answer"):
            ask(layout, "watcher", DescribeService())
        service.join()


def test_damaged_events_replays_and_heartbeats_are_dropped_by_their_readers(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    other = open_store(layout.database("exporter"), [])
    beats = HeartbeatSubscriber(layout, "watcher")
    with (
        zmq.Context[zmq.Socket[bytes]]() as context,
        wire.socket(context, zmq.PUB) as events,
        wire.socket(context, zmq.PUB) as heart,
        wire.socket(context, zmq.ROUTER) as replays,
        Bus(
            layout, "exporter", Outbox(other, "exporter"), subscribe={"watcher": [TorrentErased]},
            cursors=CursorTable(other),
        ) as reader,
    ):  # fmt: skip
        events.bind(layout.events_endpoint("watcher"))
        heart.bind(layout.heartbeat_endpoint("watcher"))
        replays.bind(layout.requests_endpoint("watcher"))

        def all_dropped() -> bool:
            for body in DAMAGED:
                events.send_multipart([b"TorrentErased", body])
                heart.send_multipart([b"Heartbeat", body])
            if replays.poll(10):
                address, kind, number, _ = replays.recv_multipart()
                replays.send_multipart([address, kind, number, DAMAGED[0]])
            assert not reader.wait(0.01)
            assert beats.receive() == []
            return "(bad body)" in caplog.text and "(bad replay)" in caplog.text

        eventually(all_dropped)
    beats.close()
    other.close()


def test_a_frame_that_is_far_too_large_is_not_accepted(bus: Bus, dealer: wire.Socket) -> None:
    dealer.send_multipart([b"ask", b"1", b" " * (2 << 20)])
    assert not bus.wait(0.3).requests
    assert bus.stats.dropped == 0


def test_a_message_that_is_too_large_is_dropped_and_the_next_one_is_read(layout: Layout, bus: Bus) -> None:
    with (
        zmq.Context[zmq.Socket[bytes]]() as context,
        wire.socket(context, zmq.PAIR) as reading,
        wire.socket(context, zmq.PAIR) as sending,
    ):
        reading.bind("inproc://limits")
        sending.connect("inproc://limits")
        for frames in ([b"x" * FRAME_BYTES] * 5, [b""] * 1025, [b"x"] * 1024):
            sending.send_multipart(frames)
        assert [len(frames) for frames in wire.drain(reading)] == [0, 0, 1024]


def test_requests_that_a_busy_service_does_not_read_wait_in_their_client(layout: Layout, bus: Bus) -> None:
    with zmq.Context[zmq.Socket[bytes]]() as context, wire.socket(context, zmq.DEALER, 1) as client:
        client.connect(layout.requests_endpoint("watcher"))
        sent = 0
        while sent < 1000 and client.poll(300, zmq.POLLOUT):
            client.send_multipart([b"ask", b"1", b" " * REQUEST_BYTES], zmq.NOBLOCK)
            sent += 1
    assert 16 <= sent < 60


def test_a_request_that_is_too_large_is_not_sent(layout: Layout, bus: Bus) -> None:
    with pytest.raises(ServiceUnreachable, match="the request is too large"):
        ask(layout, "watcher", RunJob(job="x" * REQUEST_BYTES))


def test_a_request_of_a_newer_version_is_answered_with_a_refusal(bus: Bus, dealer: wire.Socket) -> None:
    dealer.send_multipart([b"ask", b"9", b'{"type": "PaintTheShed"}'])
    eventually(lambda: bus.wait(0.01) or bus.stats.dropped)
    kind, number, body = dealer.recv_multipart()
    assert (kind, number) == (b"ask", b"9")
    assert "does not support" in msgspec.json.decode(body, type=Answer).text


def test_an_answer_too_large_is_cut_to_its_text(bus: Bus, layout: Layout) -> None:
    answers: list[Answer] = []
    client = threading.Thread(target=lambda: answers.append(ask(layout, "watcher", DescribeService(), bound(5))))
    client.start()
    (pending,) = bus.wait(bound(5)).requests
    pending.answer(Answer(ok=True, text="all of it", data="x" * (2 << 20)))
    client.join(bound(5))
    assert answers[0].text == "all of it (the details are too large to send)"


def test_a_service_that_does_not_answer_times_out(bus: Bus, layout: Layout) -> None:
    with pytest.raises(ServiceUnreachable, match=r"did not answer within 0\.2 s"):
        ask(layout, "watcher", DescribeService(), timeout=0.2)


def test_a_service_that_ends_while_it_has_a_request_is_not_waited_for(layout: Layout, bus: Bus) -> None:
    with ThreadPoolExecutor(1) as pool:
        client = pool.submit(ask, layout, "watcher", RunJob(job="long"), bound(20))
        eventually(lambda: bus.wait(0.01).requests)
        bus.close()
        try:
            with pytest.raises(ServiceEnded, match="watcher ended before it answered, so"):
                client.result(bound(10))
        finally:
            bus.open()


def test_an_answer_that_was_sent_before_the_end_arrives(layout: Layout, bus: Bus) -> None:
    with ThreadPoolExecutor(1) as pool:
        client = pool.submit(ask, layout, "watcher", RunJob(job="long"), bound(20))
        (pending,) = eventually(lambda: bus.wait(0.01).requests)
        pending.answer(Answer(ok=True, text="done"))
        assert client.result(bound(10)).text == "done"


def test_an_event_of_a_newer_version_is_skipped_and_the_rest_is_delivered(
    layout: Layout, store: Store, bus: Bus
) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    with store.transaction() as db:
        outbox.add(erased("before"))
        newer = encode(erased("x"), Envelope(source="watcher", epoch=outbox.epoch, seq=2)).replace(
            b"TorrentErased", b"ShedPainted"
        )
        db.execute("INSERT INTO bus_events VALUES (2, 0, ?)", (newer,))
        outbox.add(erased("after"))
    other = open_store(layout.database("exporter"), [])
    subscribe = {"watcher": [TorrentErased]}
    with Bus(
        layout, "exporter", Outbox(other, "exporter"), subscribe=subscribe, cursors=CursorTable(other)
    ) as subscriber:
        names: list[str] = []
        begun = time.monotonic()
        while len(names) < 2 and time.monotonic() - begun < bound(20):
            bus.wait(0.01)
            for delivery in subscriber.wait(0.01).deliveries:
                assert isinstance(delivery.event, TorrentErased)
                names.append(delivery.event.name)
                with subscriber.applying(delivery):
                    pass
        assert names == ["before", "after"]
        assert CursorTable(other).get("watcher") == Cursor(outbox.epoch, 3)
    other.close()


def test_events_without_a_subscription_advance_the_cursor(layout: Layout, store: Store, bus: Bus) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    with store.transaction():
        for _ in range(700):
            outbox.add(JobFailed(at=0.0, job="x", reason="", seconds=0.0))
    other = open_store(layout.database("exporter"), [])
    cursors = CursorTable(other)
    with Bus(
        layout, "exporter", Outbox(other, "exporter"), subscribe={"watcher": [TorrentErased]}, cursors=cursors
    ) as subscriber:

        def cursor_moved() -> bool:
            bus.wait(0.01)
            assert not subscriber.wait(0.01)
            return cursors.get("watcher").seq >= 500

        eventually(cursor_moved)
    assert cursors.get("watcher").seq == 700
    other.close()


def test_a_subscriber_without_cursors_gets_only_new_events(layout: Layout, store: Store, bus: Bus) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    other = open_store(layout.database("scheduler"), [])
    wanted: dict[str, list[type[Fact]]] = {"watcher": [TorrentErased, JobFinished]}
    with Bus(layout, "scheduler", Outbox(other, "scheduler"), subscribe=wanted) as subscriber:

        def delivered() -> set[str]:
            with store.transaction():
                outbox.add(erased("now"))
            bus.publish()
            bus.publish_live(JobFinished(at=0.0, job="w", seconds=1.0))
            return {type(delivery.event).__name__ for delivery in subscriber.wait(0.05).deliveries}

        eventually(lambda: delivered() == {"TorrentErased", "JobFinished"})
    other.close()


def test_a_stopped_subscriber_blocks_no_publisher(layout: Layout, store: Store, bus: Bus) -> None:
    script = "import sys; from pathlib import Path; from pyrotorque.bus import follow\n"
    script += "from pyrotorque.layout import Layout\nprint('up', flush=True)\n"
    script += "for _ in follow(Layout.below(Path(sys.argv[1])), ['watcher']): pass"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(layout.config_dir)], env=environment, stdout=subprocess.PIPE
    ) as subscriber:
        assert subscriber.stdout is not None
        assert subscriber.stdout.readline() == b"up\n"
        subscriber.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(20_000):
            bus.publish_live(JobFinished(at=0.0, job="w" * 100, seconds=1.0))
        assert time.monotonic() - began < bound(3.0)
        subscriber.kill()


def test_follow_yields_stored_events_and_then_new_ones(layout: Layout, store: Store, bus: Bus) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    with store.transaction():
        outbox.add(erased("old"))
    live = follow(layout, ["watcher", "exporter"], poll=0.02)
    assert name_of(next(live)) == "old"
    with store.transaction():
        outbox.add(erased("new"))
    assert eventually(lambda: bus.wait(0.01) or name_of(next(live))) == "new"
    live.close()
    assert [name_of(found) for found in follow(layout, ["watcher"], forever=False)] == ["old", "new"]
    assert [name_of(found) for found in follow(layout, ["watcher"], newest=1, forever=False)] == ["new"]
    live = follow(layout, ["watcher"], newest=1, poll=0.02)
    assert name_of(next(live)) == "new"
    assert next(live) is None, "what was left out of the newest is not shown later"
    live.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
def test_another_user_of_this_machine_cannot_connect(layout: Layout, bus: Bus) -> None:
    layout.config_dir.chmod(0o755)
    script = "import socket, sys\nfor path in sys.argv[1:]:\n    try: socket.socket(socket.AF_UNIX).connect(path)\n"
    script += "    except PermissionError: print('refused')\n    else: print('let in')"
    endpoints = [layout.events_endpoint("watcher"), layout.requests_endpoint("watcher")]
    paths = [endpoint.removeprefix("ipc://") for endpoint in endpoints]
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script, *paths], user=65534, capture_output=True, text=True, cwd="/", check=False
    )
    assert done.stdout.split() == ["refused", "refused"]
