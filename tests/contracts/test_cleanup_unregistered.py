"""Unregistered items with a real tracker: removed one by one, never because of an outage or all at once."""

import time
from collections.abc import Generator
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.conditions import parse
from pyrotorque.errors import UserError
from pyrotorque.housekeeping.plan import Plan
from pyrotorque.items import read_items
from tests.answering import Tracker
from tests.cleaning import CleanupScene
from tests.waiting import eventually


@pytest.fixture
def tracker() -> Generator[Tracker]:
    found = Tracker()
    yield found
    found.close()


@pytest.fixture
def other_site() -> Generator[Tracker]:
    """A tracker with another host."""
    found = Tracker("127.0.0.2")
    yield found
    found.close()


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def add(scene: CleanupScene, tracker: Tracker, name: str) -> str:
    metafile = make_metafile(name, content=scene.write(name), announce=tracker.url)
    found = info_hash(metafile)
    scene.client.call("load.raw_start", "", metafile)
    eventually(lambda: scene.seeds(found), 20)
    return found


def announce(scene: CleanupScene, *hashes: str) -> None:
    """Announce all items, and wait for the answers."""

    def counters() -> list[object]:
        calls = [
            ("t.multicall", (each, "", "t.success_counter=", "t.failed_counter=", "t.is_busy=")) for each in hashes
        ]
        return list(scene.client.multicall(calls))

    eventually(lambda: all(row[0][2] == 0 and row[0][:2] != [0, 0] for row in counters()), 20)  # type: ignore[index]
    before = counters()
    for each in hashes:
        scene.client.call("d.tracker_announce", each)
    eventually(lambda: all(one[0][:2] != two[0][:2] for one, two in zip(before, counters(), strict=True)), 20)  # type: ignore[index]


SETTINGS = {"condition": "is_unregistered=yes", "data": "quarantine", "tracker_alive": True, "announce": "10s"}


def test_one_unregistered_item_goes_while_the_tracker_answers_for_others(scene: CleanupScene, tracker: Tracker) -> None:
    one, other = add(scene, tracker, "One"), add(scene, tracker, "Other")
    announce(scene, one, other)
    scene.job(**SETTINGS).run()
    assert scene.has(one)
    tracker.reasons[one] = "Unregistered torrent"
    announce(scene, one)
    eventually(lambda: "Unregistered" in str(scene.client.call("d.message", one)), 20)
    scene.job(**SETTINGS).run()
    assert scene.has(one), "the other one has not had a success since"
    second = int(time.time())
    eventually(lambda: int(time.time()) > second, why="rTorrent's times are whole seconds")
    announce(scene, other)
    scene.job(**SETTINGS).run()
    assert not scene.has(one)
    assert scene.seeds(other)


def test_the_answer_of_another_tracker_does_not_prove_that_this_one_is_alive(
    scene: CleanupScene, tracker: Tracker, other_site: Tracker
) -> None:
    """The other item has both: this one fails for it, and only the second one has answered."""
    one = add(scene, tracker, "One")
    metafile = make_metafile("Both", content=scene.write("Both"), announce=tracker.url)
    both = info_hash(metafile)
    tracker.reasons = dict.fromkeys((one, both), "Unregistered torrent")
    announce(scene, one)
    scene.job(**SETTINGS).run()

    def successes() -> list[int]:
        rows = scene.client.call("t.multicall", both, "", "t.success_counter=")
        assert isinstance(rows, list)
        return [int(str(row[0])) for row in rows if isinstance(row, list)]

    before = int(time.time())
    eventually(lambda: int(time.time()) > before, why="rTorrent's times are whole seconds")
    scene.client.call("load.raw_start", "", metafile, f'd.tracker.insert=1,"{other_site.url}"')
    eventually(lambda: scene.seeds(both) and successes()[1] > 0, 30, why="the second tracker has it")
    assert successes()[0] == 0
    kept = scene.job(**SETTINGS).preview().plan.kept
    assert kept[one].text == "no other item of 127.0.0.1 had a success since"
    scene.job(**SETTINGS).run()
    assert scene.has(one)


def test_an_outage_and_everything_at_once_remove_nothing(scene: CleanupScene, tracker: Tracker) -> None:
    found = [add(scene, tracker, f"Item-{number}") for number in range(6)]
    announce(scene, *found)
    tracker.status = 503
    announce(scene, *found)
    settings = {**SETTINGS, "max_percent": 5}
    scene.job(**settings).run()
    assert scene.job(**settings).preview().names == {}, "a page of an error is no verdict"
    tracker.status = 200
    tracker.reasons = dict.fromkeys(found, "Unregistered torrent")
    announce(scene, *found)
    eventually(lambda: all("Unreg" in str(scene.client.call("d.message", each)) for each in found), 20)
    plan = scene.job(**settings).preview().plan
    assert {each.reason for each in plan.kept.values()} == {"tracker"}
    with pytest.raises(UserError, match="6 items of 6 would be removed"):
        scene.job(**{**settings, "tracker_alive": False}).run()
    assert all(map(scene.has, found))


def test_stopped_is_announced_before_the_first_file_moves(
    scene: CleanupScene, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = add(scene, tracker, "One")
    announce(scene, one)
    job = scene.job(condition="name=One", data="quarantine", announce="20s")
    remover = type(job.remover)
    move = vars(remover)["_move"]
    before: list[list[str]] = []

    def moving(self: object, removal: object) -> None:
        before.append(list(tracker.stopped))
        move(self, removal)

    monkeypatch.setattr(remover, "_move", moving)
    job.run()
    assert before == [[one]]
    assert not scene.has(one)


@pytest.mark.parametrize("text", ["seeds<5", "seeds>=5", "[ NOT seeds<5 ]", "seeds!=5", "seeds<5 OR seeds>=5"])
def test_seeds_that_no_tracker_has_given_choose_nothing(scene: CleanupScene, text: str) -> None:
    """In a list, in a clean-up and in the queue alike."""
    one = scene.item("One", start=False)
    job = scene.job(condition=text)
    assert job.items(text) == []
    assert job.preview().plan == Plan()
    assert read_items(scene.client, "main", parse(text), ("seeds",), 0.0) == []
    assert [item["seeds"] for item in job.items("is_open=no", ("seeds",))] == [None]
    job.run()
    assert scene.has(one)


def test_seeds_are_those_that_the_tracker_counts(scene: CleanupScene, tracker: Tracker) -> None:
    one = add(scene, tracker, "One")
    announce(scene, one)
    (item,) = scene.job().items("name=One", ["seeds", "leeches"])
    assert item["seeds"] == 7
    kept = scene.job(condition="name=One", min_seeds=8).preview().plan.kept
    assert kept[one].text == "seeds 7 of 8"
    assert scene.job(condition="name=One", min_seeds=7).preview().plan.kept == {}
