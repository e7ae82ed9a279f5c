"""What the services store, queue and send is limited in bytes, and what is dropped is reported."""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pyrotorque.actions import metafiles
from pyrotorque.actions.delivery import Actor
from pyrotorque.events import Durable, JobFailed, JobReported, TorrentErased, decode
from pyrotorque.layout import Layout
from pyrotorque.limits import (
    EVENT_BYTES,
    EVENT_RUN_BYTES,
    IDENTITY_CHARACTERS,
    LABEL_CHARACTERS,
    REPLAY_BYTES,
    REPORT_BYTES,
    REQUEST_BYTES,
    SERIES_MAX,
    UNIQUE_EVENT_BYTES,
    in_parts,
    shortened,
)
from pyrotorque.outbox import Cursor, Outbox
from pyrotorque.requests import Answer, ForgetMetafiles, Request, RetryMetafiles
from pyrotorque.store import Store, open_store
from pyrotorque.text import encode_json
from pyrotorque.totals import Totals
from pyrotorque_scheduler.workers import event_runs
from pyrotorque_scheduler.workers.event_runs import EventRuns
from pyrotorque_scheduler.workers.job_log import JobLog
from tests.worker_bench import bench, custom, write_job

LARGE = "x" * 200_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "watcher.sqlite3", [])
    yield found
    found.close()


def add(store: Store, outbox: Outbox, *events: Durable) -> None:
    for event in events:
        with store.transaction():
            outbox.add(event)


def failed(text: str) -> JobFailed:
    return JobFailed(at=1.0, job="x", reason=text, seconds=0.0)


def stored_bytes(store: Store) -> int:
    (found,) = store.db.execute("SELECT total(length(body)) FROM bus_events").fetchone()
    return int(found)


def reports_in(outbox: Outbox) -> list[JobReported]:
    bodies: list[bytes] = []
    while more := outbox.since(len(bodies)):
        bodies += more
    return [event for body in bodies if isinstance(event := decode(body).event, JobReported)]


@pytest.mark.parametrize(
    "event",
    [
        failed("y" * 10**6),
        JobReported(at=1.0, job="x", text="t", data={"one": "z" * 10**6}),
        JobReported(at=1.0, job="x", text="t", data={str(number): "v" * 50 for number in range(20_000)}),
        JobReported(at=1.0, job="x", text="\x01\udc80" * 10**5, data={"k" * 300_000: 1}),
        TorrentErased(at=1.0, info_hash="A" * 40, name="n" * 10**6),
    ],
    ids=["a text", "a value", "many values", "escaped characters and a long key", "a name"],
)
@pytest.mark.parametrize("limit", [EVENT_BYTES, EVENT_BYTES // 2])
def test_an_event_is_shortened_to_its_limit_and_keeps_its_identity(event: Durable, limit: int) -> None:
    found = shortened(event, limit)
    assert len(encode_json(found)) <= limit
    assert getattr(found, "info_hash", "") == getattr(event, "info_hash", "")
    assert type(msgspec.json.decode(encode_json(found), type=Durable)) is type(event)


def test_an_event_within_the_limit_is_unchanged() -> None:
    event = failed(LARGE)
    assert shortened(event) is event


def test_an_outbox_is_limited_in_bytes_and_a_subscriber_behind_gets_a_gap(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(store, "watcher", keep_bytes=1_000_000, boot="b1")
    add(store, outbox, *(failed(LARGE) for _ in range(30)))
    assert stored_bytes(store) <= 1_000_000
    assert outbox.refresh() == 30
    assert "events were trimmed" in outbox.after(Cursor(outbox.epoch, 2)).gap
    assert outbox.after(Cursor(outbox.epoch, 29)).reached == Cursor(outbox.epoch, 30)
    assert "exceeded 1000000 bytes" in caplog.text


def test_an_outbox_of_an_earlier_version_is_trimmed_when_it_is_opened(store: Store) -> None:
    add(store, Outbox(store, "watcher", boot="b1"), *(failed(LARGE) for _ in range(10)))
    found = Outbox(store, "watcher", keep_bytes=500_000, boot="b1")
    assert stored_bytes(store) <= 500_000
    assert found.head == 10


def test_the_newest_event_stays_and_numbers_continue_after_a_trim(store: Store) -> None:
    outbox = Outbox(store, "watcher", keep_bytes=1_000, boot="b1")
    add(store, outbox, failed(LARGE), failed(LARGE))
    assert outbox.refresh() == 2
    add(store, outbox, failed("a"))
    assert Outbox(store, "watcher", keep_bytes=1_000, boot="b1").head == 3


def test_events_that_were_rolled_back_do_not_trim_others(store: Store) -> None:
    outbox = Outbox(store, "watcher", keep_bytes=1_000_000, boot="b1")
    add(store, outbox, failed("first"))
    for _ in range(20):
        with contextlib.suppress(ZeroDivisionError), store.transaction():
            outbox.add(failed(LARGE))
            raise ZeroDivisionError
    add(store, outbox, failed("last"))
    assert len(outbox.since(0)) == 2


def test_a_replay_is_limited_in_bytes_and_complete(store: Store) -> None:
    outbox = Outbox(store, "watcher", boot="b1")
    add(store, outbox, *(failed(LARGE) for _ in range(15)))
    seq, answers = 0, 0
    while bodies := outbox.since(seq):
        assert sum(map(len, bodies)) <= REPLAY_BYTES
        seq, answers = seq + len(bodies), answers + 1
    assert (seq, answers) == (15, 2)


def test_reports_of_one_run_are_limited_and_the_rest_is_reported(tmp_path: Path) -> None:
    text = "\ndef run(self, event=None):\n    for n in range(100):\n        self.publish('r', big='x' * 200_000, n=n)\n"
    write_job(tmp_path, "loud", text)
    with bench(tmp_path, custom("loud")) as made:
        assert made.run("loud").ok
        reports = reports_in(made.outbox)
        kept, lost = reports[:-1], reports[-1]
        assert sum(len(encode_json(report)) for report in kept) <= REPORT_BYTES
        assert lost.data == {"dropped": 100 - len(kept)}
        assert made.run("loud").ok


def test_what_a_job_publishes_once_is_limited_in_bytes_and_none_is_dropped(tmp_path: Path) -> None:
    """Neither its events, of which 1,000 are accepted from a run, nor the names that are stored for a month."""
    text = """
def run(self, event=None):
    from pyrotorque.events import TorrentMoved
    path = '/' * 200_000
    for n in range(60):
        moved = TorrentMoved(at=1.0, info_hash='A' * 40, name='n', job='x', old_path=path, new_path=path)
        self._context.publish_once(f'{n} ' + 'i' * 100_000, moved)
"""
    write_job(tmp_path, "mover", text)
    with bench(tmp_path, custom("mover")) as made:
        assert made.run("mover").ok
        (count, size) = made.store.db.execute("SELECT count(*), max(length(body)) FROM bus_events").fetchone()
        assert count == 60
        assert size <= UNIQUE_EVENT_BYTES + 500
        (names,) = made.store.db.execute("SELECT * FROM published_moves").fetchall()[:1]
        assert all(len(str(each)) < IDENTITY_CHARACTERS + 100 for each in names)


def test_a_report_larger_than_a_message_is_shortened_instead_of_dropped(tmp_path: Path) -> None:
    text = "\ndef run(self, event=None):\n    self.publish('t' * 3_000_000, big='x' * 3_000_000, n=5)\n"
    write_job(tmp_path, "vast", text)
    with bench(tmp_path, custom("vast")) as made:
        assert made.run("vast").ok
        (report,) = reports_in(made.outbox)
        assert report.data["n"] == 5
        assert len(encode_json(report)) <= EVENT_BYTES


def test_queued_events_of_a_paused_job_are_limited_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_runs, "EVENT_RUN_BYTES", 1_000_000)
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        runs = EventRuns(made.store, tmp_path / "marks")
        made.job_table.job_states.pause("note", 1.0)
        for _ in range(150):
            made.publish(TorrentErased(at=time.time(), info_hash="A" * 40, name="n" * 20_000))
        made.workers.step()
        (size,) = made.store.db.execute("SELECT total(length(body)) FROM event_runs").fetchone()
        assert 0 < size <= 1_000_000
        assert runs.is_pending("note")
    assert EVENT_RUN_BYTES > 1_000_000


def test_the_event_that_a_job_runs_for_is_not_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_runs, "EVENT_RUN_BYTES", 1_000)
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        runs = EventRuns(made.store, tmp_path / "marks")
        made.publish(*(TorrentErased(at=time.time(), info_hash="A" * 40, name="n" * 600) for _ in range(5)))
        taken = runs.take("note")
        assert taken is not None
        assert runs.trim("note") == 3
        assert [number for (number,) in made.store.db.execute("SELECT number FROM event_runs ORDER BY number")] == [
            taken.number,
            taken.number + 4,
        ]


def test_long_lines_of_a_job_are_limited_in_bytes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = JobLog("loud")
    for _ in range(200):
        log.write(logging.INFO, "l" * 4_000, 1.0)
    assert len(caplog.text) < 400_000
    log.end_run()
    assert "dropped" in caplog.text


def test_series_of_a_total_are_limited_and_none_is_lost() -> None:
    totals = Totals()
    counter = totals.counter("x_total", "Text.", ("label",))
    for number in range(SERIES_MAX + 50):
        counter.inc(f"{number} {'l' * 1000}")
    (family,) = totals.families()
    assert len(family.samples) == SERIES_MAX + 1
    assert counter.get("other") == 50
    assert all(len(label) <= LABEL_CHARACTERS for sample in family.samples for label in sample.labels)


def test_a_long_list_is_sent_in_parts_in_its_order() -> None:
    names = [f"/watch/{number}{'x' * (number % 300)}.torrent" for number in range(2000)]
    parts = list(in_parts(names))
    assert [name for part in parts for name in part] == names
    assert len(parts) > 1
    assert all(len(encode_json(part)) <= REQUEST_BYTES // 2 + 2 for part in parts)
    assert list(in_parts(["y" * REQUEST_BYTES, "z"])) == [("y" * REQUEST_BYTES,), ("z",)]
    assert list(in_parts([])) == []


def test_many_paths_are_one_action_with_one_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Request] = []

    def answer(_actor: Actor, _service: str, request: Request) -> Answer:
        assert isinstance(request, RetryMetafiles | ForgetMetafiles)
        sent.append(request)
        return Answer(ok=True, text=f"{len(request.paths)} there", data={"count": len(request.paths)})

    monkeypatch.setattr(metafiles, "ask_service", answer)
    paths = [f"/watch/{number:0200}.torrent" for number in range(300)]
    for act in (metafiles.retry_metafiles, metafiles.forget_metafiles):
        sent.clear()
        assert act(Actor(Layout.below(tmp_path), "me"), paths).data == {"count": 300}
        assert len(sent) > 1
        assert act(Actor(Layout.below(tmp_path), "me"), paths[:1]).text == "1 there"
