"""The target configurations of docs/migration.md for other tools' settings, on a real rTorrent, as they are written."""

import configparser
import os
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping.plan import Plan
from tests.answering import Tracker
from tests.cleaning import CleanupScene, days_later
from tests.contracts.test_cleanup_recipes import HANDLERS, made
from tests.contracts.test_cleanup_unregistered import add, announce, tracker
from tests.docs_blocks import blocks
from tests.waiting import eventually

__all__ = ["tracker"]  # a fixture
EXECUTED = {"ratio", "limits", "unregistered", "loose", "seeded", "oldest", "reached"}
PAGE = "docs/migration.md"


def targets() -> dict[str, dict[str, str]]:
    """The settings of each clean-up job on the page, by the job's name."""
    found: dict[str, dict[str, str]] = {}
    for block in blocks("ini"):
        if block.page != PAGE or "Cleanup" not in block.text:
            continue
        parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        parser.read_string(block.text)
        for key, value in parser["TORQUE"].items():
            _, job, name = key.split(".", 2)
            found.setdefault(job, {})[name] = value
    return found


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def test_all_targets_are_executed_and_begin_with_a_dry_run() -> None:
    assert set(targets()) == EXECUTED
    assert all(each["dry_run"] == "True" and each["handler"] in HANDLERS for each in targets().values())


def group(scene: CleanupScene, number: int, *items: str) -> None:
    """As ruTorrent does it: a ratio group is a view."""
    for each in items:
        scene.client.call("d.views.push_back_unique", each, f"rat_{number}")


def test_ratio_groups_of_rutorrent(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, other = (scene.item(name) for name in ("First", "Second", "Other"))
    group(scene, 0, first)
    group(scene, 1, second)
    settings = targets()["ratio"]
    made(scene, settings).run()
    days_later(monkeypatch, 8)
    kept = made(scene, settings).preview().plan.kept
    assert kept[first].text == "rule 2: never", "neither 0.1 GiB nor three times its size is uploaded"
    assert kept[second].text == "ratio 0.00 of 2.00"
    assert other not in kept
    reached = {"rule.1.condition": "views=rat_0", "rule.1.min_ratio": "0", "rule.3.min_ratio": "0"}
    plan = made(scene, settings, **reached).preview().plan
    assert {each.candidate.info_hash for each in plan.removals} == {first, second}
    made(scene, settings, **reached).run()
    assert [scene.has(each) for each in (first, second, other)] == [False, False, True]
    assert set(scene.quarantined()) == {first, second}


def test_a_ratio_group_waits_for_its_time(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scene.item("First")
    group(scene, 0, first)
    reached = {"rule.1.condition": "views=rat_0", "rule.1.min_ratio": "0"}
    made(scene, targets()["ratio"], **reached).run()
    days_later(monkeypatch, 6)
    assert made(scene, targets()["ratio"], **reached).preview().plan.kept[first].text == "seedtime 6 d of 7 d"


def test_share_limits_of_qbit_manage(scene: CleanupScene, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    many, linked = add(scene, tracker, "Many seeds"), add(scene, tracker, "Linked")
    unknown = scene.item("Seeds not known")
    os.link(scene.downloads / "Linked/a", scene.folder / "library")
    announce(scene, many, linked)
    settings = targets()["limits"]
    made(scene, settings).run()
    days_later(monkeypatch, 50)
    for _ in range(2):  # the first one counts, for the condition on `seeded`, which holds in the second one
        made(scene, settings).run()
    kept = made(scene, settings).preview().plan.kept
    assert kept[many].reason == "ratio", "neither twice its size nor 90 days"
    days_later(monkeypatch, 50)
    job = made(scene, settings)
    plan = job.preview().plan
    assert [each.candidate.info_hash for each in plan.removals] == [many]
    assert plan.kept[linked].text == "rule 999: never"
    assert plan.kept[unknown].reason == "seeds"
    job.run()
    assert list(scene.quarantined()) == [many]


def test_unregistered_items_of_qbit_manage(
    scene: CleanupScene, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = add(scene, tracker, "One"), add(scene, tracker, "Other")
    announce(scene, one, other)
    tracker.reasons[one] = "Unregistered torrent"
    announce(scene, one)
    eventually(lambda: "Unregistered" in str(scene.client.call("d.message", one)), 20)
    settings = targets()["unregistered"]
    made(scene, settings).run()
    days_later(monkeypatch, 0.1)
    assert made(scene, settings).preview().plan.kept[one].reason == "tracker"
    made(scene, settings, tracker_alive=False).run()
    assert not scene.has(one)
    assert scene.seeds(other)


def test_orphans_of_qbit_manage(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.item("One")
    (scene.downloads / "loose").write_text("of no item")
    for days, there in ((0, True), (2, True), (2, False)):
        days_later(monkeypatch, days)
        settings = targets()["loose"]
        made(scene, settings, max_files=int(settings["max_files"])).run()
        assert (scene.downloads / "loose").exists() == there


def test_a_seeding_rule_of_cleanuparr(scene: CleanupScene, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    show, film = add(scene, tracker, "Show"), add(scene, tracker, "Film")
    kept, unknown = add(scene, tracker, "Kept"), scene.item("Seeds not known")
    for each in (show, unknown):
        scene.client.call("d.custom1.set", each, "tv-sonarr")
    scene.client.call("d.custom1.set", kept, "tv-sonarr")
    scene.client.call("d.custom.set", kept, "tags", "keep")
    announce(scene, show, film, kept)
    settings = targets()["seeded"]
    made(scene, settings).run()
    days_later(monkeypatch, 13)
    for _ in range(2):  # the first one counts, for the condition on `seeded`, which holds in the second one
        made(scene, settings, min_ratio="1.0").run()
    assert made(scene, settings, min_ratio="1.0").preview().plan.kept[show].reason == "ratio"
    days_later(monkeypatch, 2)
    job = made(scene, settings, min_ratio="1.0")
    plan = job.preview().plan
    assert [each.candidate.info_hash for each in plan.removals] == [show]
    assert (plan.kept[kept].reason, plan.kept[unknown].reason) == ("protected", "seeds")
    job.run()
    assert [scene.has(each) for each in (show, film, kept, unknown)] == [False, True, True, True]


def test_the_min_seed_time_of_cleanuparr_is_a_part_of_the_condition(
    scene: CleanupScene, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = add(scene, tracker, "Show")
    scene.client.call("d.custom1.set", show, "tv-sonarr")
    announce(scene, show)
    reached = {"min_ratio": "0.0001", "satisfied": "any"}
    made(scene, targets()["seeded"], **reached).run()
    days_later(monkeypatch, 0.9)
    made(scene, targets()["seeded"], **reached).run()
    job = made(scene, targets()["seeded"], **reached)
    assert job.preview().plan == Plan(), "24 hours are needed, whatever the ratio"


def test_free_space_of_autoremove_torrents(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    old, young, kept, other = (scene.item(name) for name in ("Old", "Young", "Kept", "Other"))
    for each, label in ((old, "movies"), (young, "movies"), (kept, "keep")):
        scene.client.call("d.custom1.set", each, label)
    scene.client.call("d.custom.set", old, "tm_completed", "1")
    settings = targets()["oldest"]
    roomy = {"min_free": "1", "until_free": "1"}
    made(scene, settings, **roomy).run()
    days_later(monkeypatch, 0.5)
    full = {"min_free": "1000t", "until_free": "1000t"}
    with pytest.raises(UserError, match="less than needed"):
        made(scene, settings, **full).run()
    days_later(monkeypatch, 1)
    assert not made(scene, settings, **roomy).preview().plan.removals, "there is enough room"
    plan = made(scene, settings, **full).preview().plan
    assert [each.candidate.info_hash for each in plan.removals] == [old, young], "the oldest one first"
    with pytest.raises(UserError, match="the limits of 24 hours keep the rest"):
        made(scene, settings, **full, max_items="1").run()
    assert [scene.has(each) for each in (old, young, kept, other)] == [False, True, True, True]
    assert not (scene.downloads / "Old").exists()


def test_one_of_two_minima_of_autoremove_torrents(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene.item("One")
    settings = targets()["reached"]
    made(scene, settings, min_ratio="2.0").run()
    days_later(monkeypatch, 13)
    assert made(scene, settings, min_ratio="2.0").preview().plan.kept[one].reason == "ratio"
    days_later(monkeypatch, 2)
    made(scene, settings, min_ratio="2.0").run()
    assert list(scene.quarantined()) == [one]
