"""Metafiles are placed on one of three groups, with real rTorrents and nats-servers, whatever is killed or stopped."""

import json
import random
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.fleet_site import NAMES, FleetSite
from tests.fleets import FleetMaker, fleets, placed
from tests.nats import NatsCluster, NatsServer
from tests.programs import Program
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("fleet placement")]

one_rtorrent = pytest.mark.rtorrent_version(">=0.10", reason="it is about the fleet: loads are tested with both")
# Blocks the fleet process of a group for a while before it requests the permission, or before it uses it.
SLOW = """
import sys
if any("pyrotorque_fleet" in word for word in sys.orig_argv):
    import time
    from pyrotorque_fleet import handovers, receiver
    def slowly(method, done=[]):
        def call(self, entries, now):
            if not done:
                done.append(1)
                time.sleep(9)
            return method(self, entries, now)
        return call
    receiver.ClaimReceiver._grant = slowly(receiver.ClaimReceiver._grant)
    receiver.ClaimReceiver._release = slowly(receiver.ClaimReceiver._release)
"""
NO_FENCE = """
    handovers.next_step.__kwdefaults__["fence"] = False
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pfp-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture
def make_fleet(folder: Path, rtorrent_program: Program) -> Iterator[FleetMaker]:
    with fleets(folder) as make:
        yield make


def assert_never_twice(sites: list[FleetSite], hashes: set[str]) -> None:
    where = [site.items() for site in sites]
    for each in hashes:
        assert sum(found.get(each, False) for found in where) <= 1, each


def test_metafiles_are_started_in_one_group_and_files_disposed_of(make_fleet: FleetMaker, folder: Path) -> None:
    with NatsCluster(folder / "nats") as cluster:
        sites = make_fleet(cluster.url, "job.treewatch.on_loaded = rename")
        hashes = {site.drop(f"from-{site.name}-{number}") for site in sites for number in range(5)}
        eventually(lambda: placed(sites, hashes), 60, why="each is started in one group")
        assert all(site.items() for site in sites), "they are spread over all groups"
        eventually(lambda: all(set(site.states().values()) == {"placed"} for site in sites), 60, why="senders know")
        disposed = lambda: all(len(list(site.tree.glob("*.torrent.loaded"))) == 5 for site in sites)  # noqa: E731
        eventually(disposed, 60, why="files are disposed of")
        eventually(lambda: {each["state"] for each in sites[1].claims().values()} == {"done"}, 60, why="all done")
        claims = sites[0].claims()
        for site in sites:
            assert {each for each, claim in claims.items() if claim["owner"] == site.name} == site.items().keys()

        # The same torrent again, in another tree.
        again = sites[1].drop("from-one-0")
        eventually(lambda: sites[1].states().get("from-one-0") == "duplicate", 60, why="it is known")
        assert placed(sites, {again})
        events = sites[2].group.command("fleet", "events", "-n", "200", "--json").stdout
        kinds = {(each["from"], each["type"]) for each in map(json.loads, events.splitlines())}
        assert {("one", "MetafileOffered"), ("one", "MetafilePlaced"), ("two", "TorrentLoaded")} <= kinds


@one_rtorrent
def test_what_no_group_accepts_waits_and_says_why(make_fleet: FleetMaker, folder: Path) -> None:
    with NatsServer(folder / "nats") as server:
        (one, two) = make_fleet(server.url, "fleet.accepts = name=*yes* size<1g", names=NAMES[:2])
        wanted = one.drop("no-thanks")
        eventually(lambda: one.claims().get(wanted, {}).get("state") == "offered", 60, why="it is offered")

        def both_refuse() -> str | None:
            """Within fleet.silent seconds after its start, a group gives another reason."""
            why = one.group.command("fleet", "why", wanted)
            return why.stdout if why.stdout.count("fleet.accepts does not match") == 2 else None

        why = eventually(both_refuse, 60, why="both groups say why")
        assert one.group.command("fleet", "why", "no-thanks").stdout == why
        unknown = one.group.command("fleet", "why", "nosuch")
        assert unknown.returncode == 64
        assert "pyrotorque fleet claims" in unknown.stderr
        (one.tree / "no-thanks.torrent").unlink()
        one.group.command("retry", str(one.tree))  # else the next walk of the tree finds that out, within a minute
        eventually(lambda: two.claims().get(wanted, {}).get("state") == "withdrawn", 60, why="its file is gone")
        wanted = one.drop("yes-please")
        eventually(lambda: placed([one, two], {wanted}), 60, why="it is started")
        eventually(lambda: two.claims().get(wanted, {}).get("state") == "done", 60, why="its start is reported")
        released = two.group.command("fleet", "release", wanted[:10].lower())
        assert "can be dropped again" in released.stdout, released.stderr
        assert two.group.command("fleet", "release", wanted).returncode == 69


@one_rtorrent
@pytest.mark.parametrize("fence", [True, False])
def test_a_group_that_was_slow_starts_nothing_that_another_one_has(
    make_fleet: FleetMaker, folder: Path, fence: bool
) -> None:
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, "fleet.prefer = group", patch=SLOW + ("" if fence else NO_FENCE))
        wanted = sites[1].drop("wanted")
        eventually(lambda: wanted in sites[0].items(), 60, why="the first group loads it")
        assert not sites[0].items()[wanted]
        assert sites[0].group.command("start", wanted).returncode != 0, "nothing starts it before it is permitted"
        assert not sites[0].items()[wanted]
        eventually(lambda: any(site.items().get(wanted) for site in sites[1:]), 60, why="another group starts it")
        if fence:
            eventually(lambda: wanted not in sites[0].items(), 60, why="it is erased where it was held")
            assert placed(sites, {wanted})
        else:
            eventually(lambda: sites[0].items().get(wanted), 60, why="without the fence it runs in two groups")


def test_nothing_is_lost_or_started_twice_by_kills(make_fleet: FleetMaker, folder: Path) -> None:
    chance = random.Random(20)
    with NatsCluster(folder / "nats") as cluster:
        sites = make_fleet(cluster.url)
        hashes: set[str] = set()
        for number in range(30):
            hashes.add(chance.choice(sites).drop(f"item-{number}"))
            if number % 3 == 1:
                site, service = chance.choice(sites), chance.choice(("fleet", "fleet", "watcher"))
                # Not right after a kill: supervisord gives up on what ends again and again as it starts.
                eventually(lambda: site.group.state(service) == "RUNNING", 60)  # noqa: B023
                site.signal(service, signal.SIGKILL)
            if number % 10 == 5:
                server = chance.choice(cluster.servers)
                server.kill()
                server.start()
            assert_never_twice(sites, hashes)
        eventually(lambda: placed(sites, hashes), 150, why="each is started in one group")
        eventually(lambda: all(set(site.states().values()) <= {"placed"} for site in sites), 60, why="senders know")


@one_rtorrent
def test_claims_of_a_lost_bucket_are_created_again_from_the_groups(make_fleet: FleetMaker, folder: Path) -> None:
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, names=NAMES[:2])
        hashes = {sites[0].drop(f"item-{number}") for number in range(4)}
        eventually(lambda: placed(sites, hashes), 60, why="they are started")
        eventually(lambda: {each["state"] for each in sites[0].claims().values()} == {"done"}, 60, why="all done")
        server.lose_data()

        def created() -> bool:
            text = sites[0].group.log("fleet") + sites[1].group.log("fleet")
            return "creates its own again" in text and sites[0].claims().keys() == hashes

        eventually(created, 90, why="the claims are there again")
        assert {claim["state"] for claim in sites[1].claims().values()} == {"done"}
        assert placed(sites, hashes)
