"""The panel's page and API of clean-ups on a real rTorrent: preview, approval, quarantine, restore."""

from pathlib import Path
from urllib.parse import quote

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.layout import Layout
from tests.cleaning import AT_ONCE, CleanupScene
from tests.commanding import Command
from tests.panel_scene import panel_scene
from tests.waiting import eventually

API = "/api/v1/groups/main"


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


def test_a_plan_is_seen_and_its_item_restored(scene: CleanupScene, command: Command, short_folder: Path) -> None:
    one = scene.item("One")
    scene.item("Stays")
    layout = Layout.below(short_folder / "config")
    layout.prepare()
    with panel_scene(layout) as panel:
        token, cookie = panel.token("act"), panel.login()
        (plan,) = panel.request("GET", f"{API}/cleanups", token).json["plans"]
        assert [each["hash"] for each in plan["removals"]] == [one]
        page = panel.request("GET", "/g/main/cleanup", {"Cookie": cookie}).text
        assert "Would remove 1 of 2 items" in page
        assert command("--run-once", "tidy").code == 0
        assert not scene.has(one)
        # An answer of before the run is shown for a second.
        (entry,) = eventually(lambda: panel.request("GET", f"{API}/quarantine", token).json["entries"])
        assert entry["hash"] == one
        assert panel.request("GET", f"{API}/quarantine", panel.token("read")).status == 200
        for wrong in ("nothing", "--help", "../.."):
            assert panel.request("POST", f"{API}/quarantine/{quote(wrong, safe='')}/restore", token).status in (
                404,
                409,
            )
        fields = {"token": panel.form_token(cookie), "entry": entry["entry"], "back": "/cleanup"}
        assert panel.form("/g/main/quarantine/restore", fields, cookie).status == 303
        assert "restored One" in panel.request("GET", "/g/main/cleanup", {"Cookie": cookie}).text
        assert scene.has(one)


def test_only_the_plan_that_waits_can_be_approved(scene: CleanupScene, command: Command, short_folder: Path) -> None:
    for number in range(6):
        scene.item(f"One-{number}", ())
    layout = Layout.below(short_folder / "config")
    layout.prepare()
    with panel_scene(layout) as panel:
        token = panel.token("act")
        json = token | {"Content-Type": "application/json"}
        command("--run-once", "tidy")  # the plan waits for its approval
        (plan,) = panel.request("GET", f"{API}/cleanups", token).json["plans"]
        assert plan["held"]
        for wrong, status in (("0000", 409), ("--help", 400), ("", 400)):
            body = f'{{"plan": "{wrong}"}}'
            assert panel.request("POST", f"{API}/cleanups/tidy/approve", json, body).status == status
        approved = panel.request("POST", f"{API}/cleanups/tidy/approve", json, f'{{"plan": "{plan["plan"]}"}}')
        assert (approved.status, approved.json["text"][:9]) == (200, "approved:")
        assert command("--run-once", "tidy").code == 0
        eventually(lambda: len(panel.request("GET", f"{API}/quarantine", token).json["entries"]) == 6)
