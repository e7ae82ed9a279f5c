"""`reannounce` with trackers that count: never before the interval that one of them requires."""

import logging
import time
from collections.abc import Generator

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.action import Action
from pyrotorque.rtorrent import RTorrent
from tests.answering import Tracker
from tests.waiting import eventually


@pytest.fixture
def trackers() -> Generator[list[Tracker]]:
    found = [Tracker(), Tracker()]
    yield found
    for each in found:
        each.close()


@pytest.fixture
def client(rtorrent: PrivateRTorrent) -> RTorrent:
    context.set_context(context.JobContext(url=rtorrent.url))
    return RTorrent(rtorrent.url)


def reannounce(dry_run: bool = False) -> None:
    settings = {"job_name": "again", "condition": "name=/./", "action": "reannounce", "dry_run": dry_run}
    Action(JobConfig(settings)).run()


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


def load(client: RTorrent, name: str, *urls: str, start: bool = True) -> str:
    """An item with each tracker in a group of its own."""
    metafile = make_metafile(name, announce=urls[0])
    more = [f'd.tracker.insert={number},"{url}"' for number, url in enumerate(urls[1:], 1)]
    client.call("load.raw_start" if start else "load.raw", "", metafile, *more)
    found = info_hash(metafile)
    eventually(lambda: any(row == (found,) for row in client.rows("main", ["d.hash="])), 20)
    return found


def answers(client: RTorrent, found: str, number: int = 0) -> tuple[int, int]:
    """How often a tracker has answered the item, and whether an answer is awaited."""
    rows = client.call("t.multicall", found, "", "t.success_counter=", "t.is_busy=")
    assert isinstance(rows, list)
    row = rows[number]
    assert isinstance(row, list)
    return int(str(row[0])), int(str(row[1]))


def test_it_keeps_to_the_interval_of_the_tracker(
    client: RTorrent, trackers: list[Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, _ = trackers
    tracker.min_interval = 1200
    one = load(client, "one", tracker.url)
    stopped = load(client, "stopped", tracker.url, start=False)
    eventually(lambda: answers(client, one) == (1, 0), 20)
    reannounce()
    later(monkeypatch, 1100)
    reannounce()
    assert answers(client, one) == (1, 0), "nothing was sent"
    later(monkeypatch, 200)
    reannounce(dry_run=True)
    assert answers(client, one) == (1, 0)
    reannounce()
    eventually(lambda: answers(client, one) == (2, 0), 20)
    assert tracker.announced == [one, one]
    assert stopped not in tracker.announced


def test_the_interval_of_each_enabled_tracker_counts(
    client: RTorrent, trackers: list[Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = trackers
    first.min_interval, second.min_interval = 300, 3600
    first.status = 503
    one = load(client, "one", first.url, second.url)
    eventually(lambda: answers(client, one, 1) == (1, 0), 20)
    later(monkeypatch, 2000)
    before = len(second.announced)
    reannounce()
    client.call("t.is_enabled.set", f"{one}:t1", 0)
    later(monkeypatch, 0)
    first.status = 200
    reannounce()
    eventually(lambda: answers(client, one)[0] > 0, 20, why="the other one is not used any more")
    assert len(second.announced) == before


def test_no_more_than_twenty_are_announced_in_one_run(
    client: RTorrent,
    trackers: list[Tracker],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = [load(client, f"item-{number}", trackers[0].url) for number in range(22)]
    eventually(lambda: all(answers(client, each) == (1, 0) for each in found), 30)
    later(monkeypatch, 3600)
    with caplog.at_level(logging.INFO):
        reannounce(dry_run=True)
    assert caplog.text.count("would reannounce: ") == 20
    reannounce()
    eventually(lambda: [answers(client, each) for each in found].count((2, 0)) == 20, 30)
    assert len(trackers[0].announced) == 42
