"""`pyrotorque cleanup` and `quarantine` on a real rTorrent."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.housekeeping import moved_files
from pyrotorque.linux import files
from pyrotorque.linux.files import FileName
from pyrotorque_control import progress
from pyrotorque_control.cleanup_jobs import active_cleanups
from pyrotorque_control.commands import quarantine
from pyrotorque_control.commands.cleanup import item_lines
from pyrotorque_control.group import Group
from tests.cleaning import AT_ONCE, CleanupScene, days_later
from tests.commanding import Command
from tests.waiting import eventually


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    found = CleanupScene(rtorrent, short_folder)
    found.state = short_folder / "config/state"
    return found


@pytest.fixture
def command(scene: CleanupScene, short_folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    settings = {**AT_ONCE, "data": "quarantine", "below": scene.downloads, "max_percent": 10, "condition": "name=O*"}
    lines = [f"job.tidy.{key} = {value}" for key, value in settings.items()]
    torque = f"[TORQUE]\nscgi_url = {scene.running.url}\njob.tidy.handler = pyrotorque.jobs.cleanup:Cleanup\n"
    return Command(short_folder / "config", capsys).configured(
        torque + "job.tidy.schedule = hour=4\n" + "\n".join(lines) + "\n"
    )


@pytest.mark.parametrize(
    "words", [("cleanup",), ("cleanup", "tidy", "--json"), ("quarantine", "list"), ("quarantine", "purge", "x")]
)
def test_wrong_settings_of_a_clean_up_are_an_error_of_the_configuration(
    rtorrent: PrivateRTorrent, short_folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    torque = f"[TORQUE]\nscgi_url = {rtorrent.url}\n"
    tidy = "job.tidy.handler = pyrotorque.jobs.cleanup:Cleanup\njob.tidy.schedule = hour=4\n"
    command = Command(short_folder / "config", capsys)
    shown = command.configured(f"{torque}{tidy}")(*words)
    assert (shown.code, shown.out) == (78, "")
    assert shown.err.startswith("pyrotorque: torque.ini: job.tidy.")
    without = command.configured(torque)(*words)
    assert without.code == (0 if words == ("quarantine", "list") else 64), without.err


def test_the_preview_is_what_a_run_does(scene: CleanupScene, command: Command) -> None:
    one, kept = scene.item("One"), scene.item("Only", (), salt="x")
    scene.item("Stays")
    scene.client.call("d.custom.set", kept, "tags", "keep")
    shown = command("cleanup")
    assert shown.code == 0, shown.err
    assert shown.out.splitlines() == [
        "tidy: would remove 1 of 3 items (data: quarantine)",
        "  One  ratio 0.00, seeded 0 s  80.0 KiB of data",
        "  kept 1: protected 1",
    ]
    assert "Only  stays: protected" in command("cleanup", "tidy", "--item", "only").out
    data = json.loads(command("cleanup", "tidy", "--json").out)
    assert [each["hash"] for each in data["removals"]] == [one]
    assert [Path(each["path"]).name for each in data["removals"][0]["files"]] == ["a", "b"]
    assert data["kept"][0]["reason"] == "protected"
    ran = command("--run-once", "tidy")
    assert ran.code == 0, ran.err
    assert not scene.has(one)
    assert scene.has(kept)
    listed = json.loads(command("quarantine", "list", "--json").out)
    assert (listed["hash"], listed["files"], listed["size"]) == (one, 2, 80_000)
    assert "One" in command("quarantine", "list").out
    restored = command("quarantine", "restore", "one")
    assert (restored.code, restored.out) == (0, f"restored One ({one})\n")
    eventually(lambda: scene.seeds(one), 20)
    assert command("quarantine", "list").out == "0 entries\n"
    waiting = {path.name.split("-")[0] for path in (scene.state / "housekeeping/events").glob("*.json")}
    assert waiting >= {"restored"}, "the next run publishes it"


def test_the_preview_has_config_py_as_the_jobs_have_it(scene: CleanupScene, command: Command) -> None:
    """A change of it counts after `--restart` or SIGHUP has checked it."""
    one = scene.item("One")
    mine = "from pyrotorque.customfields import field\n@field('mine', kind='bool')\ndef mine(item):\n    return %s\n"
    config_py, torque = scene.state.parent / "config.py", scene.state.parent / "torque.ini"
    config_py.write_text(mine % "False")
    torque.write_text(torque.read_text().replace("name=O*", "mine=yes"))
    assert command("--run-once", "tidy").code == 0
    config_py.write_text(mine % "True")
    assert "would remove 0 of 1 item" in command("cleanup").out
    assert command("--run-once", "tidy").code == 0, "it checks the file first"
    assert not scene.has(one)


def test_a_large_plan_is_approved_by_its_name(scene: CleanupScene, command: Command) -> None:
    found = [scene.item(f"One-{number}", ()) for number in range(6)]
    assert command("--run-once", "tidy").code == 75
    shown = command("cleanup", "tidy").out
    assert "waits: 6 items of 6 would be removed" in shown
    plan = shown.partition("--approve ")[2][:8]
    assert command("cleanup", "tidy", "--approve", "12345678").code == 64
    unnamed = command("cleanup", "--approve", plan)
    assert (unnamed.code, f"`pyrotorque cleanup JOB --approve {plan}`" in unnamed.err) == (64, True)
    assert command("cleanup", "--item", " ").code == 64, "an unset variable"
    assert "there is no clean-up job 'tydi'; there is tidy" in command("cleanup", "tydi").err
    assert command("cleanup", "tidy", "--approve", plan).code == 0
    assert command("--run-once", "tidy").code == 0
    assert not any(map(scene.has, found))
    assert command("cleanup", "tidy", "--approve", plan).code == 64, "it was carried out"
    purged = command("quarantine", "purge", found[0])
    assert (purged.code, purged.out) == (0, f"deleted the data of One-0 ({found[0]})\n")
    assert found[0] not in scene.quarantined()


def test_a_plan_that_no_run_has_seen_is_approved(scene: CleanupScene, command: Command) -> None:
    found = [scene.item(f"One-{number}", ()) for number in range(6)]
    plan = command("cleanup", "tidy").out.partition("--approve ")[2][:8]
    scene.item("One more", ())
    refused = command("cleanup", "tidy", "--approve", plan)
    assert (refused.code, "the plan that waits is " in refused.err) == (64, True), "there is another one by now"
    plan = refused.err.partition("the plan that waits is ")[2][:8]
    assert command("cleanup", "tidy", "--approve", plan).out == (
        "approved: tidy may remove these 7 items, within its daily limits\n"
    )
    assert command("--run-once", "tidy").code == 0
    assert not any(map(scene.has, found))


def test_an_approval_is_used_up_by_the_removal(scene: CleanupScene, command: Command) -> None:
    """Who restores what was removed would lose it again at the next run."""
    found = [scene.item(f"One-{number}", ()) for number in range(6)]
    assert command("--run-once", "tidy").code == 75
    plan = command("cleanup", "tidy").out.partition("--approve ")[2][:8]
    assert command("cleanup", "tidy", "--approve", plan).code == 0
    assert command("cleanup", "tidy", "--approve", plan).code == 64, "it does not wait any more"
    assert command("--run-once", "tidy").code == 0
    for info_hash in found:
        assert command("quarantine", "restore", info_hash).code == 0
    eventually(lambda: all(map(scene.seeds, found)), 20)
    assert command("--run-once", "tidy").code == 75
    assert all(map(scene.seeds, found))


def test_a_shorter_list_is_accepted(scene: CleanupScene, command: Command) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(4)]
    assert command("--run-once", "tidy").code == 0
    scene.client.call("d.erase", found[0])
    refused = command("cleanup")
    assert refused.code == 75
    assert "would remove nothing: rTorrent has 3 items, 4 at the last time" in refused.out
    assert command("cleanup", "--accept-items").out == "the next run accepts a list of 3 items\n"
    assert command("--run-once", "tidy").code == 0
    assert command("cleanup").code == 0


def test_a_magnet_link_is_confirmed(scene: CleanupScene, command: Command) -> None:
    one = scene.item("One")
    pending = "A" * 40
    assert command("cleanup", "--accept-magnets").out == "no magnet link without metadata keeps data\n"
    scene.client.call("load.start", "", f"magnet:?xt=urn:btih:{pending}&tr=udp://127.0.0.1:1/announce")
    eventually(lambda: scene.client.call("d.is_meta", pending) == 1, 20)
    why = f"{pending}.meta is a magnet link without metadata"
    shown = command("cleanup", "tidy")
    assert (shown.code, f"no data is removed: {why}" in shown.out) == (75, True)
    assert "`pyrotorque cleanup --accept-magnets`" in shown.out
    assert json.loads(command("cleanup", "tidy", "--json").out)["held_back"].startswith(why)
    ran = command("--run-once", "tidy")
    assert (ran.code, why in ran.err + ran.out) == (75, True)
    (job,) = active_cleanups(Group(command.home))
    assert f"  One: stays: {why}" in "\n".join(item_lines(job, job.preview(), one))
    accepted = command("cleanup", "--accept-magnets").out
    assert accepted == f"no data is kept for {pending}.meta until it has its metadata\n"
    assert command("--run-once", "tidy").code == 0
    assert list(scene.quarantined()) == [one]


def test_an_explanation_has_the_reason_of_the_clean_up(scene: CleanupScene, command: Command) -> None:
    one, kept, other = scene.item("One"), scene.item("Only", ()), scene.item("Stays")
    scene.client.call("d.custom.set", kept, "tags", "keep")
    (job,) = active_cleanups(Group(command.home))
    found = job.preview()
    shown = [line for each in (one, "only", other) for line in item_lines(job, found, each)]
    assert shown == [
        "\ntidy (clean-up):",
        "  One: would be removed (ratio 0.00, seeded 0 s)",
        "\ntidy (clean-up):",
        "  Only: stays: protected",
        "\ntidy (clean-up):",
        "  Stays: stays: the condition does not choose it",
    ]
    explained = command("explain", other)  # no scheduler runs
    assert (explained.code, explained.out.splitlines()[-2:]) == (69, [part.strip("\n") for part in shown[-2:]])
    assert command("--run-once", "tidy").code == 0
    line = command("explain", one).out.splitlines()[-1]
    assert line.startswith("One: removed by tidy on 20")
    assert line.endswith(f"`pyrotorque quarantine restore {one}`")


def test_fields_of_activity_are_selected(scene: CleanupScene, command: Command) -> None:
    scene.item("One", salt="a")
    scene.job(condition="name=Nothing").run()
    assert "seeded" in command("select", "name=One", "--fields", "seeded,idle,seeds").out
    (shown,) = command("select", "name=One", "--fields", "seeded,seeds", "--json").out.splitlines()
    assert json.loads(shown)["seeds"] is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [("min_seedtmie = 3d", "is no setting of a clean-up job"), ("min_free = 10g", "cannot be reached")],
)
def test_check_refuses_settings_that_cannot_work(command: Command, setting: str, message: str) -> None:
    torque = command.home / "torque.ini"
    torque.write_text(torque.read_text() + f"job.tidy.{setting}\n")
    checked = command("check")
    assert checked.code == 78
    assert message in checked.out + checked.err


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_long_commands_show_how_far_they_are(
    scene: CleanupScene, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_LATE", "_BAR_EVERY", "_LINE_EVERY"):
        monkeypatch.setattr(progress, name, 0.0)
    one = scene.item("One", ("a", "sub/b", "c"))
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    assert command("cleanup", "tidy").code == 0
    for part in ("session of rTorrent", "files on the disks", "files in rTorrent", "data of items"):
        assert f"tidy: {part}" in screen.getvalue()
    assert "3/3" in screen.getvalue()
    assert command("--run-once", "tidy").code == 0
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    assert command("quarantine", "restore", one).code == 0
    assert "restoring files" in screen.getvalue()
    assert "3/3" in screen.getvalue()
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    assert command("cleanup", "tidy").code == 0
    assert "tidy: files on the disks: 3 of 3 files (100 %)" in pipe.getvalue().splitlines()


def test_data_of_an_interrupted_removal_is_neither_purged_nor_restored(
    scene: CleanupScene, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("One")
    one = scene.add(path)
    (job,) = active_cleanups(Group(command.home))
    with monkeypatch.context() as patch:
        patch.setattr(type(job.remover), "_erase", kill)
        with pytest.raises(KeyboardInterrupt):
            job.run()
    assert command("quarantine", "list").out.splitlines()[-1] == "1 entry"
    for word in ("purge", "restore"):
        refused = command("quarantine", word, one)
        assert (refused.code, "run its clean-up job first" in refused.err) == (75, True)
    assert "  note: the removal of One has begun and has not ended: the next run" in command("cleanup", "tidy").out
    (job,) = active_cleanups(Group(command.home))
    assert "  note: the removal of One has begun" in "\n".join(item_lines(job, job.preview(), one))
    torque = command.home / "torque.ini"
    torque.write_text(torque.read_text().replace("name=O*", "name=None"))
    assert command("--run-once", "tidy").code == 0
    assert (path / "sub/b").exists() == scene.has(one)


def kill(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_entry_that_was_restored_meanwhile_is_not_purged(
    scene: CleanupScene, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    assert command("--run-once", "tidy").code == 0
    entries = quarantine._entries  # pyright: ignore[reportPrivateUsage]

    def read_before(group: Group) -> object:
        found = entries(group)
        monkeypatch.undo()
        assert command("quarantine", "restore", one).code == 0
        return found

    monkeypatch.setattr(quarantine, "_entries", read_before)
    refused = command("quarantine", "purge", one)
    assert (refused.code, refused.err) == (75, "pyrotorque: One: it is not in quarantine any more\n")
    eventually(lambda: scene.seeds(one), 20)


def test_one_unknown_word_restores_nothing(scene: CleanupScene, command: Command) -> None:
    one = scene.item("One")
    assert command("--run-once", "tidy").code == 0
    refused = command("quarantine", "restore", "one", "nosuch")
    assert refused.code == 64
    assert "there is no entry 'nosuch'" in refused.err
    assert not scene.has(one)
    assert command("quarantine", "restore", "one", one).out == f"restored One ({one})\n"


def copy_quarantine(scene: CleanupScene) -> Path:
    """As onto another disk, with `cp -a` or `rsync -a`: each file is another one.

    The old ones stay elsewhere: a new file could have the inode of one that was removed.
    """
    there = scene.downloads / ".pyrotorque-quarantine"
    old = there.rename(scene.folder / "old disk")
    return Path(shutil.copytree(old, there))


@pytest.mark.parametrize("is_killed", [False, True], ids=["at once", "after a kill"])
def test_a_quarantine_that_was_copied_is_restored(
    scene: CleanupScene, command: Command, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    one, _ = scene.item("One"), scene.item("Kept")
    assert command("--run-once", "tidy").code == 0
    copy_quarantine(scene)
    if is_killed:
        rename, moved = files.rename_noreplace, list[object]()

        def killed_at_the_second(source: FileName, target: FileName) -> None:
            if moved:
                raise KeyboardInterrupt
            moved.append(source)
            rename(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(moved_files, "rename_noreplace", killed_at_the_second)
            assert command("quarantine", "restore", one).code == 130
        assert len(scene.quarantined()[one]) == 1
    restored = command("quarantine", "restore", one)
    assert restored.code == 0, restored.err
    assert scene.is_intact(one)
    assert scene.quarantined() == {}


def test_what_a_purge_keeps_is_not_published_as_purged(
    scene: CleanupScene, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the job, when the time of the entry is over."""
    one, _ = scene.item("One"), scene.item("Kept")
    assert command("--run-once", "tidy").code == 0
    there = copy_quarantine(scene)
    refused = command("quarantine", "purge", one)
    assert refused.code == 75
    assert f"a copy perhaps, and stays: restore the entry, or remove its folder {there}" in refused.err
    days_later(monkeypatch, 30)
    ran = command("--run-once", "tidy")
    assert ran.code == 0, ran.err
    assert scene.quarantined() == {one: ["a", "sub/b"]}
    assert not [path.name for path in scene.state.glob("housekeeping/events/purged-*")]


@pytest.mark.parametrize("change", ["shorter", "a link", "gone"])
def test_a_copy_that_lacks_a_file_is_not_restored(scene: CleanupScene, command: Command, change: str) -> None:
    one, _ = scene.item("One"), scene.item("Kept")
    assert command("--run-once", "tidy").code == 0
    file = next(copy_quarantine(scene).glob("*/data/sub/b"))
    content = file.read_bytes()
    file.unlink()
    if change == "shorter":
        file.write_bytes(content[:-1])
    elif change == "a link":
        (scene.folder / "elsewhere").write_bytes(content)
        file.symlink_to(scene.folder / "elsewhere")
    refused = command("quarantine", "restore", one)
    assert (refused.code, "sub/b is not in" in refused.err) == (75, True)
    assert not scene.has(one)
    assert "a" in scene.quarantined()[one]
