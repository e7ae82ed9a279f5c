"""The fields `links` and `frees` on a real rTorrent: in `select`, and in the conditions of a clean-up."""

import json
import os
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.housekeeping import inventory
from pyrotorque.housekeeping.plan import Plan
from tests.cleaning import SILENT, CleanupScene, days_later
from tests.commanding import Command
from tests.waiting import eventually


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def test_links_of_each_kind_are_shown_and_chosen(
    scene: CleanupScene, short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, outside, lost = scene.item("Plain"), scene.item("Outside"), scene.item("Lost", ("a", "only here"))
    os.link(scene.downloads / "Outside/a", short_folder / "media")
    path = scene.write("Linked", ("a",))
    (scene.downloads / "Second").mkdir()
    os.link(path / "a", scene.downloads / "Second/a")
    inside = scene.add(path), scene.add(scene.downloads / "Second", salt="second")
    shared = scene.item("Shared"), scene.add(scene.downloads / "Shared", salt="other")
    scene.client.multicall([("d.stop", (lost,)), ("d.close", (lost,))])
    eventually(lambda: scene.client.call("d.is_open", lost) == 0, 20)
    (scene.downloads / "Lost/only here").unlink()
    command = Command(short_folder / "config", capsys).configured(f"[TORQUE]\nscgi_url = {scene.running.url}\n")
    shown = command("select", "name=*", "--fields", "links,frees", "--json")
    assert shown.code == 0, shown.err
    found = {each["hash"]: each for each in map(json.loads, shown.out.splitlines())}
    expected = {plain: [], outside: ["outside"], lost: ["missing"], **{each: ["inside"] for each in inside}}
    expected |= {each: ["shared"] for each in shared}
    assert {each: sorted(found[each]["links"]) for each in found} == expected
    assert found[plain]["frees"] >= 80_000
    assert found[outside]["frees"] == found[plain]["frees"] / 2
    assert {found[each]["frees"] for each in (*inside, *shared)} == {0}
    chosen = command("select", "links=outside", "--json")
    assert [json.loads(line)["hash"] for line in chosen.out.splitlines()] == [outside]
    job = scene.job(condition="links=!outside links=!inside links=!shared links=!missing")
    assert [each.candidate.info_hash for each in job.preview().plan.removals] == [plain]
    job.run()
    assert [each for each in found if not scene.has(each)] == [plain]


def test_links_that_are_not_known_keep_the_item(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene.item("One")
    unseen, chosen = scene.job(condition="links=!outside"), scene.job(condition="links=!outside OR name=One")
    for job in (unseen, chosen):
        monkeypatch.setattr(job.reader, "read", lambda: None)
    assert unseen.preview().plan == Plan()
    assert chosen.preview().plan.kept[one].text == "links not known"
    for job in (unseen, chosen):
        job.run()
    assert scene.seeds(one)


@pytest.mark.parametrize("files", [(), ("a", "sub/b")])
@pytest.mark.parametrize("data", ["quarantine", "delete"])
def test_the_files_that_links_of_another_item_lead_to_stay(
    scene: CleanupScene, files: tuple[str, ...], data: str
) -> None:
    """As cross-seed makes them with `linkType: symlink`: without the file, the other item has nothing."""
    path = scene.write("Some Name", files)
    folder = scene.downloads / "links"
    for file in files or ("",):
        link = folder / "Twin" / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path / file)
    twin = scene.add(folder / "Twin", "d.custom1.set=cross-seed", salt="cross-seed")
    item = scene.add(path)
    scene.job(data=data, shared="keep", protect="custom_1=cross-seed").run()
    assert not scene.has(item), "the item goes"
    assert scene.is_intact(twin), "the data of the other one stays"


def test_a_link_that_is_loaded_before_the_deletion_keeps_the_data_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene.write("Some Name", ())
    (scene.downloads / "Twin").symlink_to("Some Name")
    twin = make_metafile("Twin", content=path, announce=SILENT)
    item = scene.add(path)
    scene.accepted_before(monkeypatch, inventory, twin)
    scene.job(data="delete").run()
    assert not scene.has(item)
    assert scene.has(info_hash(twin))
    assert scene.quarantined() == {item: ["Some Name"]}


def test_what_the_link_of_an_item_leads_to_is_not_purged(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scene.write("Some Name", ())
    (scene.downloads / "Twin").symlink_to("Some Name")
    item = scene.add(path)
    scene.job(data="quarantine", keep_for="1h").run()
    scene.client.call("load.raw", "", make_metafile("Twin", content=scene.write("Some Name", ()), announce=SILENT))
    path.unlink()
    days_later(monkeypatch, 1)
    scene.job(condition="name=None", data="quarantine").run()
    assert scene.quarantined() == {item: ["Some Name"]}
