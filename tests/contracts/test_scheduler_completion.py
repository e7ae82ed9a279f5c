"""Completed and erased items of a real rTorrent are published once each, also after a downtime."""

from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque_scheduler import item_comparison, known_items
from tests.scheduling import BEGIN, QueueScene, queue_scene
from tests.waiting import eventually


def detect(d: QueueScene, at: float = 0.0) -> int:
    """How many events were stored."""
    assert d.job_table.completion is not None
    before = len(d.event_types())
    d.job_table.completion.detect(BEGIN + at)
    return len(d.event_types()) - before


def load_with_data(d: QueueScene, folder: Path, name: str) -> str:
    """An item that is complete as soon as it is started and its data checked."""
    content = folder / name
    content.write_bytes(b"data " * 20_000)
    metafile = make_metafile(name, content=content)
    d.rtorrent.call("load.raw", "", metafile, f'd.directory.set="{folder}"')
    made = info_hash(metafile)
    eventually(lambda: made in {row[0] for row in d.rtorrent.rows("main", ["d.hash="])})
    return made


def complete(d: QueueScene, item: str) -> None:
    d.rtorrent.call("d.start", item)
    eventually(lambda: d.rtorrent.call("d.complete", item) == 1)


def test_the_first_comparison_publishes_nothing(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        complete(d, load_with_data(d, tmp_path, "already complete"))
        assert detect(d) == 0
        assert d.event_types() == []


def test_a_completed_item_is_published_once(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        item = load_with_data(d, tmp_path, "one")
        detect(d)
        complete(d, item)
        assert [detect(d, at) for at in (15, 30, 400)] == [1, 0, 0]
        assert d.event_types() == ["TorrentCompleted"]


def test_an_item_that_is_added_and_completed_between_two_comparisons_is_published(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        d.load("one")
        detect(d)
        item = load_with_data(d, tmp_path, "quick")
        complete(d, item)
        finished = d.rtorrent.call("d.timestamp.finished", item)
        with d.store.transaction() as db:  # as if that comparison was in the same second: rTorrent stores no fractions
            db.execute("UPDATE compared SET at = ?", (float(str(finished)) + 0.9,))
        assert [detect(d, at) for at in (15, 30)] == [1, 0]
        assert d.event_types() == ["TorrentCompleted"]


def test_an_item_that_is_added_and_completed_during_a_downtime_is_published(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        d.load("one")
        detect(d)
    complete(d, load_with_data(d, tmp_path, "quick"))
    with queue_scene(rtorrent, tmp_path) as d:
        assert [detect(d, at) for at in (60, 75)] == [1, 0]
        assert d.event_types() == ["TorrentCompleted"]


def test_a_kill_before_a_completion_is_published_does_not_lose_it(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with queue_scene(rtorrent, tmp_path) as d:
        d.load("one")
        detect(d)
        complete(d, load_with_data(d, tmp_path, "quick"))
        monkeypatch.setattr(item_comparison.ItemComparison, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            detect(d, at=15)
        monkeypatch.undo()
    with queue_scene(rtorrent, tmp_path) as d:
        assert [detect(d, at) for at in (30, 45)] == [1, 0]
        assert d.event_types() == ["TorrentCompleted"]


def test_an_erased_item_is_published_once_complete_or_not(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        whole, part = load_with_data(d, tmp_path, "whole"), d.load("part")
        complete(d, whole)
        detect(d)
        for item in (whole, part):
            d.rtorrent.call("d.erase", item)
        assert [detect(d, at) for at in (15, 30)] == [2, 0]
        assert d.event_types() == ["TorrentErased", "TorrentErased"]


def test_changes_during_a_downtime_are_published(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        item, other = load_with_data(d, tmp_path, "completes"), d.load("goes")
        detect(d)
    with queue_scene(rtorrent, tmp_path) as d:
        complete(d, item)
        d.rtorrent.call("d.erase", other)
        detect(d, at=60)
        assert sorted(d.event_types()) == ["TorrentCompleted", "TorrentErased"]


def test_an_item_that_replaces_another_hides_nothing(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        whole = load_with_data(d, tmp_path, "whole")
        complete(d, whole)
        detect(d)
        d.rtorrent.call("d.erase", whole)
        complete(d, load_with_data(d, tmp_path, "another"))
        assert detect(d, at=15) + detect(d, at=400) >= 1
        assert "TorrentErased" in d.event_types()


def test_items_are_compared_in_parts(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_items, "PART", 2)
    with queue_scene(rtorrent, tmp_path) as d:
        items = [load_with_data(d, tmp_path, f"item {number}") for number in range(7)]
        detect(d)
        for item in items[:3]:
            complete(d, item)
        assert [detect(d, at) for at in (15, 30, 400)] == [3, 0, 0]
        with d.store.transaction() as db:  # before the item below was completed
            db.execute("UPDATE compared SET at = 0")
        complete(d, load_with_data(d, tmp_path, "new"))
        for item in items[2:5]:
            d.rtorrent.call("d.erase", item)
        assert [detect(d, at) for at in (800, 815, 1200)] == [4, 0, 0]
        assert sorted(d.event_types()) == ["TorrentCompleted"] * 4 + ["TorrentErased"] * 3
        assert d.store.db.execute("SELECT count(*), sum(complete) FROM known_items").fetchone() == (5, 3)


def test_after_an_upgrade_thousands_of_missing_items_are_no_events(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    """1.0.0 did not record which rTorrent had its items; see test_scheduler_other_rtorrent for later versions."""
    with queue_scene(rtorrent, tmp_path) as d:
        d.load("one")
        detect(d)
        complete(d, load_with_data(d, tmp_path, "completed meanwhile"))
        with d.store.transaction() as db:
            rows = [(f"{number:040X}", "gone", 1) for number in range(item_comparison.MASS_ERASURE * 3)]
            db.executemany("INSERT INTO known_items VALUES (?, ?, ?)", rows)
            db.execute("DELETE FROM known_rtorrent")
    with queue_scene(rtorrent, tmp_path) as d:
        assert [detect(d, at) for at in (15, 30)] == [0, 0]
        assert d.event_types() == []
