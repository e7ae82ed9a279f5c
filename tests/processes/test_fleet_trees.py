"""Which metafiles of a tree go to the fleet, by its job or a `watch.ini`; and the events of all groups as they come."""

import asyncio
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.fleet_site import FleetSite
from demo.group import environment
from tests.fleets import FleetMaker, fleets, placed
from tests.nats import NatsServer
from tests.programs import Program
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("fleet placement"),
    pytest.mark.either_rtorrent(reason="it is about the fleet: loads are tested with both"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pft-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture
def make_fleet(folder: Path, rtorrent_program: Program) -> Iterator[FleetMaker]:
    with fleets(folder) as make:
        yield make


def subfolder(site: FleetSite, name: str, place: str) -> Path:
    """A folder of its tree with a watch.ini."""
    made = site.tree / name
    made.mkdir()
    (made / "watch.ini").write_text(f"place = {place}\n")
    return made


def test_a_watch_ini_decides_for_its_folder(make_fleet: FleetMaker, folder: Path) -> None:
    """The tree of `one` is a local one, so only `two` takes metafiles of the fleet."""
    with NatsServer(folder / "nats") as server:
        one, two = make_fleet(server.url, names=("one", "two"), places={"one": "local"})
        assert (two.shown()["one"]["jobs"], one.shown()["two"]["jobs"]) == ([], ["treewatch"])
        shared = subfolder(one, "shared", "fleet")
        local = subfolder(two, "mine", "local")
        deeper = local / "deeper"
        deeper.mkdir()
        far = {one.drop("from-one", shared)}
        near = {two.drop("from-two", local), two.drop("deep", deeper)}
        plain = {one.drop("plain")}
        eventually(lambda: placed([one, two], far | near | plain), 90, why="all are started")
        assert two.items().keys() == far | near
        assert one.items().keys() == plain
        eventually(lambda: one.states().get("from-one") == "placed", 60, why="its sender knows")
        assert one.states()["plain"] in ("visible", "loaded")
        assert two.claims().keys() == far, "what is local is no matter of the fleet"


def test_events_of_all_groups_are_printed_as_they_come(make_fleet: FleetMaker, folder: Path) -> None:
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, names=("one", "two"))
        one = sites[0]
        eventually(lambda: one.group.command("fleet", "events", "-n", "1").stdout, 60, why="the stream has events")
        words = ["-m", "pyrotorque_control", "--config-dir", str(one.group.config_dir)]
        command = [sys.executable, "-u", *words, "fleet", "events", "-f", "-n", "1", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as following:
            try:
                lines = _lines_of(following)
                eventually(lambda: not lines.empty(), 60, why="it has printed the newest one")
                wanted = sites[1].drop("followed")
                seen = eventually(lambda: _until(lines, wanted, "MetafilePlaced"), 90, why="the placement is printed")
                assert ("TorrentLoaded" in seen, "MetafileOffered" in seen) == (True, True)
                assert len(seen) == len(set(seen)), "each once"
                # The servers lose all: the stream begins again with the number one.
                server.lose_data()
                again = sites[1].drop("after-the-loss")
                eventually(lambda: _until(lines, again, "TorrentLoaded"), 150, why="it follows the new stream")
            finally:
                following.kill()


_seen: list[str] = []


def _lines_of(process: "subprocess.Popen[str]") -> "queue.Queue[dict[str, Any]]":
    found: queue.Queue[dict[str, Any]] = queue.Queue()
    assert process.stdout is not None
    stdout = process.stdout

    def read() -> None:
        for line in stdout:
            found.put(json.loads(line))

    threading.Thread(target=read, daemon=True).start()
    _seen.clear()
    return found


def _until(lines: "queue.Queue[dict[str, Any]]", info_hash: str, kind: str) -> list[str]:
    """The kinds of the events of an item, once one of this kind is among them."""
    while not lines.empty():
        event = lines.get()
        if event.get("info_hash") == info_hash:
            _seen.append(event["type"])
    return list(_seen) if kind in _seen else []


def test_the_same_metafile_in_two_trees_is_not_deleted_before_a_group_has_it(
    make_fleet: FleetMaker, folder: Path
) -> None:
    with NatsServer(folder / "nats") as server:
        lines = ("job.treewatch.on_loaded = delete", "fleet.accepts = size<1")
        one, two = sites = make_fleet(server.url, *lines, names=("one", "two"))
        wanted = one.drop("both")
        eventually(lambda: two.claims().get(wanted, {}).get("state") == "offered", 60, why="the first one is offered")
        two.drop("both")
        eventually(lambda: two.states() == {"both": "offered"}, 60, why="the second one waits")
        (one.tree / "both.torrent").unlink()
        settings = two.group.config_dir / "torque.ini"
        settings.write_text(settings.read_text().replace("fleet.accepts = size<1", ""))
        assert (two.tree / "both.torrent").exists(), "no group has it"
        assert two.group.command("--restart").returncode == 0
        eventually(lambda: placed(sites, {wanted}), 120, why="it is in one group")
        eventually(lambda: not (two.tree / "both.torrent").exists(), 60, why="it is disposed of then")


@pytest.mark.parametrize("stream", ["KV_pyrotorque_claims", "PYROTORQUE_METAFILES"])
def test_a_full_stream_is_named_and_what_waited_is_placed_when_there_is_room(
    make_fleet: FleetMaker, folder: Path, stream: str
) -> None:
    with NatsServer(folder / "nats") as server:
        (site,) = make_fleet(server.url, names=("one",))
        room = asyncio.run(limit_stream(server, stream, 1))
        wanted = site.drop("waits")
        text = "the servers refuse to store"
        eventually(lambda: text in site.group.command("fleet").stderr, 60, why="it is named")
        shown = site.group.command("fleet")
        assert (shown.returncode, "metafiles wait in their trees" in shown.stderr) == (0, True), shown.stderr
        assert text in site.group.log("torque")
        assert text in site.group.command("status").stdout
        assert site.states() == {"waits": "offered"}
        asyncio.run(limit_stream(server, stream, room))
        eventually(lambda: placed([site], {wanted}), 90, why="there is room")
        eventually(lambda: "again, after" in site.group.log("torque"), 90, why="its end is reported")
        assert text not in site.group.command("fleet").stderr


async def limit_stream(server: NatsServer, name: str, size: int) -> int:
    """Set how many bytes a stream may have; how many it had before."""
    client = await server.connect()
    try:
        js = client.jetstream(timeout=bound(10))
        config = (await js.stream_info(name)).config
        before = config.max_bytes or -1
        config.max_bytes = size
        await js.update_stream(config)
        return before
    finally:
        await client.close()
