"""Half-matching injected items with a real seed: what is missing is transferred, but never into a linked file."""

import os
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.private_tracker import PrivateTracker
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.injected import Injected
from pyrotorque.rtorrent import RTorrent
from tests.processes.test_transfers import ANOTHER_ADDRESS
from tests.swarms import announced
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("rtorrent_program")]

CHUNK = 16_384
NAMES = ("linked", "own")


def inject(client: RTorrent, metafile: bytes) -> str:
    """As cross-seed does: stopped, labelled, checked. All but one chunk match."""
    item = info_hash(metafile)
    client.call("load.raw", "", metafile, "d.custom1.set=cross-seed")
    eventually(lambda: client.call("d.size_chunks", item) == 8)
    client.call("d.check_hash", item)
    states = [(state, (item,)) for state in ("d.hashing", "d.is_hash_checked", "d.completed_chunks")]
    eventually(lambda: client.multicall(states) == [0, 1, 7], 20)
    return item


def test_missing_data_is_transferred_into_files_of_its_own_only(short_folder: Path) -> None:
    data, originals = short_folder / "data", short_folder / "originals"
    data.mkdir()
    originals.mkdir()
    with (
        PrivateTracker(short_folder / "tracker") as tracker,
        PrivateRTorrent(short_folder / "seeder", extra_rc=ANOTHER_ADDRESS) as seeder,
        PrivateRTorrent(short_folder / "leecher") as leecher,
    ):
        metafiles: dict[str, bytes] = {}
        for name in NAMES:
            (data / name).mkdir()
            (data / name / "film").write_bytes(os.urandom(8 * CHUNK))
            metafiles[name] = make_metafile(name, content=data / name, announce=tracker.url)
        tracker.start(map(info_hash, metafiles.values()))
        eventually(tracker.answers)
        seeding, client = RTorrent(seeder.url), RTorrent(leecher.url)
        for metafile in metafiles.values():
            seeding.call("load.raw_start", "", metafile, f'd.directory.set="{data}"')
        eventually(lambda: len(seeding.rows("seeding", ["d.hash="])) == len(NAMES), 30)
        eventually(lambda: announced(seeding), 30)
        before: dict[str, bytes] = {}
        for name in NAMES:
            whole = (data / name / "film").read_bytes()
            before[name] = whole[: 3 * CHUNK] + b"another encode".ljust(CHUNK, b".") + whole[4 * CHUNK :]
            (originals / name).write_bytes(before[name])
            (leecher.downloads / name).mkdir(parents=True)
        os.link(originals / "linked", leecher.downloads / "linked/film")
        (leecher.downloads / "own/film").write_bytes(before["own"])
        linked, own = (inject(client, metafiles[name]) for name in NAMES)

        context.set_context(context.JobContext(state_dir=short_folder / "state", url=leecher.url))
        settings = {"job_name": "injected", "schedule": "second=*/30", "condition": "custom_1=cross-seed"}
        Injected(JobConfig(settings)).run()
        eventually(lambda: client.call("d.complete", own) == 1, 60, why="the missing chunk is transferred")
        assert (leecher.downloads / "own/film").read_bytes() == (data / "own/film").read_bytes()
        assert client.call("d.state", linked) == 0
        assert {name: (originals / name).read_bytes() for name in NAMES} == before

        client.call("d.start", linked)
        eventually(lambda: client.call("d.complete", linked) == 1, 60)
        client.call("d.close", linked)
        assert (originals / "linked").read_bytes() != before["linked"], "that is what a start without the rule does"
