"""The mover leaves data alone that another item has, under whatever path, and folders that hold more than the item."""

import os
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.jobs import JobConfig, move_failures, move_files, mover, tree_copy
from tests.cleaning import CleanupScene
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed move is tried again in the next run."""
    monkeypatch.setattr(move_failures, "FIRST_RETRY", 0.0)


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    (short_folder / "target").mkdir()
    return CleanupScene(rtorrent, short_folder)


def move(scene: CleanupScene) -> None:
    mover.Mover(JobConfig({"job_name": "move", "schedule": "minute=*"})).run()


def to_target(scene: CleanupScene) -> str:
    return f'd.custom.set=targetdir,"{scene.folder / "target"}"'


def assert_refused(scene: CleanupScene, item: str, why: str, others: list[str]) -> None:
    """The move is refused, nothing went to the target, and the item and `others` have their data and go on."""
    with pytest.raises(UserError, match=why):
        move(scene)
    move(scene)  # reported once
    assert list((scene.folder / "target").iterdir()) == []
    for each in (item, *others):
        assert scene.client.call("d.is_active", each) == 1
    assert all(scene.is_intact(each) for each in (item, *others))


@pytest.mark.parametrize("files", [(), ("a", "sub/b")])
@pytest.mark.parametrize("name", ["Some Name", "100% ü?", "emoji 😀"])
def test_items_with_the_same_files(scene: CleanupScene, files: tuple[str, ...], name: str) -> None:
    path = scene.write(name, files)
    twin = scene.add(path, salt="cross-seed")
    item = scene.add(path, to_target(scene))
    assert_refused(scene, item, "has files at|printed|altered", [twin])


def test_an_item_that_has_the_same_files_by_a_linked_folder(scene: CleanupScene) -> None:
    path = scene.write("Some Name")
    (scene.folder / "by-link").symlink_to(scene.downloads)
    twin = scene.add(scene.folder / "by-link" / "Some Name", salt="cross-seed")
    item = scene.add(path, to_target(scene))
    assert_refused(scene, item, "Some Name has files at", [twin])


@pytest.mark.parametrize("files", [(), ("a",)])
def test_an_item_inside_the_folder_of_the_other(scene: CleanupScene, files: tuple[str, ...]) -> None:
    item = scene.add(scene.write("Outer"), to_target(scene))
    inner = scene.add(scene.write("Outer/sub/Inner", files))
    assert_refused(scene, item, "Inner has files at", [inner])


@pytest.mark.parametrize("files", [(), ("sub/b",)])
def test_a_part_of_another_item(scene: CleanupScene, files: tuple[str, ...]) -> None:
    """A season and an episode of it."""
    season = scene.add(scene.write("Season", ("One.mkv", "One/sub/b", "Two.mkv")))
    episode = scene.downloads / "Season" / ("One" if files else "One.mkv")
    item = scene.add(episode, to_target(scene))
    assert_refused(scene, item, "Season has files at", [season])


def test_an_item_whose_folder_is_that_of_all_downloads(scene: CleanupScene) -> None:
    path = scene.write("Base")
    item = scene.add(path, to_target(scene), start=False)
    for name in ("a", "sub"):
        (path / name).rename(scene.downloads / name)
    scene.client.call("d.directory_base.set", item, str(scene.downloads))
    scene.client.call("d.start", item)
    eventually(lambda: scene.seeds(item), 20)
    assert_refused(scene, item, "folder for all downloads", [])


def test_items_beside_it_do_not_count(scene: CleanupScene) -> None:
    """Names that begin alike, a folder around both without common files, another name of the same data."""
    beside = [scene.item("Some Name 2"), scene.item("Some"), scene.add(scene.write("Some Name.mkv", ()))]
    path = scene.write("Some Name")
    (scene.downloads / "linked").mkdir()
    for name in ("a", "sub/b"):
        there = scene.downloads / "linked" / name
        there.parent.mkdir(exist_ok=True)
        os.link(path / name, there)
    beside.append(scene.add(scene.downloads / "linked"))
    item = scene.add(path, to_target(scene))
    move(scene)
    assert not path.exists()
    assert all(scene.is_intact(each) for each in (item, *beside))


def test_an_item_that_is_loaded_during_the_copy(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scene.write("Some Name")
    item = scene.add(path, to_target(scene))
    loaded: list[str] = []

    def copying(*args: object) -> None:
        tree_copy.copy_tree(*args)  # type: ignore[arg-type]
        loaded.append(scene.add(path, salt="cross-seed"))

    monkeypatch.setattr(move_files, "copy_tree", copying)

    def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(move_files.MoveFiles, "_is_on_other_disk", always)
    with pytest.raises(UserError, match="Some Name has files at"):
        move(scene)
    assert all(scene.is_intact(each) for each in (item, *loaded))
    assert path.exists()
    # Without the other item the copy is used.
    scene.client.call("d.erase", loaded[0])
    move(scene)
    assert not path.exists()
    assert scene.is_intact(item)
