"""A magnet link on real rTorrents: its item has another name until its metadata is there."""

import os
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.private_tracker import PrivateTracker
from pyrotorque.events import TorrentCompleted, TorrentErased
from pyrotorque.rtorrent import RTorrent
from tests.contracts.test_scheduler_completion import detect
from tests.processes.test_transfers import ANOTHER_ADDRESS
from tests.programs import Program
from tests.scheduling import queue_scene
from tests.swarms import announced, transferred
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.rtorrent_version("<0.10", reason="0.16 gets no metadata from a peer on loopback within a minute"),
    pytest.mark.usefixtures("rtorrent_program"),
]


def test_events_of_a_magnet_link_have_the_name_of_its_metadata(rtorrent_program: Program, short_folder: Path) -> None:
    content = short_folder / "data" / "One"
    content.parent.mkdir()
    content.write_bytes(os.urandom(200_000))
    (short_folder / "group").mkdir()
    with (
        PrivateTracker(short_folder / "tracker") as tracker,
        PrivateRTorrent(short_folder / "seeder", extra_rc=ANOTHER_ADDRESS) as seeder,
        PrivateRTorrent(short_folder / "leecher") as leecher,
        queue_scene(leecher, short_folder / "group") as scene,
    ):
        metafile = make_metafile("One", content=content, announce=tracker.url)
        one = info_hash(metafile)
        tracker.start([one])
        eventually(tracker.answers)
        seeding, leeching = RTorrent(seeder.url), scene.rtorrent
        seeding.call("load.raw_start", "", metafile, f'd.directory.set="{content.parent}"')
        eventually(lambda: announced(seeding), 30)
        leeching.call("load.normal", "", f"magnet:?xt=urn:btih:{one}&tr={tracker.url}")
        eventually(lambda: leeching.rows("main", ["d.name="]) == [(f"{one}.meta",)], 20)
        detect(scene)
        leeching.call("d.start", one)
        transferred(lambda: leeching.rows("main", ["d.name="]) == [("One",)], seeding, leeching, timeout=30)
        leeching.call("d.start", one)  # with its metadata it is as it was loaded: stopped
        transferred(lambda: leeching.rows("main", ["d.name=", "d.complete="]) == [("One", "1")], seeding, leeching)
        detect(scene, 15)
        leeching.call("d.erase", one)
        detect(scene, 30)
        assert [(type(event), getattr(event, "name", "")) for event in scene.events()] == [
            (TorrentCompleted, "One"),
            (TorrentErased, "One"),
        ]
