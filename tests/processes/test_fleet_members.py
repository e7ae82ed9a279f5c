"""Members of a fleet in states that are rare: another clock, another name, an older state, a host that comes back."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.fleet_site import FleetSite
from tests.fleets import FleetMaker, fleets, placed
from tests.nats import NatsCluster, NatsServer
from tests.programs import Program, nats_servers
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("fleet placement"),
    pytest.mark.rtorrent_version(">=0.10", reason="it is about the fleet: loads are tested with both"),
]

# All processes of this group are some days in the future.
FUTURE = """
import time
_real, _real_ns = time.time, time.time_ns
time.time = lambda: _real() + 300000
time.time_ns = lambda: _real_ns() + 300000 * 10**9
"""
# After the grant and before the watcher has it, this process hangs.
GRANTED = """
import sys
if any("pyrotorque_fleet" in word for word in sys.orig_argv):
    import time
    from pyrotorque_fleet import receiver
    def release(self, entries, now):
        time.sleep(1000)
    receiver.ClaimReceiver._release = release
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pfm-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture
def make_fleet(folder: Path, rtorrent_program: Program) -> Iterator[FleetMaker]:
    with fleets(folder) as make:
        yield make


def state(site: FleetSite, info_hash: str) -> str:
    return str(site.claims().get(info_hash, {}).get("state", ""))


def change(site: FleetSite, old: str, new: str) -> None:
    """Replace a line of its torque.ini, and apply that."""
    path = site.group.config_dir / "torque.ini"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    restarted = site.group.command("--restart")
    assert restarted.returncode == 0, restarted.stderr


def test_a_clock_days_ahead_changes_nothing(make_fleet: FleetMaker, folder: Path) -> None:
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, names=("one", "two"), patch=FUTURE)
        hashes = {site.drop(f"from-{site.name}-{number}") for site in sites for number in range(3)}
        eventually(lambda: placed(sites, hashes), 90, why="all are started")
        assert all(site.items() for site in sites), "both take some"
        for site in sites:
            assert {each["state"] for each in site.shown().values()} == {"present"}
        before = sites[0].signal("fleet", signal.SIGKILL)
        eventually(lambda: sites[0].pid("fleet") not in (0, before), 60, why="it is started again")
        more = {sites[1].drop("later")}
        eventually(lambda: placed(sites, more), 90, why="also after a restart")


def test_servers_of_2_9_are_replaced_by_newer_ones(make_fleet: FleetMaker, folder: Path) -> None:
    """All at once: 2.9 and 2.15 elect no leader together."""
    with NatsCluster(folder / "nats", program=nats_servers()[0].path) as cluster:
        sites = make_fleet(cluster.url, names=("one", "two"))
        hashes = {site.drop(f"from-{site.name}-{number}") for site in sites for number in range(3)}
        eventually(lambda: placed(sites, hashes), 90, why="all are started")
        eventually(lambda: {each["state"] for each in sites[1].claims().values()} == {"done"}, 60, why="all are done")
        cluster.update(nats_servers()[-1].path)
        more = {sites[0].drop("afterwards")}
        eventually(lambda: placed(sites, more), 120, why="as before")
        eventually(lambda: sites[1].claims().keys() == hashes | more, 60, why="nothing was lost")
        assert "were lost at the servers" not in sites[0].group.log("fleet")


def test_a_group_that_is_renamed_keeps_its_items(make_fleet: FleetMaker, folder: Path) -> None:
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, names=("one", "two"))
        hashes = {site.drop(f"from-{site.name}-{number}") for site in sites for number in range(3)}
        eventually(lambda: placed(sites, hashes), 90, why="all are started")
        eventually(lambda: {each["state"] for each in sites[0].claims().values()} == {"done"}, 60, why="all are done")
        had = sites[0].items().keys()
        change(sites[0], "fleet.name = one", "fleet.name = uno")
        eventually(lambda: sites[1].shown().get("uno", {}).get("items") is not None, 90, why="it has its new name")
        eventually(lambda: sites[1].shown()["one"]["state"] == "gone", 90, why="the old one is gone")
        more = {site.drop(f"again-{site.name}-{number}") for site in sites for number in range(3)}
        eventually(lambda: placed(sites, hashes | more), 90, why="old and new ones are in one group each")
        assert had <= sites[0].items().keys()
        assert {claim["owner"] for each, claim in sites[1].claims().items() if each in had} == {"one"}
        again = sites[0].drop("from-two-0")
        eventually(lambda: sites[0].states().get("from-two-0") == "duplicate", 60, why="it is known")
        assert placed(sites, {again})


def test_an_older_state_is_no_danger(make_fleet: FleetMaker, folder: Path) -> None:
    """The state folder of a group is replaced by a copy from before its metafiles were placed and started."""
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, names=("one", "two"))
        early = {site.drop(f"early-{site.name}") for site in sites}
        eventually(lambda: placed(sites, early), 90, why="all are started")
        state_dir = sites[0].group.config_dir / "state"
        sites[0].group.stop()
        shutil.copytree(state_dir, folder / "copy")
        sites[0].group.start()
        late = {site.drop(f"late-{site.name}-{number}") for site in sites for number in range(4)}
        eventually(lambda: placed(sites, early | late), 120, why="all are started")
        eventually(lambda: {each["state"] for each in sites[1].claims().values()} == {"done"}, 60, why="all are done")
        assert sites[0].items().keys() & late, "it took some of them"
        sites[0].group.stop()
        shutil.rmtree(state_dir)
        shutil.copytree(folder / "copy", state_dir)
        sites[0].group.start()
        more = {site.drop(f"more-{site.name}") for site in sites}
        eventually(lambda: placed(sites, early | late | more), 120, why="each is in one group")
        eventually(lambda: {each["state"] for each in sites[0].claims().values()} == {"done"}, 60, why="all are done")
        assert sites[0].claims().keys() == early | late | more


def test_a_released_claim_of_a_host_that_comes_back(make_fleet: FleetMaker, folder: Path) -> None:
    """It was granted to `one`, which then hung: the item never started there, so it is erased when `one` is back."""
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, "fleet.prefer = group", names=("one", "two"), patch=GRANTED)
        one, two = sites
        wanted = two.drop("wanted")
        eventually(lambda: state(two, wanted) == "granted", 60, why="it is granted to the first group")
        hung = one.signal("fleet", signal.SIGSTOP)
        eventually(lambda: two.shown()["one"]["state"] == "gone", 60, why="that is gone")
        assert state(two, wanted) == "granted", "nothing takes it over by itself"
        released = two.group.command("fleet", "release", wanted)
        assert released.returncode == 0, released.stderr
        eventually(lambda: two.items().get(wanted), 60, why="the other group starts it")
        eventually(lambda: state(two, wanted) == "done", 60, why="and reports that")
        (folder / "patch" / "sitecustomize.py").write_text("")
        one.signal("fleet", signal.SIGKILL)
        eventually(lambda: one.pid("fleet") not in (0, hung), 60, why="it is back")
        eventually(lambda: placed(sites, {wanted}), 90, why="it is erased where it was held")
        assert "released by hand" not in one.group.log("torque")


def test_a_released_claim_of_a_host_that_started_it(make_fleet: FleetMaker, folder: Path) -> None:
    """It runs in both groups then, as `release` says; the one that comes back reports that, and erases nothing."""
    with NatsServer(folder / "nats") as server:
        sites = make_fleet(server.url, "fleet.prefer = group", names=("one", "two"))
        one, two = sites
        wanted = two.drop("wanted")
        eventually(lambda: state(two, wanted) == "done", 60, why="the first group has it")
        one.group.stop()
        released = two.group.command("fleet", "release", wanted)
        assert "can be dropped again" in released.stdout, released.stderr
        (two.tree / "wanted.torrent").unlink()
        two.group.command("retry", str(two.tree))
        eventually(lambda: "wanted" not in two.states(), 60, why="the file is gone")
        two.drop("wanted")
        eventually(lambda: two.items().get(wanted), 90, why="the other group starts it")
        one.group.start()
        eventually(lambda: one.items().get(wanted) and state(one, wanted) == "done", 60, why="the first one is back")
        assert one.items()[wanted], "nothing is erased that was started"
        eventually(
            lambda: "was released by hand while this group was away" in one.group.log("torque"),
            60,
            why="its owner can read that",
        )
