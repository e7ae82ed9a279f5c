"""Setting the system's clock makes nothing go on a real rTorrent: only time that has really passed counts."""

import time
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.jobs import JobConfig
from pyrotorque.jobs.orphans import Orphans
from tests.cleaning import CleanupScene, days_later

YEAR = 365 * 86_400


def set_forward(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


def test_a_clock_that_is_set_forward_makes_nothing_go(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    removed, matched, seeded, idle = (scene.item(name) for name in ("Removed", "Matched", "Seeded", "Idle"))
    scene.item("Stays")
    (scene.downloads / "loose").write_text("of no item")
    settings = {"job_name": "orphans", "schedule": "hour=5", "below": str(scene.downloads), "others": "none"}
    jobs = [
        scene.job(condition="name=Removed", data="quarantine", keep_for="14d"),
        scene.job(job_name="m", condition="name=Matched", data="quarantine", matched_for="1h"),
        scene.job(job_name="s", condition="name=Seeded", data="quarantine", min_seedtime="1h"),
        scene.job(job_name="i", condition="name=Idle", data="quarantine", min_idle="1h"),
        Orphans(JobConfig({**settings, "max_percent": 100})),
    ]
    for each in jobs:
        each.run()
    assert list(scene.quarantined()) == [removed]
    with monkeypatch.context() as patch:
        set_forward(patch, YEAR)
        for _ in range(2):
            for each in jobs:
                each.run()
    assert scene.quarantined() == {removed: ["a", "sub/b"]}
    assert all(map(scene.seeds, (matched, seeded, idle)))
    assert (scene.downloads / "loose").exists()
    days_later(monkeypatch, 4)
    for each in jobs:
        each.run()
    assert set(scene.quarantined()) == {removed, matched, seeded, idle, "orphans"}
    days_later(monkeypatch, 11)
    jobs[0].run()
    assert removed not in scene.quarantined(), "its 14 days have passed"


def test_the_limits_of_a_day_do_not_begin_again_with_another_date(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    found = [scene.item(f"Item-{number}", ()) for number in range(3)]
    scene.job(data="delete", max_items=1).run()
    set_forward(monkeypatch, YEAR)
    scene.job(data="delete", max_items=1).run()
    assert sum(map(scene.has, found)) == 2
