"""One job at a time moves or removes the data of an item; after a kill, the one that has begun finishes."""

from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping import inventory, moved_files
from pyrotorque.housekeeping.journal import RemovalPhase
from pyrotorque.jobs import JobConfig, move_failures, move_files, move_switch, mover, unfinished_changes
from pyrotorque.linux import files
from tests.cleaning import CleanupScene, without_awaited_loads
from tests.contracts.test_cleanup_interplay import KillNow, at_phase
from tests.waiting import eventually

_FILES = ("a", "b", "sub/c", "sub/d")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(move_failures, "FIRST_RETRY", 0.0)
    without_awaited_loads(monkeypatch, inventory)


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def move(scene: CleanupScene, job: str = "move", target: str = "done", **more: Any) -> None:
    settings = {"job_name": job, "schedule": "minute=*", "target": str(scene.folder / target), **more}
    mover.Mover(JobConfig(settings)).run()


def no_refusal(*_: object) -> str:
    return ""


def files_at(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def kill(*_: object) -> None:
    raise KillNow


def killed_removal(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, phase: RemovalPhase) -> None:
    with monkeypatch.context() as patched:
        at_phase(patched, phase, kill)
        with pytest.raises(KillNow):
            scene.job(data="quarantine").run()


@pytest.mark.parametrize("phase", ["stopping", "moving", "erasing"])
def test_a_mover_leaves_an_item_whose_removal_was_killed(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, phase: RemovalPhase
) -> None:
    item = scene.item("Some Name", _FILES)
    killed_removal(scene, monkeypatch, phase)
    with pytest.raises(UserError, match="a clean-up has begun to remove it"):
        move(scene)
    assert not (scene.folder / "done").exists()
    # Never: the clean-up puts it back, or finishes.
    scene.job(data="quarantine", condition="name=nothing").run()
    if scene.has(item):
        assert scene.is_intact(item)
        move(scene)
        assert files_at(scene.folder / "done/Some Name") == sorted(_FILES)
        assert scene.is_intact(item)
    else:
        assert scene.quarantined() == {item: sorted(_FILES)}


def test_a_mover_leaves_an_item_whose_files_are_half_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, moved = scene.item("Some Name", _FILES), list[object]()
    rename = files.rename_noreplace

    def renamed(*names: Any) -> None:
        if len(moved) == 2:
            raise KillNow
        moved.append(names)
        rename(*names)

    with monkeypatch.context() as patched:
        patched.setattr(moved_files, "rename_noreplace", renamed)
        with pytest.raises(KillNow):
            scene.job(data="quarantine").run()
    with pytest.raises(UserError, match="a clean-up has begun to remove it"):
        move(scene)
    scene.job(data="quarantine", condition="name=nothing").run()
    assert files_at(scene.downloads / "Some Name") == sorted(_FILES)
    assert scene.is_intact(item)
    assert scene.client.call("d.state", item) == 1


def test_a_mover_that_runs_during_a_removal_leaves_the_item(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, refusals = scene.item("Some Name", _FILES), list[str]()

    def moving() -> None:
        with pytest.raises(UserError) as refused:
            move(scene)
        refusals.append(str(refused.value))

    at_phase(monkeypatch, "moving", moving)
    scene.job(data="quarantine").run()
    assert "a clean-up has begun to remove it" in refusals[0]
    assert scene.quarantined() == {item: sorted(_FILES)}


def test_a_move_that_begins_during_a_removal_keeps_the_item(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = scene.item("Some Name", _FILES)

    def begin() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(move_files.MoveFiles, "prepare", kill)
            patched.setattr(unfinished_changes.UnfinishedChanges, "refusal", no_refusal)
            with pytest.raises(KillNow):
                move(scene)

    at_phase(monkeypatch, "stopping", begin)
    with pytest.raises(UserError, match="a mover has begun to move its data"):
        scene.job(data="quarantine").run()
    eventually(lambda: scene.seeds(item), 20, why="it seeds again")
    move(scene)
    assert files_at(scene.folder / "done/Some Name") == sorted(_FILES)
    assert scene.is_intact(item)


@pytest.mark.parametrize("step", ["_rename", "_is_switched"])
def test_a_second_mover_leaves_an_item_that_the_first_one_has_closed(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    item = scene.item("Some Name", _FILES)
    calls, real = list[object](), getattr(move_switch.MoveSwitch, step)

    def killed(*values: Any) -> Any:
        calls.append(values)
        if step == "_rename" or len(calls) > 1:
            raise KillNow
        return real(*values)

    with monkeypatch.context() as patched:
        patched.setattr(move_switch.MoveSwitch, step, killed)
        if step == "_is_switched":  # killed after the item was closed, before it was saved
            patched.setattr(move_switch.MoveSwitch, "_save", kill)
        with pytest.raises(KillNow):
            move(scene, "first", "one")
    assert scene.client.call("d.state", item) == 0
    with pytest.raises(UserError, match=r"job\.first has begun to move it"):
        move(scene, "second", "two")
    assert not (scene.folder / "two").exists()
    move(scene, "first", "one")
    eventually(lambda: scene.seeds(item), 20, why="it seeds again")
    assert files_at(scene.folder / "one/Some Name") == sorted(_FILES)


def test_a_file_of_another_job_with_the_name_of_a_journal_is_no_move(scene: CleanupScene) -> None:
    item = scene.item("Some Name", _FILES)
    (scene.state / "jobs/mine").mkdir(parents=True)
    (scene.state / f"jobs/mine/{item}.json").write_text('{"seen": 1}')
    move(scene)
    assert files_at(scene.folder / "done/Some Name") == sorted(_FILES)


def test_a_mover_takes_an_item_that_another_one_has_not_touched(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = scene.item("Some Name", _FILES)
    with monkeypatch.context() as patched:
        patched.setattr(move_switch.MoveSwitch, "switch", kill)
        with pytest.raises(KillNow):
            move(scene, "first", "one")
    move(scene, "second", "two")
    assert files_at(scene.folder / "two/Some Name") == sorted(_FILES)
    move(scene, "first", "one", condition="name=nothing")
    assert scene.seeds(item)
    assert files_at(scene.folder / "two/Some Name") == sorted(_FILES)
