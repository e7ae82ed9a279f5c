"""What needs the owner is an event: each warning and error of the owner's log, with its end, and its message."""

import logging
import time
from pathlib import Path

import pytest

from pyrotorque import logs
from pyrotorque.bus.publisher import Publisher
from pyrotorque.events import (
    DiskLow,
    DiskRecovered,
    Event,
    ProblemEnded,
    ProblemReported,
    QueueResumed,
    QueueStalled,
    decode,
)
from pyrotorque.jobs.notify_message import PROBLEM_ENDS, PROBLEM_TITLES, message
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.outbox import Outbox
from pyrotorque.owner_events import LEVELS, PROBLEMS, OwnerEvent, problem_events
from pyrotorque.settings import load
from pyrotorque.settings.handlers import NEEDS_OWNER
from pyrotorque.settings.schema import CustomSettings
from pyrotorque.store import open_store

# Warnings and errors with an event of their own.
OWN_EVENTS: dict[OwnerEvent, str] = {
    "rtorrent away": "RTorrentLost",
    "disk low": "DiskLow",
    "queue stalled": "QueueStalled",
    "metafile failed": "LoadFailed",
    "item start failed": "StartFailed",
    "job failed": "JobFailed",
    "service ended": "ServiceStateChanged",
    "service gave up": "ServiceStateChanged",
}
# A service that ends publishes nothing (the guardian publishes its state), without the fleet everything local works,
# and files that were edited wait for `pyrotorque --restart` as documented.
NOT_SENT: set[OwnerEvent] = {"group failed", "configuration differs", "fleet away"}


def test_every_warning_and_error_is_an_event_or_has_a_reason_not_to_be() -> None:
    needing = {event for event, level in LEVELS.items() if level > logging.INFO}
    assert set(PROBLEMS) | set(OWN_EVENTS) | NOT_SENT == needing
    assert set(PROBLEMS) & set(OWN_EVENTS) == set()
    assert set(OWN_EVENTS.values()) <= set(NEEDS_OWNER)


def test_every_end_is_an_info_line() -> None:
    assert {LEVELS[end] for end in PROBLEMS.values() if end} == {logging.INFO}


def test_every_problem_has_a_title_and_every_end_too() -> None:
    assert set(PROBLEM_TITLES) == set(PROBLEMS)
    assert set(PROBLEM_ENDS) == {problem for problem, end in PROBLEMS.items() if end}


@pytest.mark.parametrize("problem", [problem for problem, end in PROBLEMS.items() if end])
def test_the_end_of_a_problem_ends_its_cause(problem: OwnerEvent) -> None:
    end = PROBLEMS[problem]
    assert end
    (begun,) = problem_events(problem, ["it is wrong"], "watcher", "/watch", 1.0)
    (ended,) = problem_events(end, ["it is right"], "watcher", "/watch", 2.0)
    assert isinstance(begun, ProblemReported)
    assert isinstance(ended, ProblemEnded)
    assert message(begun).cause == message(ended).ends != ""


def test_problems_of_two_subjects_are_two_causes() -> None:
    causes = {
        message(event).cause
        for subject in ("/a", "/b")
        for event in problem_events("root missing", ["x"], "watcher", subject, 1.0)
    }
    assert len(causes) == 2


def test_what_happened_is_no_problem() -> None:
    for event in set(LEVELS) - set(PROBLEMS) - set(PROBLEMS.values()):
        assert list(problem_events(event, ["x"], "watcher", "", 1.0)) == []


@pytest.mark.parametrize(
    ("event", "title", "text"),
    [
        (
            DiskLow(at=1.0, mountpoint="/data", free=12 << 30, size=2 << 40),
            "The disk at /data is nearly full",
            "12.0 GiB of 2.0 TiB are free (0.6 %)",
        ),
        (
            DiskRecovered(at=1.0, mountpoint="/data", free=1 << 40, size=2 << 40, seconds=7200.0),
            "The disk at /data has room again",
            "after 2 h: 1.0 TiB of 2.0 TiB are free (50.0 %)",
        ),
        (
            QueueStalled(at=1.0, job="queue", slots=9, seconds=1800.0),
            "The queue queue stands still",
            "all 9 slots stand still for 30 min while others wait",
        ),
        (QueueResumed(at=1.0, job="queue", seconds=3600.0), "The queue queue moves again", "after 1 h"),
    ],
)
def test_a_message_says_which_and_how_much(event: Event, title: str, text: str) -> None:
    found = message(event)
    assert (found.title, found.text) == (title, text)
    hidden = message(event, private=True)
    assert "/data" not in hidden.title + hidden.text + hidden.subject


def test_a_logged_problem_is_published_in_the_next_turn(tmp_path: Path) -> None:
    layout = Layout.below(tmp_path)
    layout.prepare()
    logs.configure("INFO", "watcher", layout)
    logs.take_problems()
    outbox = Outbox(open_store(tmp_path / "x.sqlite3", []), "watcher")
    publisher = Publisher.__new__(Publisher)
    publisher._outbox, publisher.store_event = outbox, outbox.commit  # pyright: ignore[reportPrivateUsage]
    logs.owner_event("root missing", "w: /watch is not there", subject="/watch")
    logs.owner_event("metafile loaded", "w: loaded x")
    logs.owner_event("root back", "w: /watch is there again", subject="/watch")
    publisher._store_problems()  # pyright: ignore[reportPrivateUsage]
    events = [decode(body).event for body in outbox.since(0)]
    assert [(type(event).__name__, getattr(event, "subject", "")) for event in events] == [
        ("ProblemReported", "/watch"),
        ("ProblemEnded", "/watch"),
    ]
    assert all(time.time() - event.at < 60 for event in events)
    assert "WARN watcher: w: /watch is not there" in (layout.log_dir / "torque.log").read_text()
    publisher._store_problems()  # pyright: ignore[reportPrivateUsage]
    assert len(outbox.since(0)) == 2


def test_problems_in_on_are_added_to_other_events(tmp_path: Path) -> None:
    text = "[TORQUE]\njob.n.handler = pyrotorque.jobs.notify:Notify\njob.n.url = http://127.0.0.1/\n"
    (tmp_path / "torque.ini").write_text(text + "job.n.on = problems, TorrentCompleted\n")
    (job,) = (job for job in load(tmp_path, Options()).settings.active_jobs(CustomSettings) if job.name == "n")
    assert job.on == (*NEEDS_OWNER, "TorrentCompleted")
    assert job.params["only_problems"] is True
