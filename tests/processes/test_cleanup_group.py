"""Clean-up jobs in a running group: what is reported, and when, and what the command explains."""

import json
from pathlib import Path

import pytest

from demo.group import Group
from demo.private_rtorrent import PrivateRTorrent
from tests.cleaning import CleanupScene
from tests.waiting import eventually

pytestmark = pytest.mark.process

TORQUE = """[TORQUE]
scgi_url = {url}
job.tidy.handler = pyrotorque.jobs.cleanup:Cleanup
job.tidy.schedule = second=*/2
job.tidy.condition = name=/^Item/
job.tidy.min_ratio = 0
job.tidy.min_seedtime = 0
job.tidy.matched_for = 0
job.tidy.announce = 0
job.tidy.per_tracker = 0
job.tidy.max_percent = 1
job.tidy.data = quarantine
job.tidy.below = {below}
job.tidy.others = none
"""


def published(group: Group) -> list[str]:
    lines = group.command("events", "--json").stdout.splitlines()
    return [event["type"] for event in map(json.loads, lines) if event.get("job") == "tidy"]


def runs(group: Group) -> float:
    """When the job has run the last time."""
    path = group.config_dir / "state/jobs/tidy/last-run.json"
    return float(json.loads(path.read_text())["at"]) if path.exists() else 0.0


def test_a_plan_that_waits_is_reported_once_and_recovers_when_it_is_approved(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    items = [scene.item(f"Item-{number}", ()) for number in range(6)]
    other = scene.item("Other", ())
    torque = TORQUE.format(url=rtorrent.url, below=scene.downloads)
    with Group(short_folder / "group", torque) as group:
        eventually(lambda: published(group) == ["JobFailed"], 30)
        first = runs(group)
        eventually(lambda: runs(group) > first, 20, why="it runs again")
        second = runs(group)
        scene.item("One more", ())
        eventually(lambda: runs(group) > second, 20, why="it runs with one more item")
        assert published(group) == ["JobFailed"]
        plan = json.loads(group.command("cleanup", "tidy", "--json").stdout)["plan"]
        explained = group.command("explain", other)
        assert explained.returncode == 0
        assert "Other: stays: the condition does not choose it" in explained.stdout
        assert group.command("explain", "no such item").returncode == 75
        assert group.command("cleanup", "tidy", "--approve", plan).returncode == 0
        eventually(lambda: not any(map(scene.has, items)), 30)
        eventually(lambda: sorted(published(group)) == ["JobFailed", "JobRecovered", *["TorrentRemoved"] * 6], 30)
        explained = group.command("explain", items[0])
        assert explained.returncode == 0
        assert "its data is in quarantine until" in explained.stdout
