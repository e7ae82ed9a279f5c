"""An unfinished move whose item was not touched yet is decided again: what its owner has changed since counts."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.jobs import move_failures, move_files, move_switch, tree_copy
from tests.contracts.test_jobs_mover import Killed, Scene, killed_after_the_rename, no_pause
from tests.waiting import eventually

__all__ = ["no_pause"]  # a fixture


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> Scene:
    return Scene(rtorrent, short_folder, short_folder / "done/tv", multi=True)


def killed_before_the_switch(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(move_switch.MoveSwitch, "switch", killed)
        with pytest.raises(Killed):
            scene.job().run()
    assert journals(scene)


def journals(scene: Scene) -> list[Path]:
    return list((scene.folder / "state/jobs/move").glob("*.json"))


def clear_target(scene: Scene) -> None:
    scene.client.call("d.custom.set", scene.hash, "targetdir", "")


def protect(scene: Scene) -> None:
    scene.client.call("d.custom.set", scene.hash, "tags", "keep")


@pytest.mark.parametrize("killed", [killed_before_the_switch, killed_after_the_rename])
def test_a_dry_run_continues_no_move(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    killed: Callable[[Scene, pytest.MonkeyPatch], None],
) -> None:
    killed(scene, monkeypatch)
    before = (scene.client.call("d.state", scene.hash), scene.client.call("d.base_path", scene.hash))
    moved = scene.final.exists()
    with caplog.at_level("INFO"):
        scene.job(dry_run=True).run()
    assert f"would continue to move Some Name to {scene.final}" in caplog.text
    assert (scene.client.call("d.state", scene.hash), scene.client.call("d.base_path", scene.hash)) == before
    assert scene.final.exists() is moved
    scene.job().run()
    eventually(scene.has_moved, 20)


@pytest.mark.parametrize("change", [clear_target, protect])
def test_an_item_that_is_not_to_be_moved_any_more_stays(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, change: Callable[[Scene], None]
) -> None:
    killed_before_the_switch(scene, monkeypatch)
    change(scene)
    scene.client.call("d.stop", scene.hash)
    job = scene.job(condition="is_wanted_done=yes tagged=!keep")
    job.run()
    assert scene.source.exists()
    assert not scene.final.exists()
    assert scene.client.call("d.state", scene.hash) == 0, "its owner has stopped it"
    assert not journals(scene)


def test_an_item_with_another_target_by_now_goes_there(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_before_the_switch(scene, monkeypatch)
    scene.target = scene.folder / "done/films"
    scene.client.call("d.custom.set", scene.hash, "targetdir", str(scene.target))
    scene.job().run()
    eventually(scene.has_moved, 20)


def change_during_the_copy(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, change: Callable[[Scene], None]
) -> list[object]:
    """One entry for each copy that is made from now on; `change` follows each."""
    copies: list[object] = []

    def copying(*args: object) -> None:
        tree_copy.copy_tree(*args)  # type: ignore[arg-type]
        copies.append(args)
        change(scene)

    def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(move_files, "copy_tree", copying)
    monkeypatch.setattr(move_files.MoveFiles, "_is_on_other_disk", always)
    return copies


NOT_KEPT = "is_wanted_done=yes tagged=!keep"


def test_a_copy_waits_while_the_item_does_not_match_the_condition(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conditions such as `up=0` are false for some minutes of a long copy, which must not be made again and again."""
    copies = change_during_the_copy(scene, monkeypatch, protect)
    with pytest.raises(UserError, match="does not match the condition any more: its move and the copy wait"):
        scene.job(condition=NOT_KEPT).run()
    assert scene.seeds()
    assert scene.source.exists()
    scene.client.call("d.custom.set", scene.hash, "tags", "")
    scene.job(condition=NOT_KEPT).run()
    eventually(scene.has_moved, 20)
    assert len(copies) == 1


def test_a_copy_waits_no_longer_than_a_day(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    change_during_the_copy(scene, monkeypatch, protect)
    with pytest.raises(UserError, match="does not match the condition"):
        scene.job(condition=NOT_KEPT).run()
    (journal,) = journals(scene)
    two_days_ago = time.time() - 2 * 86400
    os.utime(journal, (two_days_ago, two_days_ago))
    scene.job(condition=NOT_KEPT).run()
    assert list(scene.target.iterdir()) == [], "the copy is removed"
    assert scene.seeds()
    assert not journals(scene)


def test_what_an_owner_changes_during_the_copy_counts(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    change_during_the_copy(scene, monkeypatch, clear_target)
    scene.job().run()
    assert list(scene.target.iterdir()) == [], "the copy is removed"
    assert scene.seeds()
    assert not journals(scene)


def test_an_item_that_its_owner_has_stopped_is_moved_and_stays_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_the_switch(scene, monkeypatch)
    scene.client.call("d.stop", scene.hash)
    scene.job().run()
    assert scene.final.exists()
    assert scene.client.call("d.state", scene.hash) == 0
    assert not journals(scene)


def test_an_earlier_version_starts_the_item_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It continues the move after a downgrade; `closed` is not known to it, and counts as true."""
    killed_before_the_switch(scene, monkeypatch)
    (journal,) = journals(scene)
    stored = msgspec.json.decode(journal.read_bytes(), type=dict[str, Any])
    del stored["closed"]
    journal.write_bytes(msgspec.json.encode(stored))
    scene.job().run()
    eventually(scene.has_moved, 20)
    assert scene.client.call("d.state", scene.hash) == 1


def test_a_stop_after_a_failed_switch_counts_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The item is started again after the failure; then its owner stops it."""

    def refused(*_: object) -> None:
        raise move_failures.MoveRefused("rTorrent has not saved it", "session")

    with monkeypatch.context() as patched:
        patched.setattr(move_switch.MoveSwitch, "_save", refused)
        with pytest.raises(UserError, match="has not saved"):
            scene.job().run()
    assert scene.client.call("d.state", scene.hash) == 1
    scene.client.call("d.stop", scene.hash)
    scene.job().run()
    assert scene.final.exists()
    assert scene.client.call("d.state", scene.hash) == 0


def test_an_item_that_misses_data_by_now_waits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_before_the_switch(scene, monkeypatch)
    content = (scene.source / "a").read_bytes()
    scene.client.multicall([("d.stop", (scene.hash,)), ("d.close", (scene.hash,))])
    (scene.source / "a").write_bytes(bytes(len(content)))
    scene.client.call("d.check_hash", scene.hash)
    eventually(lambda: scene.client.call("d.complete", scene.hash) == 0, 20)
    with pytest.raises(UserError, match="its data is incomplete"):
        scene.job().run()
    assert scene.source.exists()
    assert journals(scene)
    (scene.source / "a").write_bytes(content)
    scene.client.call("d.check_hash", scene.hash)
    eventually(lambda: scene.client.call("d.complete", scene.hash) == 1, 20)
    eventually(lambda: scene.client.call("d.hashing", scene.hash) == 0, 20)
    scene.job().run()
    assert scene.final.exists()
