"""Groups of a fleet with a real nats-server: they see each other, find items, and forward events."""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from demo.group import Group, free_port
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from tests.nats import NatsServer, stored_events
from tests.programs import Program
from tests.waiting import bound, eventually

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("fleet")]

QUEUE = ("job.queue.active = True", "job.queue.downloading_max = 7")
one_rtorrent = pytest.mark.rtorrent_version(
    ">=0.10", reason="it is about NATS: the part of rTorrent is tested with both"
)

GroupMaker = Callable[..., Group]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pfl-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture
def server(folder: Path) -> Iterator[NatsServer]:
    with NatsServer(folder / "nats") as running:
        yield running


@pytest.fixture
def make_group(folder: Path, server: NatsServer, rtorrent_program: Program) -> Iterator[GroupMaker]:
    """Starts groups of the fleet, each with an rTorrent of its own."""
    with ExitStack() as stack:

        def make(name: str, *lines: str) -> Group:
            rtorrent = PrivateRTorrent(folder / f"{name}-rt").start()
            stack.callback(rtorrent.kill)
            watch = folder / f"{name}-watch"
            watch.mkdir(exist_ok=True)
            ini = (
                "[TORQUE]",
                f"scgi_url = {rtorrent.url}",
                "job.treewatch.active = True",
                f"job.treewatch.path = {watch}",
                f"fleet.servers = {server.url}",
                f"fleet.name = {name}",
                "fleet.beat = 0.3",
                "fleet.silent = 3",
                *lines,
            )
            return stack.enter_context(Group(folder / name, "\n".join(ini) + "\n"))

        yield make


def fleet(group: Group) -> dict[str, dict[str, Any]]:
    """What `pyrotorque fleet` shows, by group."""
    shown = map(json.loads, group.command("fleet", "--json").stdout.splitlines())
    return {each["name"]: each for each in shown}


def state(group: Group, name: str) -> str:
    return str(fleet(group)[name]["state"])


def drop(group: Group, name: str) -> str:
    """Write a metafile into the tree of a group; its info-hash."""
    content = make_metafile(name)
    tree = group.config_dir.parent / f"{group.config_dir.name}-watch"
    (tree / f"{name}.part").write_bytes(content)
    (tree / f"{name}.part").rename(tree / f"{name}.torrent")
    return info_hash(content)


def test_groups_see_each_other_find_items_and_notice_who_is_gone(
    make_group: GroupMaker, folder: Path, server: NatsServer
) -> None:
    targets = folder / "targets.json"
    one = make_group("one", f"fleet.file_sd = {targets}", "fleet.metrics = 127.0.0.1:9135")
    two = make_group(
        "two", "fleet.metrics = 127.0.0.1:9136", "job.queue.active = True", "job.queue.downloading_max = 7"
    )
    eventually(lambda: fleet(one)["two"]["items"] == 0 and fleet(two)["one"]["items"] == 0, 60)
    shown = fleet(one)
    assert (shown["one"]["own"], shown["two"]["own"]) == (True, False)
    assert (shown["one"]["slots"], shown["two"]["slots"]) == (None, 7)
    assert shown["two"]["rooms"][0]["free"] > 0

    wanted = drop(two, "found-me")
    eventually(lambda: wanted in one.command("fleet", "find", "FOUND-me").stdout, 60)
    by_hash = [json.loads(line) for line in one.command("fleet", "find", wanted, "--json").stdout.splitlines()]
    assert [(each["group"], each["info_hash"]) for each in by_hash] == [("two", wanted)]
    nothing = one.command("fleet", "find", "no such item")
    assert (nothing.returncode, nothing.stdout) == (0, "no group has such an item\n")

    eventually(lambda: {"127.0.0.1:9135", "127.0.0.1:9136"} == _targets(targets), 60)
    two.stop()
    eventually(lambda: state(one, "two") == "gone", 60)
    assert _targets(targets) == {"127.0.0.1:9135", "127.0.0.1:9136"}
    assert "gone, seen" in one.command("fleet").stdout
    two.begin()
    eventually(lambda: state(one, "two") == "present", 60)


def _targets(path: Path) -> set[str]:
    return {address for entry in json.loads(path.read_text()) for address in entry["targets"]}


@one_rtorrent
@pytest.mark.parametrize("outage", ["killed", "hanging"])
def test_an_outage_of_nats_makes_no_group_gone_and_no_local_job_wait(
    make_group: GroupMaker, server: NatsServer, outage: str
) -> None:
    one, two = make_group("one"), make_group("two")
    eventually(lambda: state(one, "two") == "present" and state(two, "one") == "present", 60)
    if outage == "killed":
        server.kill()
    else:
        server.pause()
    began = time.monotonic()
    wanted = drop(one, "at-once")
    eventually(lambda: wanted in one.command("events", "--json").stdout, 60)
    assert time.monotonic() - began < bound(20), "also while it is not known yet that NATS is away"
    eventually(lambda: one.command("fleet").returncode == 69, 60)
    wanted = drop(one, "while-away")
    loaded = lambda: wanted in one.command("events", "--json").stdout  # noqa: E731
    eventually(loaded, 60)
    shown = one.command("fleet")
    assert "the fleet is unavailable" in shown.stderr
    assert "two" in shown.stdout
    eventually(lambda: "the fleet is unavailable" in one.log("torque"), 60)
    assert state(one, "two") == "present"
    if outage == "killed":
        server.start()
    else:
        server.resume()
    eventually(lambda: one.command("fleet").returncode == 0, 60)
    # On a busy machine the other may need longer than `fleet.silent` to connect again; that it has the time is tested
    # with a clock.
    eventually(lambda: state(one, "two") == "present", 60)
    eventually(lambda: "the fleet is available again" in one.log("torque"), 60)
    assert one.log("torque").count("the fleet is unavailable") == 1
    assert all(one.states()[name] == "RUNNING" for name in ("watcher", "scheduler"))


@one_rtorrent
def test_a_second_group_with_the_same_name_does_not_take_it(make_group: GroupMaker, folder: Path) -> None:
    one = make_group("one")
    eventually(lambda: one.command("fleet").returncode == 0, 60)
    other = make_group("other", "fleet.name = one")
    eventually(lambda: "another group of the fleet is called one" in other.log("fleet"), 60)
    assert "another group of the fleet is called one" not in one.log("fleet")
    assert other.states()["watcher"] == "RUNNING"


@one_rtorrent
def test_each_event_is_in_the_stream_once_and_in_order_after_kills(make_group: GroupMaker, server: NatsServer) -> None:
    one = make_group("one")
    eventually(lambda: one.command("fleet").returncode == 0, 60)
    for number in range(30):
        drop(one, f"item-{number}")
        if number % 5 == 2:
            os.kill(int(one.command("ctl", "pid", "fleet").stdout), signal.SIGKILL)
            eventually(lambda: _is_running(one), 60)
        if number % 10 == 7:
            server.kill()
            server.start()

    def wanted() -> list[tuple[str, int]]:
        found = map(json.loads, one.command("events", "--json").stdout.splitlines())
        return sorted((each["source"], each["seq"]) for each in found)

    def stored() -> list[tuple[str, int]]:
        bodies = [json.loads(body) for _, body in asyncio.run(stored_events(server))]
        return [(each["source"], each["seq"]) for each in bodies]

    loaded = lambda: sum(source == "watcher" for source, _ in wanted()) >= 30  # noqa: E731
    eventually(loaded, 90)
    eventually(lambda: set(wanted()) <= set(stored()), 90, interval=0.01)
    found = stored()
    assert len(found) == len(set(found))
    for source in {source for source, _ in found}:
        sequences = [seq for name, seq in found if name == source]
        assert sequences == sorted(sequences)


def _is_running(group: Group) -> bool:
    return (
        "fleet" in group.command("ctl", "status", "fleet").stdout
        and "RUNNING" in group.command("ctl", "status", "fleet").stdout
    )


def test_a_group_without_a_fleet_has_no_further_process(folder: Path) -> None:
    ini = f"[TORQUE]\nscgi_url = scgi://127.0.0.1:{free_port()}\n"
    with Group(folder / "alone", ini) as group:
        assert "fleet" not in group.command("ctl", "status").stdout
        asked = group.command("fleet")
        assert (asked.returncode, "fleet.servers" in asked.stderr) == (69, True)
        asked = group.command("panel")
        assert (asked.returncode, "panel.active" in asked.stderr) == (69, True)
        (group.config_dir / "torque.ini").write_text(f"{ini}fleet.servers = nats://127.0.0.1:{free_port()}\n")
        restarted = group.command("--restart")
        assert restarted.returncode == 0, restarted.stderr
        eventually(lambda: _is_running(group), 60)
        (group.config_dir / "torque.ini").write_text(ini)
        assert group.command("--restart").returncode == 0
        assert "fleet" not in group.command("ctl", "status").stdout
