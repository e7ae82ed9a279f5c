"""The recipes of docs/cleanup.md on a real rTorrent: as they are written, with another folder, when time has passed.

A ratio cannot be reached without peers: `min_ratio = 0` is added where a recipe does not set one.
"""

import configparser
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.group import REPOSITORY
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.cleanup import Cleanup
from pyrotorque.jobs.orphans import Orphans
from tests.answering import Tracker
from tests.cleaning import SILENT, CleanupScene, days_later
from tests.contracts.test_cleanup_unregistered import add, announce, tracker
from tests.docs_blocks import blocks
from tests.waiting import eventually

__all__ = ["tracker"]  # a fixture
HANDLERS = {"pyrotorque.jobs.cleanup:Cleanup": Cleanup, "pyrotorque.jobs.orphans:Orphans": Orphans}
EXECUTED = {"tidy", "imported", "space", "gone", "orphans"}


def recipes() -> list[tuple[str, dict[str, str]]]:
    """The settings of each job on the page, in its order."""
    found: list[tuple[str, dict[str, str]]] = []
    for block in blocks("ini"):
        if block.page != "docs/cleanup.md":
            continue
        parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        parser.read_string(block.text)
        settings: dict[str, dict[str, str]] = {}
        for key, value in parser["TORQUE"].items():
            _, job, name = key.split(".", 2)
            settings.setdefault(job, {})[name] = value
        found += settings.items()
    return found


def recipe(name: str, number: int = 0) -> dict[str, str]:
    return [settings for job, settings in recipes() if job == name][number]


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def made(scene: CleanupScene, settings: Mapping[str, str], **more: Any) -> Any:
    """The job of a recipe, with the folder of this rTorrent, and no longer a dry run."""
    values: dict[str, Any] = {"job_name": "recipe", "min_ratio": "0", "max_percent": "100", "announce": "0"}
    handler = HANDLERS[settings["handler"]]
    if handler is Orphans:
        values = {"job_name": "recipe", "max_percent": 100}
    words = {"True": True, "False": False}
    values |= {key: words.get(value, value) for key, value in settings.items() if key not in ("handler", "dry_run")}
    if "below" in settings:
        values["below"] = str(scene.downloads)
    return handler(JobConfig({**values, **more}))


def test_all_recipes_are_executed_and_begin_with_a_dry_run() -> None:
    jobs = [(name, settings) for name, settings in recipes() if settings["handler"] in HANDLERS]
    assert {name for name, _ in jobs} == EXECUTED
    assert [name for name, settings in jobs if settings["dry_run"] != "True"] == []


def test_a_first_job_removes_nothing_before_its_time(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one, partial = scene.item("One"), scene.item("Not complete", ("other", "more"), start=False)
    (scene.downloads / "Not complete/other").unlink()
    dry = made(scene, recipe("tidy"), min_ratio="0", dry_run=True)
    dry.run()
    days_later(monkeypatch, 6)
    made(scene, recipe("tidy"), min_ratio="0").run()
    assert scene.has(one), "seven days are needed"
    days_later(monkeypatch, 2)
    made(scene, recipe("tidy"), min_ratio="0").run()
    assert not scene.has(one)
    assert scene.has(partial)
    assert list(scene.quarantined()) == [one]


def test_a_first_job_keeps_what_has_not_its_ratio(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene.item("One")
    made(scene, recipe("tidy")).run()
    days_later(monkeypatch, 30)
    assert made(scene, recipe("tidy")).preview().plan.kept[one].text == "ratio 0.00 of 1.00"


def test_ratio_and_time_by_tracker(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(name: str, url: str, label: str = "", private: bool = True) -> str:
        metafile = make_metafile(name, content=scene.write(name), announce=url, private=private)
        scene.client.call("load.raw_start", "", metafile, f"d.custom1.set={label}")
        eventually(lambda: scene.seeds(info_hash(metafile)), 20)
        return info_hash(metafile)

    known = replace(context.current_context(), aliases={"127.0.0.2": "strict.example"})
    context.set_context(known)
    strict = loaded("Strict", "http://127.0.0.2:1/announce")
    public = loaded("Public", SILENT, private=False)
    other = loaded("Other", SILENT)
    show = loaded("Show", SILENT, "tv")
    settings = recipe("tidy", 1)
    made(scene, settings, **{"rule.10.min_ratio": "0"}).run()
    days_later(monkeypatch, 8)
    job = made(scene, settings, **{"rule.10.min_ratio": "0"})
    plan = job.preview().plan
    assert {each.candidate.name for each in plan.removals} == {"Public", "Other"}
    assert plan.kept[show].text == "rule 99: never"
    assert plan.kept[strict].text == "seedtime 8 d of 30 d"
    job.run()
    assert [scene.has(each) for each in (strict, public, other, show)] == [True, False, False, True]


def test_never_before_the_label_and_only_without_links(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    imported, linked, early = scene.item("Imported"), scene.item("Linked"), scene.item("Early")
    for each in (imported, linked):
        scene.client.call("d.custom1.set", each, "tv-imported")
    os.link(scene.downloads / "Linked/a", scene.folder / "library")
    made(scene, recipe("imported")).run()
    days_later(monkeypatch, 15)
    made(scene, recipe("imported")).run()
    assert [scene.has(each) for each in (imported, linked, early)] == [False, True, True]


def test_space_is_kept_free_by_those_with_known_seeds(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene.item("One")
    settings = {**recipe("space"), "min_free": "1000t", "until_free": "1000t"}
    with pytest.raises(UserError, match="less than needed can be freed"):
        made(scene, settings).run()
    days_later(monkeypatch, 4)
    job = made(scene, settings)
    assert job.preview().plan.kept[one].reason == "seeds", "not known"
    known = made(scene, settings, min_seeds="0")
    assert [each.candidate.info_hash for each in known.preview().plan.removals] == [one]


def test_unregistered_items_go_to_quarantine(
    scene: CleanupScene, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = add(scene, tracker, "One"), add(scene, tracker, "Other")
    announce(scene, one, other)
    tracker.reasons[one] = "Unregistered torrent"
    announce(scene, one)
    eventually(lambda: "Unregistered" in str(scene.client.call("d.message", one)), 20)
    made(scene, recipe("gone")).run()
    assert scene.has(one)
    days_later(monkeypatch, 1.1)
    job = made(scene, recipe("gone"))
    assert job.preview().plan.kept[one].reason == "tracker", "the tracker has not answered for another one since"
    made(scene, recipe("gone"), tracker_alive=False).run()
    assert not scene.has(one)
    assert scene.seeds(other)


def test_orphans_weekly(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene.item("One")
    (scene.downloads / "loose").write_text("of no item")
    made(scene, recipe("orphans")).run()
    for days, there in ((13, True), (2, False)):
        days_later(monkeypatch, days)
        made(scene, recipe("orphans")).run()
        assert (scene.downloads / "loose").exists() == there
    assert scene.is_intact(one)


@pytest.mark.parametrize(
    ("name", "goes"), [("Show.S01.1080p", False), ("Show.S01E02.1080p", True), ("Film.2020", True)]
)
def test_season_packs_are_protected(scene: CleanupScene, name: str, goes: bool) -> None:
    text = " ".join((REPOSITORY / "docs/cleanup.md").read_text().split())
    protect = text.partition("are protected by their name: `protect = ")[2].partition("`")[0]
    one = scene.item(name)
    assert "S" in protect
    plan = scene.job(protect=protect).preview().plan
    assert bool(plan.removals) == goes
    assert scene.has(one)
