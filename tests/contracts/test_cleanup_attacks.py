"""What attacks on the clean-up have found, on a real rTorrent: each with the rule that was missing."""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from demo.metafiles import bencode, info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.confinement import StorageLimits
from pyrotorque.errors import AlreadyRunning, RemovalRefused, UserError
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.activity import read_activity
from pyrotorque.housekeeping.cleanup_state import accept_items
from pyrotorque.housekeeping.journal import RemovalJournal, RemovalRecord
from pyrotorque.housekeeping.pending_magnets import accept_magnets
from pyrotorque.housekeeping.quarantine_mark import is_quarantine as is_marked
from pyrotorque.housekeeping.restore import restore
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.cleanup import Cleanup
from pyrotorque.jobs.orphans import Orphans
from pyrotorque.metafile.parser import dictionary
from pyrotorque.text import encode_json
from pyrotorque_watcher.scan.files import is_metafile
from tests.cleaning import SILENT, CleanupScene, days_later
from tests.waiting import eventually

MAGNET = "magnet:?xt=urn:btih:{}&dn=pending&tr=udp://127.0.0.1:1/announce"


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def orphans(scene: CleanupScene, **settings: Any) -> Orphans:
    values = {"job_name": "orphans", "schedule": "hour=5", "below": str(scene.downloads), "others": "none"}
    return Orphans(JobConfig({**values, "max_percent": 100, **settings}))


@pytest.mark.parametrize(
    "changed", [{"data": "delete"}, {"keep_for": "1h"}, {"quarantine": "trash"}], ids=["data", "keep_for", "quarantine"]
)
def test_an_approval_is_for_one_effect_only(scene: CleanupScene, changed: dict[str, str]) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(6)]
    settings = {"data": "quarantine", "max_percent": 10}
    job = scene.job(**settings)
    with pytest.raises(UserError, match="6 items of 6 would be removed"):
        job.run()
    job.stored().approve(job.clock.now())
    if "quarantine" in changed:
        changed = {"quarantine": str(scene.downloads / "trash")}
    with pytest.raises(UserError, match="6 items of 6 would be removed"):
        scene.job(**{**settings, **changed}).run()
    assert all(map(scene.seeds, found))
    scene.job(**settings).run()
    assert not any(map(scene.has, found))
    assert len(scene.quarantined()) == 6


def test_an_approval_is_not_for_files_that_were_replaced(scene: CleanupScene) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(6)]
    job = scene.job(data="delete", max_percent=10)
    with pytest.raises(UserError, match="6 items of 6 would be removed"):
        job.run()
    job.stored().approve(job.clock.now())
    shutil.copy(scene.downloads / "Item-0", scene.downloads / "other")
    os.replace(scene.downloads / "other", scene.downloads / "Item-0")
    job.run()  # five of the six are as they were, and one is not too many
    assert sum(map(scene.has, found)) == 0


def test_a_magnet_link_without_metadata_may_have_any_files(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    (scene.downloads / "loose").write_text("perhaps of the magnet link")
    orphans(scene).run()
    pending = info_hash(make_metafile("One", content=scene.downloads / "One", info_extra={"source": "pending"}))
    scene.client.call("load.start", "", MAGNET.format(pending))
    eventually(lambda: scene.client.call("d.is_meta", pending) == 1, 20)
    days_later(monkeypatch, 4)
    kept = scene.job(condition=f"hash={one}", data="delete").preview().plan.kept
    assert (kept[one].reason, pending in kept[one].text) == ("magnet", True)
    for job in (orphans(scene), scene.job(condition=f"hash={one}", data="delete")):
        with pytest.raises(UserError, match=f"{pending}.* is a magnet link without metadata.* --accept-magnets"):
            job.run()
    assert scene.seeds(one)


def test_an_owner_confirms_that_no_data_is_kept_for_magnet_links(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = scene.item("One"), scene.item("Two")
    (scene.downloads / "loose").write_text("of no item")
    orphans(scene).run()
    first, second = ("1" * 40, "2" * 40)
    scene.client.call("load.start", "", MAGNET.format(first))
    eventually(lambda: scene.client.call("d.is_meta", first) == 1, 20)
    job = scene.job(condition=f"hash={one},{two}", data="delete", max_items=1)
    assert job.reader.read().claims.magnets == {first}
    accept_magnets(job.folder, {first})
    job.run()
    assert [scene.has(each) for each in (one, two)].count(True) == 1
    days_later(monkeypatch, 4)
    orphans(scene).run()
    assert not (scene.downloads / "loose").exists()
    scene.client.call("load.start", "", MAGNET.format(second))
    eventually(lambda: scene.client.call("d.is_meta", second) == 1, 20)
    with pytest.raises(UserError, match=f"{second}.* is a magnet link"):
        scene.job(condition=f"hash={one},{two}", data="delete", max_items=2).run()
    assert [scene.has(each) for each in (one, two)].count(True) == 1, "the confirmation was not for this one"


class OtherSession:
    """A session of another rTorrent with a twin of an item: other hash, same files."""

    def __init__(self, scene: CleanupScene, path: Path) -> None:
        self.folder = scene.folder / "other session"
        self.folder.mkdir()
        self.twin = scene.add(path, salt="twin")
        scene.running.stop(timeout=5)
        for suffix in ("", ".rtorrent", ".libtorrent_resume"):
            os.rename(scene.running.session / f"{self.twin}.torrent{suffix}", self.file(suffix))
        scene.running.start()

    def file(self, suffix: str = "") -> Path:
        return self.folder / f"{self.twin}.torrent{suffix}"

    def set_attributes(self, **changed: bytes) -> None:
        saved: Mapping[Any, Any] = dictionary(self.file(".rtorrent").read_bytes()) or {}
        values = {**saved, **{key.encode(): value for key, value in changed.items()}}
        self.file(".rtorrent").write_bytes(bencode(values))


@pytest.mark.parametrize("kind", ["as it is", "no attributes", "magnet", "other size here", "not here"])
def test_an_item_of_another_session_that_is_not_known_keeps_the_data(scene: CleanupScene, kind: str) -> None:
    path = scene.write("One")
    one = scene.add(path)
    other = OtherSession(scene, path)
    eventually(lambda: scene.seeds(one), 20)
    if kind == "no attributes":
        other.file(".rtorrent").unlink()
    elif kind == "magnet":
        other.file().write_bytes(bencode({"info": {"meta_download": 1, "name": f"{other.twin}.meta"}}))
    elif kind == "other size here":
        elsewhere = scene.folder / "elsewhere/One"
        (elsewhere / "sub").mkdir(parents=True)
        for name in ("a", "sub/b"):
            (elsewhere / name).write_text("of another container")
        other.set_attributes(directory=os.fsencode(elsewhere))
    elif kind == "not here":
        other.set_attributes(directory=b"/data of another container/One")
    job = scene.job(data="delete", others=str(other.folder))
    if kind == "no attributes":
        with pytest.raises(UserError, match=r"\(others\) cannot be read"):
            job.run()
    else:
        assert {each.reason for each in job.preview().plan.kept.values()} <= {"unknown", "shared", "magnet"}
        with pytest.raises(UserError, match="is a magnet link") if kind == "magnet" else nullcontext():
            job.run()
    assert scene.is_intact(one)


def test_orphans_leave_the_quarantine_of_another_job_alone(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    scene.item("Other")
    trash = scene.downloads / "trash"
    scene.job(condition=f"hash={one}", data="quarantine", quarantine=str(trash)).run()
    before = sorted(path for path in trash.rglob("*") if path.is_file())
    (scene.downloads / "loose").write_text("of no item")
    (scene.downloads / "README").write_text("of no quarantine")
    orphans(scene).run()
    days_later(monkeypatch, 4)
    orphans(scene).run()
    assert sorted(path for path in trash.rglob("*") if path.is_file()) == before
    assert [entry.removal.info_hash for entry in quarantine.entries(trash)] == [one]
    assert not (scene.downloads / "loose").exists()
    assert not (scene.downloads / "README").exists()


def before_erase(job: Cleanup, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, after: bool) -> None:
    """Let something happen right before the command that erases, or right after it."""
    remover = job.remover
    erase: Callable[[object, object], None] = vars(type(remover))["_erase"]

    def changed(self: object, removal: object) -> None:
        if not after:
            act()
        erase(remover, removal)
        if after:
            act()

    monkeypatch.setattr(type(remover), "_erase", changed)


def test_an_item_that_another_program_erases_keeps_its_data_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    job = scene.job(data="delete")
    before_erase(job, monkeypatch, lambda: scene.client.call("d.erase", one), after=False)
    job.run()
    assert not scene.has(one)
    assert scene.quarantined() == {one: ["a", "sub/b"]}


@pytest.mark.parametrize("via", ["the same folder", "a linked folder"])
def test_a_twin_that_is_started_during_the_removal_keeps_the_data_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, via: str
) -> None:
    """rTorrent creates the files of a started item at once, so that it misses none."""
    path = scene.write("One")
    twin = make_metafile("One", content=path, announce=SILENT, info_extra={"source": "x"})
    one = scene.add(path)
    folder = scene.downloads
    if via == "a linked folder":
        folder = scene.folder / "linked"
        folder.symlink_to(scene.downloads)

    def load() -> None:
        scene.client.call("load.raw_start", "", twin, f"d.directory.set={folder}")
        eventually(lambda: (path / "sub/b").exists(), 20, why="rTorrent creates the files")

    job = scene.job(data="delete")
    before_erase(job, monkeypatch, load, after=True)
    job.run()
    assert not scene.has(one)
    assert scene.quarantined() == {one: ["a", "sub/b"]}


def test_no_name_in_a_quarantine_is_one_that_a_tree_watch_loads(scene: CleanupScene) -> None:
    scene.item("One")
    trash = scene.downloads / "trash"
    scene.job(data="quarantine", quarantine=str(trash)).run()
    (entry,) = quarantine.entries(trash)
    assert [path for path in trash.rglob("*") if is_metafile(os.fsencode(path.name))] == []
    # As entries were written before.
    os.rename(entry.folder / "item.metafile", entry.folder / "item.torrent")
    restore(scene.client, entry)
    eventually(lambda: scene.seeds(entry.removal.info_hash), 20)
    assert not entry.folder.exists()


def test_a_restore_follows_no_link_out_of_the_folders(scene: CleanupScene) -> None:
    path = scene.write("tv/One")
    one = scene.add(path)
    scene.job(data="quarantine").run()
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    elsewhere = scene.folder / "elsewhere"
    elsewhere.mkdir()
    (scene.downloads / "tv").rmdir()
    (scene.downloads / "tv").symlink_to(elsewhere)
    with pytest.raises(RemovalRefused, match="is not below"):
        restore(scene.client, entry, limits=StorageLimits((scene.downloads,), ()))
    assert list(elsewhere.iterdir()) == []
    assert scene.quarantined() == {one: ["a", "sub/b"]}


@pytest.mark.parametrize("act", ["restore", "purge"])
def test_a_disk_that_comes_back_with_another_number_is_the_same(scene: CleanupScene, act: str) -> None:
    one = scene.item("One")
    scene.job(data="quarantine").run()
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    files = tuple(msgspec.structs.replace(file, device=file.device + 1) for file in entry.removal.files)
    (entry.folder / "entry.json").write_bytes(encode_json(msgspec.structs.replace(entry.removal, files=files)))
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    if act == "purge":
        freed, stay = quarantine.purge(entry)
        assert (freed >= 80_000, stay) == (True, [])
    else:
        restore(scene.client, entry)
        eventually(lambda: scene.seeds(one), 20)
    assert not entry.folder.exists()


def test_a_file_that_another_process_has_open_keeps_the_item_running(scene: CleanupScene) -> None:
    one = scene.item("One")
    started = scene.client.call("d.state_counter", one)
    with open(scene.downloads / "One/a", "rb"), pytest.raises(UserError, match="another process has one of its files"):
        scene.job(data="quarantine").run()
    assert scene.seeds(one)
    assert scene.client.call("d.state_counter", one) == started, "it was not stopped"
    scene.job(data="quarantine").run()
    assert not scene.has(one)


@pytest.mark.parametrize("names", [("A.fastresume",), ("x.resume",), ("torrents.state",), ("torrents", "resume")])
def test_the_session_of_another_client_is_no_folder_of_data(scene: CleanupScene, names: tuple[str, ...]) -> None:
    one = scene.item("One")
    folder = scene.folder / "client"
    folder.mkdir()
    for name in names:
        (folder / name).mkdir() if len(names) > 1 else (folder / name).write_text("x")
    with pytest.raises(UserError, match="is the session of another client than rTorrent"):
        scene.job(data="delete", others=str(folder)).run()
    assert scene.seeds(one)


def test_what_an_item_misses_is_not_purged(scene: CleanupScene) -> None:
    path = scene.write("One")
    metafile = make_metafile("One", content=path, announce=SILENT)
    one = scene.add(path)
    scene.job(data="quarantine", keep_for="1s").run()
    scene.client.call("load.raw", "", metafile)
    eventually(lambda: scene.has(one), 20)
    job = scene.job(data="quarantine", condition="name=None", keep_for="1s")
    eventually(
        lambda: job.clock.now() > next(iter(quarantine.entries(scene.downloads / quarantine.NAME))).removal.purge_at
    )
    job.run()
    assert scene.quarantined() == {one: ["a", "sub/b"]}


def test_a_confirmation_is_for_the_next_run_only(scene: CleanupScene) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(4)]
    job = scene.job(condition="name=None", data="delete")
    job.run()
    accept_items(job.folder, 2, job.clock.now())
    job.run()  # it was not needed
    for each in found[:2]:
        scene.client.call("d.erase", each)
    with pytest.raises(UserError, match="has 2 items, 4 at the last time"):
        job.run()
    accept_items(job.folder, 2, job.clock.now() - 2 * 86_400)
    job.run()  # reported before, and still refused
    assert len(read_activity(job.folder).items) == 4
    accept_items(job.folder, 2, job.clock.now())
    job.run()
    assert len(read_activity(job.folder).items) == 2


def write_deselected(path: Path, kind: str, original: bytes) -> None:
    """The second file of two, as its owner or rTorrent may have left it; 9152 of 40,000 bytes share a chunk."""
    content = {
        "10 bytes": b"0123456789",
        "other size": os.urandom(39_000),
        "same size": os.urandom(len(original)),
        "larger": os.urandom(len(original) + 100),
        "empty": b"",
        "hole": b"",
    }
    path.write_bytes(content.get(kind, original[:9152]))
    if "hole" in kind:
        os.truncate(path, len(original))


@pytest.mark.parametrize(
    ("kind", "size", "is_foreign"),
    [
        *((kind, 65_536, True) for kind in ("10 bytes", "other size", "same size", "larger")),
        *((kind, 65_536, False) for kind in ("empty", "hole")),
        *((kind, 40_000, False) for kind in ("shared chunk", "shared chunk and hole")),
    ],
)
def test_a_deselected_file_that_rtorrent_has_not_written_keeps_the_item(
    scene: CleanupScene, kind: str, size: int, is_foreign: bool
) -> None:
    path = scene.write("One", ("a", "b"), size=size)
    original = (path / "b").read_bytes()
    one = scene.add(path, start=False)
    write_deselected(path / "b", kind, original)
    before = (path / "b").read_bytes()
    scene.client.call("f.priority.set", f"{one}:f1", 0)
    scene.client.call("d.update_priorities", one)
    scene.client.call("d.check_hash", one)
    eventually(lambda: scene.client.call("d.is_hash_checked", one) == 1, 20, why="it is checked")
    eventually(lambda: scene.client.call("d.is_partially_done", one) == 1, 20, why="what is wanted is there")
    assert (path / "b").read_bytes().startswith(before)
    job = scene.job(condition="is_wanted_done=yes", data="delete")
    kept = job.preview().plan.kept
    assert [each.reason for each in kept.values()] == (["changed"] if is_foreign else [])
    job.run()
    assert scene.has(one) == is_foreign


@pytest.mark.parametrize("what", ["handler", "protected"])
@pytest.mark.parametrize("data", ["keep", "quarantine"])
def test_what_changes_while_files_are_moved_keeps_the_item(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, what: str, data: str
) -> None:
    one = scene.item("One")
    job = scene.job(data=data)
    write = RemovalJournal.write

    def changing(self: RemovalJournal, removal: RemovalRecord) -> RemovalRecord:
        if removal.phase == "erasing":
            if what == "handler":
                words = ("event.download.erased", "late", "execute.nothrow=rm,-rf,$d.base_path=")
                scene.client.call("method.set_key", "", *words)
            else:
                scene.client.call("d.custom.set", one, "tags", "keep")
        return write(self, removal)

    monkeypatch.setattr(RemovalJournal, "write", changing)
    with pytest.raises(UserError, match="One stays"):
        job.run()
    eventually(lambda: scene.seeds(one), 20)
    assert scene.is_intact(one)
    assert scene.quarantined() == {}


def test_a_name_that_is_too_long_for_the_disk_stops_no_clean_up(scene: CleanupScene) -> None:
    one = scene.item("One")
    long = make_metafile("x" * 300, announce=SILENT)
    scene.client.call("load.raw", "", long)
    eventually(lambda: scene.has(info_hash(long)), 20)
    scene.job(condition="name=One", data="delete").run()
    assert not scene.has(one)


def test_a_magnet_link_that_is_loaded_during_the_removal_keeps_the_data_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    pending = "A" * 40

    def load() -> None:
        scene.client.call("load.normal", "", MAGNET.format(pending))
        eventually(lambda: scene.client.call("d.is_meta", pending) == 1, 20)

    job = scene.job(data="delete")
    before_erase(job, monkeypatch, load, after=True)
    job.run()
    assert scene.quarantined() == {one: ["a", "sub/b"]}


def test_two_groups_do_not_clean_the_same_folders_at_once(scene: CleanupScene) -> None:
    one = scene.item("One")
    first = scene.job(data="quarantine")
    own = context.current_context()
    context.set_context(context.JobContext(state_dir=scene.folder / "another state", url=scene.running.url))
    second = scene.job(data="quarantine")
    context.set_context(own)
    with first.locked():
        second.run()
        assert scene.seeds(one)
        with pytest.raises(AlreadyRunning, match="another clean-up is running in"), second.locked():
            pass
    second.run()
    assert not scene.has(one)


def test_an_item_that_is_loaded_while_orphans_are_moved_has_its_files_back(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.item("Other")
    path = scene.write("Late", ())
    metafile = make_metafile("Late", content=path, announce=SILENT)
    orphans(scene).run()
    days_later(monkeypatch, 4)
    job = orphans(scene)
    move = moved_files.move

    def load_after(*parts: Any) -> None:
        move(*parts)
        monkeypatch.setattr(moved_files, "move", move)
        scene.client.call("load.raw", "", metafile)
        eventually(lambda: scene.has(info_hash(metafile)), 20)

    monkeypatch.setattr(moved_files, "move", load_after)
    with pytest.raises(UserError, match="Late may have one of the files that were just moved: all are back"):
        job.run()
    assert scene.quarantined() == {}
    assert scene.is_intact(info_hash(metafile))


@pytest.mark.parametrize(("name", "is_kept"), [("Two", True), ("watched.torrent.loaded", False), ("x.TORRENT", False)])
def test_a_file_that_an_item_is_tied_to_goes_only_if_it_is_a_metafile(
    scene: CleanupScene, name: str, is_kept: bool
) -> None:
    one, tied = scene.item("One"), scene.downloads / name
    tied.write_text("tied")
    scene.client.call("d.tied_to_file.set", one, str(tied))
    scene.job(condition=f"hash={one}", data="keep").run()
    assert not scene.has(one)
    assert tied.exists() == is_kept


@pytest.mark.parametrize("where", ["describe", "purge"])
def test_an_error_of_the_disk_ends_one_removal_and_not_all_runs(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    one = scene.item("One")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    data = "quarantine" if where == "describe" else "delete"
    with monkeypatch.context() as patch:
        patch.setattr(quarantine, where, fail)
        with pytest.raises(UserError, match=r"One is erased, but .*No space left on device"):
            scene.job(data=data).run()
        if where == "describe":
            with pytest.raises(UserError, match=r"an interrupted removal cannot be finished: .*No space"):
                scene.job(data=data).run()
    scene.job(data=data).run()
    assert not scene.has(one)
    assert scene.quarantined() == {one: ["a", "sub/b"]}
    assert not list((scene.state / "housekeeping/removals").iterdir())


def test_an_entry_whose_restore_has_begun_is_kept(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene.item("One")
    job = scene.job(data="quarantine", keep_for="1s")
    job.run()
    (entry,) = quarantine.entries(scene.downloads / quarantine.NAME)
    scene.write("One", ("sub/b",))  # in the way
    with pytest.raises(RemovalRefused, match="exists and is not overwritten"):
        restore(scene.client, entry, now=job.clock.now())
    days_later(monkeypatch, 6)
    scene.job(data="quarantine", condition="name=None").run()
    assert list(scene.quarantined()) == [one]


def test_entries_that_a_torrent_planted_are_none(scene: CleanupScene) -> None:
    """rTorrent stores a torrent of this name where the quarantine is: nothing of it is restored or purged."""
    place, home = scene.downloads / quarantine.NAME, scene.folder / "home"
    home.mkdir()
    planted = make_metafile("authorized_keys", size=100, announce=SILENT)
    for number, purge_at in enumerate((0.0, 1e12)):
        entry = place / f"20200101T00000{number}Z-{info_hash(planted)}"
        (entry / "data").mkdir(parents=True)
        record = RemovalRecord(
            info_hash=info_hash(planted), name="Ubuntu", job="tidy", reason="", data="quarantine", at=1.0,
            phase="erased", directory_hex=os.fsencode(home).hex(), purge_at=purge_at, seal="a" * 64 + ":" + "b" * 64,
        )  # fmt: skip
        (entry / "entry.json").write_bytes(encode_json(record))
        (entry / "item.metafile").write_bytes(planted)
    (place / "README").write_bytes(b"Data of removed items. Use `pyrotorque quarantine list`, `restore` and `purge`.\n")
    evil = scene.add(place)
    job = scene.job(condition="name=none")
    assert list(quarantine.entries(place, job.seals)) == []
    job.run()
    assert scene.is_intact(evil)
    # Entries of this group are beside them.
    own = scene.item("Own")
    scene.job(condition="name=Own", data="quarantine").run()
    (found,) = quarantine.entries(place, scene.job().seals)
    assert (found.removal.info_hash, scene.has(own)) == (own, False)
    restore(scene.client, found)
    assert scene.is_intact(own)


def test_a_quarantine_that_its_owner_made_has_the_mark_too(scene: CleanupScene) -> None:
    trash = scene.downloads / "trash"
    trash.mkdir()
    scene.item("One")
    scene.job(data="quarantine", quarantine=str(trash)).run()
    assert is_marked(os.fsencode(trash))
