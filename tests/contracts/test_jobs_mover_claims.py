"""The mover leaves data alone that another item has, under whatever path, and folders that hold more than the item."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.jobs import JobConfig, move_failures, move_files, mover, tree_copy
from pyrotorque.jobs.move_journal import Move
from pyrotorque.jobs.move_switch import MoveSwitch
from pyrotorque.linux import name_forms
from tests.cleaning import SILENT, CleanupScene
from tests.waiting import eventually


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


def test_an_item_that_is_loaded_before_the_old_data_is_removed(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("Some Name")
    item = scene.add(path, to_target(scene))
    twin = make_metafile("Some Name", content=path, announce=SILENT, info_extra={"source": "x"})
    scene.accepted_before(monkeypatch, mover, twin)

    def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(move_files.MoveFiles, "_is_on_other_disk", always)
    move(scene)
    assert scene.is_intact(item)
    assert scene.is_intact(info_hash(twin))
    assert (scene.folder / "target" / "Some Name").exists()


def test_the_path_is_that_of_the_kernel(scene: CleanupScene) -> None:
    """`..` after a link leads to the folder around its target, whatever the path looks like."""
    (scene.folder / "out" / "dir").mkdir(parents=True)
    (scene.downloads / "link").symlink_to(scene.folder / "out" / "dir")
    (scene.downloads / "y").mkdir()
    decoy = scene.add(scene.write("y/One"))
    real = scene.folder / "out" / "y" / "One"
    real.parent.mkdir()
    (scene.write("One")).rename(real)
    item = scene.add(real, f"d.directory.set={scene.downloads}/link/../y", to_target(scene))
    move(scene)
    assert not real.exists()
    assert all(scene.is_intact(each) for each in (item, decoy))


def test_a_relative_folder_of_rtorrent_is_not_looked_up_here(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = scene.add(scene.write("One"), to_target(scene))
    decoy = scene.folder / "here" / "rel" / "One"
    decoy.mkdir(parents=True)
    monkeypatch.chdir(scene.folder / "here")
    for command, *value in (("d.stop",), ("d.close",), ("d.directory.set", "rel")):
        scene.client.call(command, item, *value)
    with suppress(UserError):
        move(scene)
    assert decoy.exists()
    assert list((scene.folder / "target").iterdir()) == []


@pytest.mark.parametrize("phase", ["copying", "switching"])
@pytest.mark.parametrize("by_copy", [True, False])
def test_an_interrupted_move_ends_when_others_have_moved_the_item(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, phase: str, by_copy: bool
) -> None:
    path = scene.write("One")
    item = scene.add(path, to_target(scene))
    monkeypatch.setattr(move_files.MoveFiles, "_is_on_other_disk", lambda *_: by_copy)  # pyright: ignore[reportUnknownLambdaType]
    at = move_files.MoveFiles.prepare if phase == "copying" else move_files.MoveFiles.rename

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(move_files.MoveFiles, at.__name__, killed)
        with pytest.raises(KeyboardInterrupt):
            move(scene)
    elsewhere = scene.folder / "elsewhere"
    elsewhere.mkdir()
    for command in ("d.stop", "d.close"):
        scene.client.call(command, item)
    path.rename(elsewhere / "One")
    scene.client.call("d.directory.set", item, str(elsewhere))
    scene.client.call("d.start", item)
    eventually(lambda: scene.seeds(item), 20)
    other = scene.add(scene.write("One"), salt="other data")
    move(scene)
    assert all(scene.is_intact(each) for each in (item, other))
    # Ended, and moved from where it is now.
    assert scene.client.call("d.directory", item) == str(scene.folder / "target" / "One")


def test_old_data_that_another_item_has_by_now_is_kept(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scene.write("One")
    item = scene.add(path, to_target(scene))
    monkeypatch.setattr(move_files.MoveFiles, "_is_on_other_disk", lambda *_: True)  # pyright: ignore[reportUnknownLambdaType]
    loaded: list[str] = []
    switch = MoveSwitch.switch

    def switching(own: MoveSwitch, moved: Move) -> Move:
        done = switch(own, moved)
        loaded.append(scene.add(path, salt="cross-seed"))
        return done

    monkeypatch.setattr(MoveSwitch, "switch", switching)
    move(scene)
    assert all(scene.is_intact(each) for each in (item, *loaded))


def test_a_folder_of_a_category_is_not_moved_with_the_files_of_others(scene: CleanupScene) -> None:
    path = scene.write("Show")
    item = scene.add(path, to_target(scene), start=False)
    category = scene.downloads / "tv"
    (category / "other show").mkdir(parents=True)
    (category / "other show" / "e1").write_text("its owner's")
    for name in ("a", "sub"):
        (path / name).rename(category / name)
    scene.client.call("d.directory_base.set", item, str(category))
    scene.client.call("d.start", item)
    eventually(lambda: scene.seeds(item), 20)
    assert_refused(scene, item, "not named as the torrent and holds other files", [])
    (category / "other show" / "e1").unlink()
    move(scene)
    assert scene.is_intact(item)
    assert (scene.folder / "target" / "tv" / "a").exists()


@pytest.mark.parametrize("inside", ["One", "One/sub", ""])
def test_data_that_another_filesystem_shows(scene: CleanupScene, inside: str) -> None:
    """As mergerfs and bindfs do; the other item may also have a part of it, or more."""
    seen = scene.folder / "seen"
    seen.mkdir()
    path = scene.write("pack/One")
    subprocess.run(["bindfs", str(scene.downloads), str(seen)], check=True)
    try:
        twin = scene.add(seen / "pack" / inside, salt="cross-seed")
        item = scene.add(path, to_target(scene))
        assert_refused(scene, item, "has files at", [twin])
    finally:
        subprocess.run(["fusermount", "-uz", str(seen)], check=True)


@pytest.mark.parametrize("moment", ["save", "rename"])
def test_an_item_that_is_loaded_during_the_switch(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = scene.write("One")
    item = scene.add(path, to_target(scene))
    loaded: list[str] = []

    def load() -> None:
        if not loaded:
            loaded.append(scene.add(path, salt="cross-seed", start=False))

    save, rename = vars(MoveSwitch)["_save"], move_files.MoveFiles.rename

    def saving(own: MoveSwitch, moved: Move, wanted: dict[str, object]) -> None:
        save(own, moved, wanted)
        load()

    def renaming(own: move_files.MoveFiles, moved: Move) -> None:
        load()
        rename(own, moved)

    if moment == "save":
        monkeypatch.setattr(MoveSwitch, "_save", saving)
    else:
        monkeypatch.setattr(move_files.MoveFiles, "rename", renaming)
    with pytest.raises(UserError, match="has files at"):
        move(scene)
    eventually(lambda: scene.client.call("d.is_active", item) == 1, 20, why="it is active")
    assert all(scene.is_intact(each) for each in (item, *loaded))
    assert path.exists()


@pytest.mark.parametrize("kind", ["files", "folder"])
def test_an_item_whose_files_are_links_to_the_data(scene: CleanupScene, kind: str) -> None:
    """As cross-seed makes them with `linkType: symlink`."""
    path = scene.write("Some Name")
    folder = scene.downloads / "links" / "Twin"
    folder.mkdir(parents=True)
    (folder / "a").symlink_to(path / "a")
    if kind == "folder":
        (folder / "sub").symlink_to(path / "sub")
    else:
        (folder / "sub").mkdir()
        (folder / "sub/b").symlink_to("../../../Some Name/sub/b")
    metafile = make_metafile("Twin", content=path, announce=SILENT)
    scene.client.call("load.raw_start", "", metafile, f"d.directory.set={folder.parent}")
    twin = info_hash(metafile)
    eventually(lambda: scene.seeds(twin), 20)
    item = scene.add(path, to_target(scene))
    assert_refused(scene, item, "Twin has files at", [twin])


def test_links_that_are_no_files_of_the_other_item_do_not_count(scene: CleanupScene) -> None:
    path = scene.write("Some Name")
    beside = scene.item("Beside")
    (scene.downloads / "Beside" / "extra").symlink_to(path)
    item = scene.add(path, to_target(scene))
    move(scene)
    assert not path.exists()
    assert all(scene.is_intact(each) for each in (item, beside))


def test_an_item_of_links_that_is_loaded_during_the_switch(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("Some Name")
    (scene.downloads / "Twin" / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (scene.downloads / "Twin" / name).symlink_to(path / name)
    item = scene.add(path, to_target(scene))
    loaded: list[str] = []
    rename = move_files.MoveFiles.rename

    def renaming(*args: object) -> None:
        if not loaded:
            loaded.append(scene.add(scene.downloads / "Twin", salt="cross-seed", start=False))
        rename(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(move_files.MoveFiles, "rename", renaming)
    with pytest.raises(UserError, match="Twin has files at"):
        move(scene)
    assert all(scene.is_intact(each) for each in (item, *loaded))


@pytest.mark.parametrize("kind", ["folder", "file", "inside"])
def test_data_with_a_link_that_would_lead_nowhere_from_the_target(scene: CleanupScene, kind: str) -> None:
    inside = () if kind == "file" else ("a",)
    path = scene.write("Some Name", inside)
    store = scene.downloads / "store"
    store.mkdir()
    moved = path / "a" if kind == "inside" else path
    moved.rename(store / moved.name)
    moved.symlink_to(os.path.relpath(store / moved.name, moved.parent))
    item = scene.add(path, to_target(scene))
    assert_refused(scene, item, "would not lead to the same file", [])
    moved.unlink()
    moved.symlink_to(store / moved.name)
    move(scene)
    assert not os.path.lexists(path)
    assert scene.is_intact(item)


def never_listed(*_: object) -> bool:
    return False


@pytest.mark.parametrize("shows_both", [False, True])
@pytest.mark.parametrize(
    ("names", "moved"),
    [(("Some Name", "SOME NAME"), "Some Name"), (("Name", "name/Inner"), "Name"),
     (("outer/Inner", "Outer"), "outer/Inner")],
)  # fmt: skip
def test_an_item_that_has_the_data_under_another_spelling(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str], moved: str, shows_both: bool
) -> None:
    """Two folders play the one folder of a disk that ignores case: it shows one of the names only."""
    files = ("Inner/a", "Inner/b") if names[1] == "Outer" else ("a", "b")
    paths = [scene.write(names[0], ("a", "b", "Inner/a", "Inner/b")), scene.write(names[1], files)]
    for path in (*paths, *(each.parent for each in paths)):
        os.utime(path, ns=(10**18, 10**18))
    twin = scene.add(paths[1], salt="cross-seed")
    item = scene.add(paths[0], to_target(scene))
    if shows_both:
        move(scene)
        assert (scene.folder / "target" / Path(moved).name).exists()
        return
    monkeypatch.setattr(name_forms, "_are_listed", never_listed)
    assert_refused(scene, item, "has files at", [twin])
