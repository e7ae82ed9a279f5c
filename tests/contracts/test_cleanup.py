"""A clean-up on a real rTorrent: what goes, what stays, and that data comes back from quarantine."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque import tolerance
from pyrotorque.errors import ConditionError, RemovalRefused, RequestTooLarge, RTorrentFault, UserError
from pyrotorque.events import QuarantinePurged, TorrentRemoved
from pyrotorque.housekeeping import inventory, quarantine
from pyrotorque.housekeeping.quarantine import QuarantineEntry
from pyrotorque.housekeeping.restore import restore
from pyrotorque.rtorrent.session import Session
from pyrotorque.tracker_change import apply_change, find_changes
from tests.cleaning import SILENT, CleanupScene, days_later
from tests.waiting import eventually


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def test_an_item_goes_and_its_data_stays_with_keep(scene: CleanupScene) -> None:
    one, other = scene.item("One"), scene.item("Other")
    scene.job(condition="name=One").run()
    assert not scene.has(one)
    assert (scene.downloads / "One/sub/b").exists()
    assert scene.seeds(other)


@pytest.mark.parametrize("files", [("a", "sub/b"), ()], ids=["folder", "file"])
def test_data_goes_to_quarantine_with_the_metafile(scene: CleanupScene, files: tuple[str, ...]) -> None:
    one, other = scene.item("One", files), scene.item("Other")
    scene.job(condition="name=One", data="quarantine").run()
    assert not scene.has(one)
    assert not os.path.lexists(scene.downloads / "One")
    assert scene.quarantined() == {one: sorted(files) or ["One"]}
    assert scene.is_intact(other)
    (entry,) = (scene.downloads / ".pyrotorque-quarantine").glob(f"*-{one}")
    assert {path.name for path in entry.iterdir()} >= {"item.metafile", "item.rtorrent", "entry.json", "data"}


def test_data_is_deleted_and_nothing_is_left_over(scene: CleanupScene) -> None:
    one, other = scene.item("One"), scene.item("Other")
    scene.job(condition="name=One", data="delete").run()
    assert not scene.has(one)
    assert not os.path.lexists(scene.downloads / "One")
    assert scene.quarantined() == {}
    assert not list((scene.state / "housekeeping/removals").iterdir())
    assert scene.is_intact(other)
    (event,) = scene.events.values()
    assert isinstance(event, TorrentRemoved)
    assert (event.info_hash, event.data, event.files, event.quarantine) == (one, "delete", 2, "")
    assert event.freed == event.size >= 80_000


def test_a_dry_run_and_a_preview_change_nothing(scene: CleanupScene) -> None:
    one = scene.item("One")
    found = scene.job(data="delete").preview()
    assert [each.candidate.info_hash for each in found.plan.removals] == [one]
    assert found.plan.frees >= 80_000
    scene.job(data="delete", dry_run=True).run()
    assert scene.seeds(one)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("protect", "tagged = keep"),
        ("protect", 'tagged="keep me"'),
        ("condition", '!tagged="keep"'),
        ("condition", "is_complete=yes [ NOT tagged= keep ]"),
        ("rule.1.condition", "!tagged=keep"),
    ],
)
def test_a_condition_that_cannot_mean_what_was_typed_removes_nothing(
    scene: CleanupScene, setting: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker reports such conditions of jobs that 1.0.0 had, and uses them."""
    reported: list[ConditionError] = []
    monkeypatch.setattr(tolerance, "_default", reported.append)
    one = scene.item("One")
    scene.client.call("d.custom.set", one, "tags", "keep me")
    with pytest.raises(ConditionError):
        scene.job(**{setting: text}).run()
    assert scene.seeds(one)


@pytest.mark.parametrize("kind", ["same path", "linked folder", "hard link"])
@pytest.mark.parametrize("data", ["quarantine", "delete"])
def test_no_file_goes_that_a_remaining_item_has(scene: CleanupScene, kind: str, data: str) -> None:
    path = scene.write("One")
    (scene.folder / "elsewhere").mkdir()
    if kind == "same path":
        twin = path
    elif kind == "linked folder":
        (scene.folder / "elsewhere/linked").symlink_to(scene.downloads)
        twin = scene.folder / "elsewhere/linked/One"
    else:
        twin = scene.folder / "elsewhere/One"
        (twin / "sub").mkdir(parents=True)
        os.link(path / "a", twin / "a")
        os.link(path / "sub/b", twin / "sub/b")
    one, other = scene.add(path), scene.add(twin, "d.custom1.set=stays", salt="other")
    chosen = f"hash={one}"
    scene.job(condition=chosen, data=data).run()
    assert scene.has(one), "skipped, as it is set by default"
    scene.job(condition=chosen, data=data, shared="keep").run()
    assert not scene.has(one)
    assert (path / "a").exists() == (path / "sub/b").exists() == (kind != "hard link"), "a link keeps its data"
    assert scene.is_intact(other)


def test_items_that_share_files_go_together_or_not_at_all(scene: CleanupScene) -> None:
    path = scene.write("One")
    one, other = scene.add(path), scene.add(path, "d.custom.set=tags,keep", salt="other")
    scene.job(data="quarantine", shared="together").run()
    assert scene.has(one)
    assert scene.has(other), "it is protected by its tag, and both stay"
    scene.client.call("d.custom.set", other, "tags", "")
    scene.job(data="quarantine", shared="together").run()
    assert not scene.has(one)
    assert not scene.has(other)
    assert not path.exists()
    assert sorted(map(len, scene.quarantined().values())) == [0, 2]


def test_an_item_whose_directory_is_the_download_folder_takes_only_its_files(scene: CleanupScene) -> None:
    other = scene.item("Other")
    (scene.downloads / "loose").write_text("of no item" * 100)
    path = scene.write("Base")
    one = scene.add(path, start=False)
    for name in ("a", "sub/b"):
        (scene.downloads / name).parent.mkdir(exist_ok=True)
        os.rename(path / name, scene.downloads / name)
    (path / "sub").rmdir()
    path.rmdir()
    scene.client.call("d.directory_base.set", one, str(scene.downloads))
    scene.client.call("d.start", one)
    eventually(lambda: scene.seeds(one), 20)
    scene.job(condition=f"hash={one}", data="delete").run()
    assert not scene.has(one)
    assert not (scene.downloads / "a").exists()
    assert not (scene.downloads / "sub").exists()
    assert (scene.downloads / "loose").exists()
    assert scene.is_intact(other)


def test_a_hard_link_from_elsewhere_keeps_the_item(scene: CleanupScene) -> None:
    one = scene.item("One")
    os.link(scene.downloads / "One/a", scene.folder / "media")
    scene.job(data="delete").run()
    assert scene.seeds(one)
    scene.job(data="delete", linked="ignore").run()
    assert not scene.has(one)
    assert (scene.folder / "media").stat().st_size == 40_000


def test_links_and_folders_outside_keep_the_item(scene: CleanupScene) -> None:
    outside = scene.folder / "outside"
    outside.mkdir()
    found = [scene.item("Linked"), scene.item("File"), scene.add(scene.write(str(outside / "Away")))]
    for each in found:
        scene.client.call("d.stop", each)
        scene.client.call("d.close", each)
    for name in ("Linked/sub", "File/a"):
        os.rename(scene.downloads / name, outside / name.replace("/", "-"))
        (scene.downloads / name).symlink_to(outside / name.replace("/", "-"))
    kept = scene.job(data="delete").preview().plan.kept
    assert {kept[each].reason for each in found} <= {"outside", "special"}
    scene.job(data="delete").run()
    assert all(map(scene.has, found))
    assert len([path for path in outside.rglob("*") if path.is_file()]) == 4


def test_missing_and_changed_files_keep_the_item(scene: CleanupScene) -> None:
    missing, changed, twin = scene.item("Missing"), scene.item("Changed"), scene.item("Twin")
    for each in (missing, changed, twin):
        scene.client.call("d.stop", each)
        scene.client.call("d.close", each)
    (scene.downloads / "Missing/a").unlink()
    (scene.downloads / "Changed/a").write_bytes(b"of another program")
    kept = scene.job(data="delete").preview().plan.kept
    assert {each: kept[each].reason for each in (missing, changed, twin)} == {
        missing: "missing", changed: "changed", twin: "unknown",
    }  # fmt: skip


def test_names_of_every_kind_go_byte_for_byte(scene: CleanupScene) -> None:
    names = (b"Latin-\xe9", "Emoji-\U0001f600".encode(), b"%41", b"line\nbreak", b"$(x) `y`", b"..x")
    paths = [scene.write(name, (b"a", b"in \xff/b")) for name in names]
    found = [scene.add(path) for path in paths]
    other = scene.item("A")
    before = sorted(os.listdir(os.fsencode(scene.downloads)))
    assert all(name in before for name in names)
    scene.job(condition=f"NOT hash={other}", data="quarantine", max_items=0).run()
    assert [scene.has(each) for each in found] == [False] * len(found)
    assert sorted(os.listdir(os.fsencode(scene.downloads))) == [b".pyrotorque-quarantine", b"A"]
    assert {len(files) for files in scene.quarantined().values()} == {2}
    assert scene.is_intact(other)


def test_a_handler_that_removes_data_stops_the_job(rtorrent: PrivateRTorrent, scene: CleanupScene) -> None:
    one = scene.item("One")
    scene.client.call("method.set_key", "", "event.download.erased", "rm_data", "execute.nothrow=rm,-rf,$d.base_path=")
    for data in ("keep", "delete"):
        with pytest.raises(UserError, match="runs `execute"):
            scene.job(data=data).run()
        scene.state.joinpath("jobs/tidy/last-run.json").unlink()
    assert scene.seeds(one)


def test_a_shorter_list_of_items_removes_nothing_until_its_owner_confirms(scene: CleanupScene) -> None:
    found = [scene.item(f"Item-{number}") for number in range(4)]
    scene.job(data="delete", condition="name=Nothing").run()
    scene.client.call("d.erase", found[0])
    with pytest.raises(UserError, match="has 3 items, 4 at the last time"):
        scene.job(data="delete").run()
    scene.job(data="delete").run()  # reported once
    assert all(map(scene.seeds, found[1:]))


def test_too_large_a_plan_waits_for_its_owner(scene: CleanupScene) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(6)]
    job = scene.job(data="quarantine", max_percent=10, condition="name=/^Item/")
    with pytest.raises(UserError, match="6 items of 6 would be removed"):
        job.run()
    job.run()
    scene.item("Other", ())
    job.run()  # the same plan, of more items
    assert all(map(scene.seeds, found))
    found.append(scene.item("Item-6", ()))
    with pytest.raises(UserError, match="7 items of 8 would be removed"):
        job.run()
    job.stored().approve(job.clock.now())
    job.run()
    assert not any(map(scene.has, found))


def test_the_limits_of_a_day_hold_over_runs(scene: CleanupScene) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(4)]
    for _ in range(3):
        scene.job(data="delete", max_items=2).run()
    assert sum(map(scene.has, found)) == 2


def test_a_start_between_decision_and_removal_wins(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene.item("One")
    job = scene.job(data="quarantine")
    remover = job.remover
    erase: Callable[[object, object], None] = vars(type(remover))["_erase"]

    def start_first(self: object, removal: object) -> None:
        scene.client.call("d.start", one)
        erase(remover, removal)

    monkeypatch.setattr(type(remover), "_erase", start_first)
    with pytest.raises(UserError, match="One stays: it was started in the meantime"):
        job.run()
    monkeypatch.undo()
    assert (scene.downloads / "One/a").exists()
    assert scene.is_intact(one)


def test_an_item_without_a_session_file_removes_nothing(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = scene.item("One"), scene.item("Other")
    with pytest.raises(RTorrentFault):
        scene.client.call("d.hash", "0" * 40)
    monkeypatch.setattr("pyrotorque.housekeeping.inventory._SAVED_WITHIN", 0.3)
    unloaded = scene.running.session / f"{'A' * 40}.torrent"
    unloaded.write_bytes(b"not loaded")
    with pytest.raises(UserError, match="has not loaded 1 item"):
        scene.job(data="delete").run()
    assert scene.seeds(one)
    assert scene.seeds(other)


def entry_of(scene: CleanupScene, info_hash: str) -> QuarantineEntry:
    (found,) = (
        entry for entry in quarantine.entries(scene.downloads / quarantine.NAME) if entry.removal.info_hash == info_hash
    )
    return found


@pytest.mark.parametrize("files", [("a", "sub/b"), ()], ids=["folder", "file"])
def test_a_restored_item_is_as_it_was(scene: CleanupScene, files: tuple[str, ...]) -> None:
    path = scene.write(b"L\xe9 $(x)\n", files)
    content = {each: each.read_bytes() for each in [*path.rglob("*"), path] if each.is_file()}
    one = scene.add(path, "d.custom1.set=label", 'd.custom.set=note,"a b"', "d.priority.set=3")
    scene.job(data="quarantine").run()
    assert not path.exists()
    restore(scene.client, entry_of(scene, one))
    eventually(lambda: scene.seeds(one), 20)
    assert {each: each.read_bytes() for each in content} == content
    calls = [("d.custom1", (one,)), ("d.custom", (one, "note")), ("d.priority", (one,))]
    assert scene.client.multicall(calls) == ["label", "a b", 3]
    assert scene.quarantined() == {}
    # Saved for a crash, too. A stop in order saves again, and 0.16 waits 89 s for its UDP tracker: killed in the middle
    # of that save, it may have none of it.
    session = Session()
    eventually(lambda: session.save(scene.client, one, {"state": 1}, 5) and session.holds(one))
    scene.running.kill()
    scene.running.start()
    eventually(lambda: scene.seeds(one), 20, why="after a restart")


def test_an_item_whose_metafile_is_larger_than_a_request_is_restored(scene: CleanupScene) -> None:
    names = [f"sub/{number} {'x' * 50}" for number in range(400)]
    item = scene.add(scene.write("Some Name", names, size=10))
    for _ in range(2):  # each time from another entry
        scene.job(data="quarantine").run()
        entry = entry_of(scene, item)
        scene.client.call("network.xmlrpc.size_limit.set", "", 20_000)
        try:
            with pytest.raises(RequestTooLarge):
                scene.client.call("load.raw", "", quarantine.saved_files(entry)[b""])
            restore(scene.client, entry, now=1.0)
        finally:
            scene.client.call("network.xmlrpc.size_limit.set", "", 524_288)
        eventually(lambda: scene.seeds(item), 20, why="it seeds again")
        assert scene.is_intact(item)
        assert scene.client.call("d.tied_to_file", item) == ""
        assert not entry.folder.exists()


def test_a_restored_item_has_its_trackers_and_deselected_files(scene: CleanupScene) -> None:
    """Not those of its metafile: a replaced key would be back, and what its owner did not want be downloaded."""
    new = "http://127.0.0.1:1/new/announce"
    one = scene.item("One", ("a", "b"), start=False)
    scene.client.call("f.priority.set", f"{one}:f1", 0)
    scene.client.call("d.update_priorities", one)
    scene.client.call("d.tracker.insert", one, "0", new)
    scene.client.call("t.is_enabled.set", f"{one}:t0", 0)
    scene.client.call("d.start", one)
    eventually(lambda: scene.seeds(one), 20)
    (change,) = find_changes(scene.client, new, new.replace("new", "newer"))
    assert apply_change(scene.client, Session(), change)

    def state() -> list[object]:
        calls = [("t.multicall", (one, "", "t.url=", "t.is_enabled=")), ("f.multicall", (one, "", "f.priority="))]
        return list(scene.client.multicall(calls))

    before = state()
    assert before == [[[SILENT, 0], [new, 0], [new.replace("new", "newer"), 1]], [[1], [0]]]
    scene.job(data="quarantine", condition="hash=" + one).run()
    assert not scene.has(one)
    restore(scene.client, entry_of(scene, one))
    assert state() == before
    eventually(lambda: scene.client.call("d.is_active", one) == 1, 20)


def test_a_restore_never_replaces_a_file(scene: CleanupScene) -> None:
    one = scene.item("One")
    scene.job(data="quarantine").run()
    scene.write("One", ("sub/b",))
    other = (scene.downloads / "One/sub/b").read_bytes()
    with pytest.raises(RemovalRefused, match="exists and is not overwritten"):
        restore(scene.client, entry_of(scene, one))
    assert (scene.downloads / "One/sub/b").read_bytes() == other
    assert scene.quarantined() == {one: ["a", "sub/b"]}


def test_the_same_item_twice_gets_two_entries(scene: CleanupScene) -> None:
    one = scene.item("One")
    scene.job(data="quarantine").run()
    assert scene.item("One") != one, "other content"
    scene.job(data="quarantine").run()
    assert len(scene.quarantined()) == 2


def test_data_is_purged_when_its_time_is_over(scene: CleanupScene) -> None:
    scene.item("Other")
    one = scene.item("One")
    scene.job(condition="name=One", data="quarantine", keep_for="1h").run()
    scene.job(condition="name=None", data="quarantine").run()
    assert list(scene.quarantined()) == [one]
    found = entry_of(scene, one)
    scene.job(condition="name=None", data="quarantine").remover.journal.remove(found.removal)
    aged = found.folder / "entry.json"
    aged.write_bytes(aged.read_bytes().replace(b'"purge_at":', b'"purge_at":0.0,"was":'))
    (found.folder / "data/of the owner").write_text("stays")
    scene.job(condition="name=None", data="quarantine").run()
    assert scene.quarantined() == {one: ["of the owner"]}
    removed, purged = scene.events.values()
    assert isinstance(removed, TorrentRemoved)
    assert isinstance(purged, QuarantinePurged)
    assert (removed.data, removed.freed) == ("quarantine", 0)
    assert (purged.info_hash, purged.freed) == (one, removed.size)


def test_an_item_that_is_loaded_before_the_deletion_keeps_the_data_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("One")
    twin = make_metafile("One", content=path, announce=SILENT, info_extra={"source": "x"})
    one = scene.add(path)
    scene.accepted_before(monkeypatch, inventory, twin)
    scene.job(data="delete").run()
    assert not scene.has(one)
    assert scene.has(info_hash(twin))
    assert scene.quarantined() == {one: ["a", "sub/b"]}


def test_an_item_that_is_loaded_before_the_purge_keeps_the_data_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the survey of the run has read is older than the purge."""
    scene.item("Other")
    path = scene.write("One")
    twin = make_metafile("One", content=path, announce=SILENT, info_extra={"source": "x"})
    one = scene.add(path)
    scene.job(condition="name=One", data="quarantine", keep_for="1h").run()
    days_later(monkeypatch, 1)
    scene.accepted_before(monkeypatch, inventory, twin)
    scene.job(condition="name=None", data="quarantine").run()
    assert scene.has(info_hash(twin))
    assert scene.quarantined() == {one: ["a", "sub/b"]}
