"""A metafile of the fleet is removed only while a group says that it has the item."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from demo.fleet_site import FleetSite
from demo.metafiles import NOWHERE, info_hash, make_metafile
from pyrotorque.rtorrent import RTorrent
from tests.fleets import FleetMaker, fleets, placed
from tests.nats import NatsServer
from tests.programs import Program
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("fleet placement"),
    pytest.mark.either_rtorrent(reason="it is about the fleet: loads are tested with both"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pfd-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture
def make_fleet(folder: Path, rtorrent_program: Program) -> Iterator[FleetMaker]:
    with fleets(folder) as make:
        yield make


def row(site: FleetSite, name: str) -> tuple[str, str]:
    """State and reason of a file in its tree."""
    found = site.ledger("SELECT path, state, reason FROM metafiles WHERE gone = 0")
    return next((state, reason) for path, state, reason in found if path == bytes(site.tree / f"{name}.torrent"))


def test_a_metafile_whose_item_no_group_has_is_placed_again_and_not_deleted(
    make_fleet: FleetMaker, folder: Path
) -> None:
    with NatsServer(folder / "nats") as server:
        one, two = sites = make_fleet(server.url, "job.treewatch.on_loaded = delete", names=("one", "two"))
        wanted = one.drop("again")
        eventually(lambda: placed(sites, {wanted}), 90, why="it is in one group")
        eventually(lambda: not (one.tree / "again.torrent").exists(), 60, why="that group says that it has it")
        owner, other = (one, two) if wanted in one.items() else (two, one)
        # As long as its owner has it, it is a duplicate.
        other.drop("again")
        eventually(lambda: not (other.tree / "again.torrent").exists(), 60, why="it is a duplicate")
        assert placed(sites, {wanted})
        RTorrent(owner.rtorrent.url).call("d.erase", wanted)
        other.drop("again")
        eventually(lambda: placed(sites, {wanted}), 90, why="no group had it: it is placed again")
        eventually(lambda: not (other.tree / "again.torrent").exists(), 60, why="it is disposed of then")


def test_a_metafile_stays_while_the_group_that_had_it_does_not_say_that_it_has_it(
    make_fleet: FleetMaker, folder: Path
) -> None:
    with NatsServer(folder / "nats") as server:
        lines, no_one = ("job.treewatch.on_loaded = delete",), {"two": ("fleet.accepts = size<1",)}
        one, two = sites = make_fleet(server.url, *lines, names=("one", "two"), own=no_one)
        wanted = one.drop("away")
        eventually(lambda: placed(sites, {wanted}), 90, why="it is in the first group")
        # A magnet link of another metafile is there, whose metadata may never come.
        content = make_metafile("magnet")
        link = f"magnet:?xt=urn:btih:{info_hash(content)}&dn=x&tr={quote(NOWHERE, safe='')}"
        RTorrent(one.rtorrent.url).call("load.normal", "", link)
        eventually(lambda: info_hash(content) in one.items(), 20, why="the link is loaded")
        two.drop("magnet")
        eventually(lambda: row(two, "magnet")[0] in ("duplicate", "placed"), 180, why="it has no metadata for a minute")
        assert "without its metadata" in row(two, "magnet")[1]
        # Its rTorrent hangs: it cannot look.
        os.kill(one.rtorrent.pid, signal.SIGSTOP)
        try:
            two.drop("away")
            eventually(lambda: row(two, "away")[0] == "duplicate", 180, why="its owner has not looked for a minute")
        finally:
            os.kill(one.rtorrent.pid, signal.SIGCONT)
        assert "did not say whether it has it still" in row(two, "away")[1]
        assert {path.name for path in two.tree.iterdir()} == {"away.torrent", "magnet.torrent"}
        assert "is not disposed of" in two.group.log("torque")
        # Loaded again by hand when its owner answers: then it is a duplicate.
        two.group.command("retry", str(two.tree / "away.torrent"))
        eventually(lambda: not (two.tree / "away.torrent").exists(), 60, why="its owner has it")
        assert placed(sites, {wanted})


def test_a_metafile_that_cannot_be_deleted_at_once_stays_although_it_could_be_later(
    make_fleet: FleetMaker, folder: Path
) -> None:
    """The item may have been erased meanwhile: the file may be all that is left."""
    with NatsServer(folder / "nats") as server:
        lines, no_one = ("job.treewatch.on_loaded = delete",), {"one": ("fleet.accepts = size<1",)}
        one, two = sites = make_fleet(server.url, *lines, names=("one", "two"), own=no_one)
        if subprocess.run(["chattr", "+i", one.tree], capture_output=True, check=False).returncode:
            pytest.skip("not tested: a folder cannot be made immutable here")
        subprocess.run(["chattr", "-i", one.tree], check=True)
        one.signal("fleet", signal.SIGSTOP)
        wanted, again = one.drop("kept"), one.drop("kept-too")
        subprocess.run(["chattr", "+i", one.tree], check=True)
        try:
            one.signal("fleet", signal.SIGCONT)
            eventually(lambda: placed(sites, {wanted, again}), 90, why="they are in the other group")
            eventually(lambda: row(one, "kept")[0] == "placed", 60, why="that is known")
            RTorrent(two.rtorrent.url).call("d.erase", wanted)
            eventually(lambda: "for a minute" in row(one, "kept")[1], 240, why="that answer is too old")
        finally:
            subprocess.run(["chattr", "-i", one.tree], check=True)
        one.group.command("retry", str(one.tree / "kept-too.torrent"))
        eventually(lambda: not (one.tree / "kept-too.torrent").exists(), 90, why="its group has answered again")
        assert (one.tree / "kept.torrent").exists()
        assert "is not disposed of" in one.group.log("torque")
        one.group.command("retry", str(one.tree / "kept.torrent"))
        eventually(lambda: placed(sites, {wanted}), 90, why="it is placed again")
