"""Limits per group over a real rTorrent: by tracker, by custom value; fair, explained, also after a restart."""

import re
from pathlib import Path
from typing import Any

import pytest

from demo.group import REPOSITORY
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque_scheduler.queue.explain import explain_item, explain_queue
from tests.scheduling import QueueScene, moment, queue_job, queue_scene

ONE, OTHER = "http://127.0.0.1:1/one.example.org/announce", "http://127.0.0.2:1/announce"
ALL: dict[str, Any] = {"start_at_once": 20, "downloading_max": 20}


def load(d: QueueScene, count: int, label: str, announce: str = ONE, priority: int = 2) -> list[str]:
    names = [f"{label or 'bare'} {number}" for number in range(count)]
    return [d.load(name, f"d.custom1.set={label}", announce=announce, priority=priority) for name in names]


def running(d: QueueScene, *items: str) -> int:
    return len(d.running() & set(items))


def test_each_label_has_its_limit_and_one_its_own(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    job = queue_job(group_by="custom_1", group_max=2, group_maxima=(("TV", 3), ("free", 0)), **ALL)
    with queue_scene(rtorrent, tmp_path, job) as d:
        loaded = {label: load(d, 4, label) for label in ("movies", "tv", "free", "")}
        result = d.check(at=0)
        counts = {label: running(d, *items) for label, items in loaded.items()}
        assert counts == {
            "movies": 2,
            "tv": 3,
            "free": 4,
            "": 2,
        }
        assert (result.started, result.hold.reason) == (11, "group_full")
        assert d.check(at=15).started == 0
        d.rtorrent.call("d.erase", loaded["tv"][0])
        assert d.check(at=30).started == 1
        assert running(d, *loaded["tv"]) == 3


@pytest.mark.parametrize(
    ("label", "setting"),
    [
        ("TV%20Shows", "tv shows"),
        ("%D0%A4%D0%B8%D0%BB%D1%8C%D0%BC%D1%8B", "Фильмы"),
        ("a:b=c.d", "a%3Ab%3Dc.d"),
        ("ümläut", "ÜMLÄUT"),
    ],
)
def test_a_limit_is_for_the_label_as_it_is_read(
    rtorrent: PrivateRTorrent, tmp_path: Path, label: str, setting: str
) -> None:
    with queue_scene(
        rtorrent, tmp_path, queue_job(group_by="custom_1", group_maxima=((setting, 1), ("absent", 3)), **ALL)
    ) as d:
        items, others = load(d, 3, label), load(d, 3, "other")
        d.check(at=0)
        assert (running(d, *items), running(d, *others)) == (1, 3)
        assert "absent: 0 of 3 slots taken, 0 startable" in explain_queue(d.queue, moment(0)).text


@pytest.mark.parametrize("setting", ["new,old", "Old, NEW"])
def test_a_set_of_tags_is_a_group_in_any_order(rtorrent: PrivateRTorrent, tmp_path: Path, setting: str) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(group_by="tagged", group_maxima=((setting, 1),), **ALL)) as d:
        items = [d.load(f"item {number}", 'd.custom.set=tags,"new old"') for number in range(3)]
        d.check(at=0)
        assert running(d, *items) == 1


def test_yes_and_no_are_groups_of_a_bool(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(group_by="is_private", group_maxima=(("yes", 1),), **ALL)) as d:
        private = [d.load(f"private {number}", private=True) for number in range(2)]
        public = [d.load(f"public {number}") for number in range(2)]
        d.check(at=0)
        assert (running(d, *private), running(d, *public)) == (1, 2)


def test_each_tracker_has_its_limit(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(group_by="alias", group_max=1, **ALL)) as d:
        one, other = load(d, 3, "one", ONE), load(d, 3, "other", OTHER)
        assert d.check(at=0).started == 2
        assert (running(d, *one), running(d, *other)) == (1, 1)
        late = load(d, 1, "late", OTHER)
        assert d.check(at=15).started == 0
        assert not running(d, *late)


def test_a_tracker_that_changed_counts_when_an_item_starts(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    job = queue_job(group_by="alias", group_max=1, **ALL)
    with queue_scene(rtorrent, tmp_path, job) as d:
        one, (moved,) = load(d, 2, "one", ONE), load(d, 1, "moved", OTHER, priority=1)
        d.check(at=0)
        d.rtorrent.multicall([("d.stop", (moved,)), ("d.close", (moved,))])
        d.rtorrent.call("d.tracker.insert", moved, 0, ONE)
        d.rtorrent.call("t.disable", f"{moved}:t0")
        assert (running(d, *one), running(d, moved)) == (1, 0)
        assert d.check(at=15).started == 0, "it is in the full group now"


def test_free_slots_are_given_to_groups_in_turn(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    job = queue_job(group_by="custom_1", downloading_max=4, start_at_once=4)
    with queue_scene(rtorrent, tmp_path, job) as d:
        movies, tv, music = load(d, 6, "movies"), load(d, 2, "tv"), load(d, 1, "music")
        d.check(at=0)
        assert [running(d, *items) for items in (movies, tv, music)] == [2, 1, 1]


def test_priority_precedes_turns(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    job = queue_job(group_by="custom_1", downloading_max=3, start_at_once=3)
    with queue_scene(rtorrent, tmp_path, job) as d:
        tv, movies = load(d, 3, "tv"), load(d, 3, "movies", priority=3)
        d.check(at=0)
        assert (running(d, *movies), running(d, *tv)) == (3, 0)


def test_downloading_min_does_not_exceed_the_limit_of_a_group(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    job = queue_job(group_by="custom_1", group_max=1, downloading_min=5)
    with queue_scene(rtorrent, tmp_path, job) as d:
        load(d, 4, "tv")
        assert d.check(at=0).started == 1


@pytest.mark.parametrize("field", ["custom_1", "alias"])
def test_explain_shows_the_groups_and_why_an_item_waits(rtorrent: PrivateRTorrent, tmp_path: Path, field: str) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(group_by=field, group_max=1, group_maxima=(("x", 4),), **ALL)) as d:
        name = "tv" if field == "custom_1" else "127.0.0.1"
        tv = load(d, 3, "tv")
        d.check(at=0)
        answer = explain_queue(d.queue, moment(15))
        assert f"  groups by {field}\n    {name}: 1 of 1 slots taken, 2 startable: full" in answer.text
        assert {"group": name, "downloading": 1, "group_max": 1, "startable": 2} in answer.data["groups"]
        assert {"group": "x", "downloading": 0, "group_max": 4, "startable": 0} in answer.data["groups"]
        assert answer.data["hold"]["reason"] == "group_full"
        item = explain_item(d.queue, tv[2], moment(15))
        assert f"held back: 1 of 1 slots of {name} are taken" in item.text
        assert item.data["verdict"] == "group_full"


def test_the_limit_holds_while_data_is_checked_after_a_restart(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    """Its slot is not free, although the item is not active yet."""
    with queue_scene(rtorrent, tmp_path, queue_job(group_by="custom_1", group_max=1, **ALL)) as d:
        load(d, 3, "tv")
        d.check(at=0)
        rtorrent.kill()
        rtorrent.start()
        for number in range(1, 4):
            assert d.check(at=15 * number).started == 0
        assert len(d.running()) == 1


def test_every_key_of_explain_is_documented(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "queue.md").read_text()
    documented = {
        key for row in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page, re.MULTILINE) for key in row.split(", ")
    }
    with queue_scene(rtorrent, tmp_path, queue_job(group_by="custom_1", group_max=1, **ALL)) as d:
        _, other = load(d, 2, "tv")
        d.check(at=0)
        queue, item = explain_queue(d.queue, moment(15)).data, explain_item(d.queue, other, moment(15)).data
    hold = queue.pop("hold")
    missing = [key for key in (*queue, *hold) if f"`{key}`" not in documented]
    inner = (*item, *item["clauses"][0], *queue["groups"][0], *queue["running"][0], *queue["order"][0])
    missing += [key for key in inner if f"`{key}`" not in page]
    assert not missing
