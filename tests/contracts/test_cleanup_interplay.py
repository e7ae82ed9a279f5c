"""What others do between the steps of a removal, or after a kill of it, on a real rTorrent: nothing is lost."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.journal import RemovalJournal, RemovalPhase, RemovalRecord
from pyrotorque.housekeeping.removal import Remover
from pyrotorque.housekeeping.restore import restore
from pyrotorque.jobs import context
from pyrotorque.jobs.orphans import Orphans
from pyrotorque.text import encode_json
from tests.cleaning import SILENT, CleanupScene, days_later
from tests.contracts.test_cleanup_orphans import job as orphans
from tests.waiting import eventually


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def at_phase(patch: pytest.MonkeyPatch, phase: RemovalPhase, act: Callable[[], object]) -> None:
    """Let something happen once, when a removal has come to `phase`."""
    write, is_done = RemovalJournal.write, False

    def written(self: RemovalJournal, removal: RemovalRecord) -> RemovalRecord:
        nonlocal is_done
        written = write(self, removal)
        if removal.phase == phase and not is_done:
            is_done = True
            act()
        return written

    patch.setattr(RemovalJournal, "write", written)


def content_of(path: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in [*path.rglob("*"), path] if each.is_file()}


def journals(scene: CleanupScene) -> list[Path]:
    return sorted((scene.state / "housekeeping/removals").glob("*"))


class KillNow(BaseException):
    pass


def never(*_: object) -> bool:
    return False


def kill_at(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, phase: RemovalPhase, **settings: Any) -> None:
    def kill() -> None:
        raise KillNow

    with monkeypatch.context() as patch:
        at_phase(patch, phase, kill)
        with pytest.raises(KillNow):
            scene.job(**settings).run()


def vanish(folder: Path) -> None:
    shutil.rmtree(folder)


def become_empty(folder: Path) -> None:
    (folder / "kept").unlink()


def become_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


def become_a_loop(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder)


def become_a_session(folder: Path) -> None:
    (folder / "x.fastresume").touch()


OTHERS = [vanish, become_empty, become_a_file, become_a_loop, become_a_session]


@pytest.mark.parametrize("change", OTHERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("phase", ["stopping", "erasing"])
def test_others_that_cannot_be_read_any_more_keep_the_data(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], phase: RemovalPhase
) -> None:
    path = scene.write("One")
    content = content_of(path)
    one = scene.add(path)
    others = scene.folder / "others"
    others.mkdir()
    (others / "kept").write_text("of another client")
    at_phase(monkeypatch, phase, lambda: change(others))
    job = scene.job(data="delete", others=str(others))
    if phase == "stopping":
        with pytest.raises(UserError, match=r"One stays: .*\(others\)"):
            job.run()
        eventually(lambda: scene.seeds(one))
        assert content_of(path) == content
    else:
        job.run()
        assert not scene.has(one)
        (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
        assert list(content_of(entry.folder / "data").values()) == list(content.values())
    assert journals(scene) == []


@pytest.mark.parametrize("change", OTHERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_others_that_cannot_be_read_any_more_keep_orphans_at_their_places(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], after: bool
) -> None:
    scene.item("One")
    (scene.downloads / "loose").write_text("of no item")
    others = scene.folder / "others"
    others.mkdir()
    (others / "kept").write_text("of another client")
    orphans(scene, others=str(others)).run()
    days_later(monkeypatch, 4)
    job, move, again = orphans(scene, others=str(others)), moved_files.move, Orphans.survey

    def moving(*parts: Any) -> None:
        move(*parts)
        monkeypatch.setattr(moved_files, "move", move)
        change(others)

    def surveyed(self: Orphans, **more: Any) -> Any:
        found = again(self, **more)
        change(others)
        monkeypatch.setattr(Orphans, "survey", again)
        return found

    monkeypatch.setattr(*((moved_files, "move", moving) if after else (Orphans, "survey", surveyed)))
    with pytest.raises(UserError, match=r"\(others\)"):
        job.run()
    assert (scene.downloads / "loose").read_text() == "of no item"
    assert scene.quarantined() == {}


@pytest.mark.parametrize("phase", ["stopping", "moving", "erasing"])
@pytest.mark.parametrize("start", [False, True], ids=["stopped", "started"])
def test_an_item_that_is_loaded_again_elsewhere_stays_as_it_is(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, phase: RemovalPhase, start: bool
) -> None:
    path = scene.write("One")
    content = content_of(path)
    metafile = make_metafile("One", content=path, announce=SILENT)
    one = scene.add(path)
    new = scene.folder / "elsewhere"
    shutil.copytree(path, new / "One")

    def load_again() -> None:
        scene.client.call("d.erase", one)
        eventually(lambda: not scene.has(one))
        command = "load.raw_start" if start else "load.raw"
        eventually(lambda: scene.client.call(command, "", metafile, f"d.directory.set={new}") == 0 and scene.has(one))
        if start:
            eventually(lambda: scene.seeds(one))

    at_phase(monkeypatch, phase, load_again)
    with pytest.raises(UserError, match="One stays"):
        scene.job(data="delete").run()
    assert scene.client.call("d.directory", one) == str(new / "One")
    assert scene.client.call("d.state", one) == int(start)
    assert content_of(path) == content
    assert len(content_of(new)) == len(content)
    assert (journals(scene), scene.quarantined()) == ([], {})


@pytest.mark.parametrize("phase", ["moving", "erasing"])
def test_an_item_that_was_loaded_again_elsewhere_after_a_kill_is_not_erased(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, phase: RemovalPhase
) -> None:
    path = scene.write("One")
    content = content_of(path)
    metafile = make_metafile("One", content=path, announce=SILENT)
    one = scene.add(path)
    kill_at(scene, monkeypatch, phase, data="delete")
    scene.client.call("d.erase", one)
    eventually(lambda: not scene.has(one))
    new = scene.folder / "elsewhere"
    new.mkdir()
    scene.client.call("load.raw", "", metafile, f"d.directory.set={new}")
    eventually(lambda: scene.has(one))
    scene.job(data="quarantine", condition="name=None").run()
    assert scene.client.multicall([("d.directory", (one,)), ("d.state", (one,))]) == [str(new / "One"), 0]
    assert content_of(path) == content
    assert (journals(scene), scene.quarantined()) == ([], {})


@pytest.mark.parametrize("data", ["keep", "quarantine"])
def test_an_interrupted_removal_that_moved_nothing_is_decided_again(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    """Its journal may be from a backup: the owner has kept the item, and stopped it."""
    one = scene.item("One")
    kill_at(scene, monkeypatch, "erasing" if data == "keep" else "stopping", data=data)
    (journal,) = journals(scene)
    old = journal.read_bytes()
    scene.job(data="keep", condition="name=None").run()
    eventually(lambda: scene.seeds(one))
    scene.client.multicall([("d.stop", (one,)), ("d.close", (one,))])
    journal.write_bytes(old)
    scene.job(data="keep", condition="name=None").run()
    assert scene.has(one)
    assert journals(scene) == []


@pytest.mark.parametrize("kind", ["truncated", "of another item", "no JSON", "empty"])
def test_a_journal_that_cannot_be_used_removes_nothing(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = scene.write("One")
    content = content_of(path)
    one = scene.add(path)
    kill_at(scene, monkeypatch, "erasing", data="delete")
    (journal,) = journals(scene)
    whole = journal.read_bytes()
    if kind == "of another item":
        journal.rename(journal.with_name(f"{'A' * 40}.json"))
    else:
        journal.write_bytes({"truncated": whole[:-40], "no JSON": b"\0" * 4096, "empty": b""}[kind])
    with pytest.raises(UserError, match=r"cannot be used: .* may be in the quarantine"):
        scene.job(data="delete").run()
    assert scene.has(one)
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    assert list(content_of(entry.folder / "data").values()) == list(content.values())
    assert any("cannot be used" in note for note in scene.job(data="keep").notes())
    for each in journals(scene):
        each.unlink()
    journal.write_bytes(whole)
    scene.job(data="delete").run()
    assert not scene.has(one)


def test_an_interrupted_removal_is_noted_while_no_run_finishes_it(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    kill_at(scene, monkeypatch, "erasing", data="quarantine")
    job = scene.job(data="quarantine", dry_run="True")
    job.run()
    assert scene.has(one)
    assert [note for note in job.notes() if note.startswith("the removal of One has begun and has not ended")]
    scene.job(data="quarantine", condition="name=None").run()
    assert job.notes() == scene.job(data="quarantine").notes()


def test_no_folder_is_created_for_a_disk_that_is_not_mounted(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("disk/One")
    content = content_of(path)
    disk = path.parent
    one = scene.add(path)
    kill_at(scene, monkeypatch, "erasing", data="quarantine", below=str(disk))
    disk.rename(scene.folder / "unmounted")
    disk.mkdir()
    with pytest.raises(UserError, match=r"One could not be put back as it was: .*No such file"):
        scene.job(data="keep", condition="name=None").run()
    assert list(disk.iterdir()) == []
    assert len(journals(scene)) == 1
    disk.rmdir()
    (scene.folder / "unmounted").rename(disk)
    with monkeypatch.context() as patch:
        patch.setattr(Remover, "_is_complete", never)  # it could be erased, but is to be put back
        scene.job(data="keep", condition="name=None").run()
    eventually(lambda: scene.seeds(one))
    assert content_of(path) == content
    assert journals(scene) == []


@pytest.mark.parametrize("name", ["b", "n" * 255, "\N{SNOWMAN}" * 85], ids=["short", "long", "long in UTF-8"])
def test_an_item_that_is_started_while_its_files_are_away_is_complete_again(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """rTorrent creates its files empty, and takes it for incomplete: it must not be downloaded again."""
    path = scene.write("One", ("a", name))
    content = content_of(path)
    one = scene.add(path)

    def start() -> None:
        scene.client.call("d.start", one)
        empty = [("d.complete", (one,)), ("d.hashing", (one,))]
        eventually(lambda: scene.client.multicall(empty) == [0, 0])
        for each in content:  # 0.16 creates them when it writes
            each.parent.mkdir(exist_ok=True)
            each.touch()
            os.truncate(each, 40_000)

    at_phase(monkeypatch, "erasing", start)
    with pytest.raises(UserError, match="it was started in the meantime"):
        scene.job(data="delete").run()
    eventually(lambda: scene.seeds(one), why="it is complete")
    assert content_of(path) == content
    assert (journals(scene), scene.quarantined()) == ([], {})


def test_a_check_that_begins_while_files_are_away_is_repeated(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("One")
    content = content_of(path)
    one = scene.add(path)

    def check() -> None:
        scene.client.call("d.check_hash", one)
        eventually(lambda: scene.client.call("d.hashing", one) == 0)

    at_phase(monkeypatch, "erasing", check)
    with pytest.raises(UserError, match="One stays"):
        scene.job(data="delete").run()
    eventually(lambda: scene.seeds(one), why="it is complete")
    assert content_of(path) == content


@pytest.mark.parametrize("what", ["a link", "another folder", "a file"])
@pytest.mark.parametrize("phase", ["stopping", "moving"])
def test_a_folder_that_is_replaced_before_the_files_move_keeps_them(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, what: str, phase: RemovalPhase
) -> None:
    path = scene.write("One")
    content = content_of(path)
    one = scene.add(path)
    aside, foreign = scene.folder / "aside", scene.folder / "foreign"
    shutil.copytree(path, foreign)
    untouched = content_of(foreign)

    def replace() -> None:
        path.rename(aside)
        if what == "a link":
            path.symlink_to(foreign)
        elif what == "another folder":
            shutil.copytree(foreign, path)
        else:
            path.write_text("a file")

    at_phase(monkeypatch, phase, replace)
    with pytest.raises(UserError, match="One stays"):
        scene.job(data="delete").run()
    assert scene.has(one)
    assert content_of(foreign) == untouched
    assert list(content_of(aside).values()) == list(content.values())
    if what == "another folder":
        assert content_of(path) == content


def test_a_link_that_is_made_after_the_plan_keeps_the_item(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("One")
    one = scene.add(path)
    at_phase(monkeypatch, "stopping", lambda: os.link(path / "a", scene.folder / "library"))
    with pytest.raises(UserError, match="One stays: 1 file also linked from elsewhere"):
        scene.job(data="delete").run()
    eventually(lambda: scene.seeds(one))


def test_a_link_that_is_made_while_files_move_keeps_its_data(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("One")
    one, content = scene.add(path), (path / "a").read_bytes()
    at_phase(monkeypatch, "moving", lambda: os.link(path / "a", scene.folder / "library"))
    scene.job(data="delete").run()
    assert not scene.has(one)
    assert (scene.folder / "library").read_bytes() == content


def test_a_group_waits_for_one_that_cleans_a_folder_around_or_inside(scene: CleanupScene) -> None:
    path = scene.write("tv/One")
    one = scene.add(path)
    outer = scene.job(data="quarantine")
    own = context.current_context()
    context.set_context(context.JobContext(state_dir=scene.folder / "another state", url=scene.running.url))
    inner = scene.job(data="quarantine", below=str(scene.downloads / "tv"))
    context.set_context(own)
    with outer.locked():
        inner.run()
    assert scene.seeds(one)
    with inner.locked():
        outer.run()
    assert scene.seeds(one)
    (scene.downloads / "films").mkdir()
    with inner.locked(), scene.job(data="quarantine", below=str(scene.downloads / "films")).locked():
        pass  # beside each other
    outer.run()
    assert not scene.has(one)


def test_restored_folders_have_their_modes(scene: CleanupScene) -> None:
    path = scene.write("One", ("a", "sub/b", "sub/deep/c"))
    one = scene.add(path)
    modes = {path: 0o2775, path / "sub": 0o750, path / "sub/deep": 0o777}
    for folder, mode in modes.items():
        folder.chmod(mode)
    scene.job(data="quarantine").run()
    assert not path.exists()
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    assert stat.S_IMODE(entry.folder.stat().st_mode) == 0o700, "others cannot see what was removed"
    restore(scene.client, entry)
    eventually(lambda: scene.seeds(one))
    assert {folder: stat.S_IMODE(folder.stat().st_mode) for folder in modes} == modes


def test_an_item_with_one_file_in_a_shared_folder_takes_only_that(scene: CleanupScene) -> None:
    (scene.downloads / "shared").mkdir()
    (scene.downloads / "shared/of the owner").write_text("stays")
    one, two = scene.item("shared/one.mkv", ()), scene.item("shared/two.mkv", ())
    scene.job(condition=f"hash={one}", data="delete").run()
    assert (scene.has(one), scene.seeds(two)) == (False, True)
    assert sorted(os.listdir(scene.downloads / "shared")) == ["of the owner", "two.mkv"]


def test_names_in_two_normal_forms_are_two_files(scene: CleanupScene) -> None:
    names = ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}", "line\nbreak", "b\\n")
    path = scene.write("One", names)
    content = content_of(path)
    one = scene.add(path)
    scene.job(data="quarantine").run()
    assert not path.exists()
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    restore(scene.client, entry)
    eventually(lambda: scene.seeds(one))
    assert content_of(path) == content


def test_a_journal_of_before_is_understood(scene: CleanupScene) -> None:
    """Fields that were added since have defaults."""
    record = RemovalRecord(info_hash="A" * 40, name="Gone", job="tidy", reason="", data="keep", at=1.0)
    fields = {key: value for key, value in msgspec.to_builtins(record).items() if key not in ("chunks_done", "seal")}
    folder = scene.state / "housekeeping/removals"
    folder.mkdir(parents=True)
    (folder / f"{'A' * 40}.json").write_bytes(encode_json(fields))
    scene.item("Other")
    scene.job(condition="name=None").run()
    assert journals(scene) == []
