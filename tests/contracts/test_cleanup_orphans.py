"""Orphaned files on a real rTorrent: quarantined when old enough, capped, and restored."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.events import OrphansMoved
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.cleanup_state import accept_items
from pyrotorque.housekeeping.journal import RemovedFile
from pyrotorque.housekeeping.restore import restore
from pyrotorque.jobs import JobConfig
from pyrotorque.jobs.orphans import Orphans
from tests.cleaning import CleanupScene, days_later


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def job(scene: CleanupScene, **settings: Any) -> Orphans:
    values = {"job_name": "orphans", "schedule": "hour=5", "below": str(scene.downloads), "others": "none"}
    return Orphans(JobConfig({**values, **settings}))


def test_old_orphans_go_to_quarantine_and_come_back(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one, stopped = scene.item("One"), scene.item("Stopped", start=False)
    (scene.downloads / "One/extra").write_text("in the folder of an item")
    (scene.downloads / os.fsdecode(b"L\xe9")).mkdir()
    (scene.downloads / os.fsdecode(b"L\xe9") / "file").write_text("loose")
    job(scene).run()
    assert scene.quarantined() == {}, "none is old enough"
    days_later(monkeypatch, 4)
    with open(scene.downloads / "One/extra"):
        job(scene, max_percent=100).run()
    assert (scene.downloads / "One/extra").exists(), "it is open"
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    assert [file.path for file in entry.removal.files] == [b"L\xe9/file"]
    assert not (scene.downloads / os.fsdecode(b"L\xe9/file")).exists()
    assert scene.is_intact(one)
    assert scene.is_intact(stopped)
    (moved,) = scene.events.values()
    assert isinstance(moved, OrphansMoved)
    assert (moved.files, moved.size) == (1, 5)
    restore(scene.client, entry)
    assert (scene.downloads / os.fsdecode(b"L\xe9/file")).read_text() == "loose"


def test_what_was_moved_before_a_problem_is_reported_and_comes_back(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file is replaced after the last look: it stays, and is not in the entry of the first one."""
    scene.item("One")
    first, second = scene.downloads / "first", scene.downloads / "second"
    first.write_text("loose")
    second.write_text("loose, too")
    job(scene).run()
    days_later(monkeypatch, 4)
    move = moved_files.move

    def replaced_before(source: int, target: int, files: Sequence[RemovedFile]) -> None:
        other = scene.folder / "other"
        other.write_text("other")
        other.rename(second)
        move(source, target, sorted(files, key=lambda file: file.path))

    monkeypatch.setattr(moved_files, "move", replaced_before)
    with pytest.raises(UserError, match="second is not the file that was planned"):
        job(scene).run()
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    assert [file.path for file in entry.removal.files] == [b"first"]
    assert [(event.files, event.size) for event in scene.events.values() if isinstance(event, OrphansMoved)] == [(1, 5)]
    monkeypatch.setattr(moved_files, "move", move)
    restore(scene.client, entry)
    assert (first.read_text(), second.read_text()) == ("loose", "other")


def test_too_many_orphans_or_no_items_move_nothing(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="rTorrent has no items"):
        job(scene).run()
    scene.item("One")
    for number in range(7):
        (scene.downloads / f"loose-{number}").write_text("x")
    job(scene).run()
    days_later(monkeypatch, 4)
    with pytest.raises(UserError, match="7 files belong to no item, more than max_percent allows"):
        job(scene).run()
    job(scene).run()  # reported once
    with pytest.raises(UserError, match="more than max_files allows"):
        job(scene, max_percent=100, max_files=3).run()
    assert scene.quarantined() == {}


def test_another_session_on_the_disk_keeps_its_files(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.item("One")
    other = scene.item("Other")
    session = scene.folder / "other session"
    session.mkdir()
    scene.running.stop(timeout=5)
    for suffix in ("", ".rtorrent", ".libtorrent_resume"):
        os.rename(scene.running.session / f"{other}.torrent{suffix}", session / f"{other}.torrent{suffix}")
    scene.running.start()
    job(scene).run()
    days_later(monkeypatch, 4)
    job(scene, others=str(session), max_percent=100).run()
    assert scene.quarantined() == {}
    for file in session.iterdir():
        file.unlink()
    with pytest.raises(UserError, match="is empty: is its disk mounted"):
        job(scene, others=str(session), max_percent=100).run()


def test_a_shorter_list_moves_nothing_until_its_owner_confirms(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(4)]
    scene.job(condition="name=None").run()  # a clean-up of the group has seen all of them, too
    job(scene).run()
    scene.client.call("d.erase", found[0])
    scene.write("another", ())
    with pytest.raises(UserError, match=r"has 3 items, 4 at the last time: .*, confirm it"):
        job(scene).run()
    accept_items(job(scene).state_dir, 2, job(scene).clock.now())
    job(scene).run()  # nothing else is reported: three items are not fewer than two
    assert job(scene).state().items == 3
    days_later(monkeypatch, 4)
    job(scene, max_percent=100).run()
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    assert {file.path for file in entry.removal.files} == {b"Item-0", b"another"}
    scene.client.call("d.erase", found[1])
    with pytest.raises(UserError, match="has 2 items, 3 at the last time"):
        job(scene).run()  # a confirmation counts once
