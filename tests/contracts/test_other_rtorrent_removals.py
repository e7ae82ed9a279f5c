"""Another rTorrent takes over the socket, also in the middle of a run: no data and no record of the known one goes."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import SessionNotKnown
from pyrotorque.events import TorrentCompleted
from pyrotorque.items import Item
from pyrotorque.jobs import JobConfig, compared_files, mover
from pyrotorque.jobs.action import Action
from pyrotorque.jobs.cleanup import Cleanup
from tests.cleaning import SILENT, CleanupScene
from tests.commanding import Command
from tests.contracts.test_cleanup_commands import command, scene
from tests.contracts.test_jobs_mover import Scene, killed_after_the_rename
from tests.contracts.test_other_rtorrent import scheduler
from tests.other_rtorrent import other
from tests.waiting import eventually

__all__ = ["command", "scene"]


@pytest.fixture
def replaced() -> Iterator[ExitStack]:
    """Where another rTorrent may be entered from within a run."""
    with ExitStack() as stack:
        yield stack


def take_over(stack: ExitStack, rtorrent: PrivateRTorrent, folder: Path, state: Path) -> None:
    stack.enter_context(other(rtorrent, folder))
    scheduler(rtorrent, state)


@pytest.mark.parametrize("word", ["purge", "restore"])
def test_quarantine_waits_for_the_known_rtorrent(
    scene: CleanupScene, command: Command, short_folder: Path, word: str
) -> None:
    one, kept = scene.item("One"), scene.item("Kept")
    assert command("--run-once", "tidy").code == 0
    scheduler(scene.running, scene.state)
    with other(scene.running, short_folder):
        scheduler(scene.running, scene.state)
        refused = command("quarantine", word, one)
        assert refused.code == 75
        assert "accept-rtorrent" in refused.err
        assert scene.client.rows("main", ["d.hash="]) == []
    assert scene.quarantined() == {one: ["a", "sub/b"]}
    scheduler(scene.running, scene.state)
    assert command("quarantine", word, one).code == 0
    assert (scene.has(one), scene.has(kept)) == (word == "restore", True)


def test_data_that_an_item_misses_is_not_purged_by_hand(scene: CleanupScene, command: Command) -> None:
    metafile = make_metafile("One", content=scene.write("One"), announce=SILENT)
    one = scene.item("One")
    assert one == info_hash(metafile)
    assert command("--run-once", "tidy").code == 0
    scene.client.call("load.raw", "", metafile)
    eventually(lambda: scene.has(one))
    refused = command("quarantine", "purge", one)
    assert (refused.code, "misses a file" in refused.err) == (75, True)
    assert scene.quarantined() == {one: ["a", "sub/b"]}


def test_a_removal_is_undone_or_finished_by_the_known_rtorrent_only(
    rtorrent: PrivateRTorrent, short_folder: Path, replaced: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rTorrent is replaced when the files are in quarantine: its item was not erased."""
    scene = CleanupScene(rtorrent, short_folder)
    one = scene.item("One")
    scheduler(rtorrent, scene.state)
    with monkeypatch.context() as patched:
        look = Cleanup.look_again

        def look_at_the_other(job: Cleanup, removal: object) -> None:
            look(job, removal)  # type: ignore[arg-type]
            take_over(replaced, rtorrent, short_folder, scene.state)

        patched.setattr(Cleanup, "look_again", look_at_the_other)
        scene.job(data="quarantine").run()
    assert list((scene.state / "housekeeping").rglob("*.json")), "its removal has not ended"
    replaced.close()
    scheduler(rtorrent, scene.state)
    assert scene.has(one)
    scene.job(data="quarantine", condition="name=none").run()
    assert not scene.has(one)
    assert scene.quarantined() == {one: ["a", "sub/b"]}


def test_a_move_is_not_given_up_because_rtorrent_is_replaced_within_the_run(
    rtorrent: PrivateRTorrent, short_folder: Path, replaced: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(rtorrent, short_folder, short_folder / "done/tv", multi=True)
    scheduler(rtorrent, short_folder / "state")
    killed_after_the_rename(scene, monkeypatch)
    records = list((short_folder / "state/jobs/move").glob("*.json"))
    assert [json.loads(each.read_bytes())["phase"] for each in records] == ["switching"]

    def during_the_run(*arguments: object) -> None:
        take_over(replaced, rtorrent, short_folder, short_folder / "state")
        compared_files.remove_records(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(mover, "remove_records", during_the_run)
        scene.job().run()
    assert [path for path in records if path.exists()] == records
    replaced.close()
    scheduler(rtorrent, short_folder / "state")
    scene.job().run()
    eventually(scene.has_moved, 20)


@pytest.mark.parametrize("when", ["before the run", "within the run", "for an event"])
def test_no_item_is_erased_in_another_rtorrent(
    rtorrent: PrivateRTorrent,
    short_folder: Path,
    replaced: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    when: str,
) -> None:
    """The other one has one of the items, too."""
    scene = CleanupScene(rtorrent, short_folder)
    for name in ("One", "Two", "Three"):
        scene.item(name)
    metafile = make_metafile("Two", content=scene.downloads / "Two", announce=SILENT)
    two = info_hash(metafile)
    scheduler(rtorrent, scene.state)
    job = Action(JobConfig({"job_name": "tidy", "action": "delete", "condition": "name=/./", "sort": "name"}))

    def another() -> None:
        take_over(replaced, rtorrent, short_folder, scene.state)
        scene.client.call("load.raw", "", metafile)
        eventually(lambda: scene.has(two))

    if when == "within the run":
        run_item = job.run_item

        def replacing(item: Item) -> None:
            run_item(item)
            another()

        monkeypatch.setattr(job, "run_item", replacing)
        job.run()
    elif when == "before the run":
        another()
        job.run()
    else:
        another()
        with pytest.raises(SessionNotKnown):
            job.run(TorrentCompleted(at=1.0, info_hash=two, name="Two"))
    assert ("nothing more is deleted: " in caplog.text) == (when != "for an event")
    assert scene.has(two)
    replaced.close()
    assert len(scene.client.rows("main", ["d.hash="])) == (2 if when == "within the run" else 3)
