"""The fields `links` and `frees` on a real rTorrent: in `select`, and in the conditions of a clean-up."""

import json
import os
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.housekeeping.plan import Plan
from tests.cleaning import CleanupScene
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
