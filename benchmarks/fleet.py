"""A fleet of three groups: from a dropped metafile to its held and started item, a burst compared with simultaneous
local ones, and what a process costs when nothing happens."""

import asyncio
import statistics
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, milliseconds, processor_of, show
from benchmarks.filled import scratch
from demo.fleet_site import NAMES, FleetSite
from demo.waiting import wait_until
from pyrotorque.settings.schema import FleetSettings
from pyrotorque_fleet.claims import Claim, Metafacts, encode_claim
from pyrotorque_fleet.heartbeat import interval
from pyrotorque_fleet.messages import GroupFacts, encode
from tests.nats import NatsCluster

_SINGLE = 20
_WAIT = 60.0


_WATCHED = 60.0
"""Seconds for which a process is watched that has nothing to do."""


@dataclass(frozen=True)
class _Costs:
    """Of one fleet process: MiB, and percent of a core."""

    memory: float
    idle: float
    beside_others: float


def measure(burst: int = 300, claims: int = 20_000, groups: int = 100) -> list[Figure]:
    """Latencies with all groups answering, the bursts, then memory and processor with many claims and groups."""
    with scratch() as folder, NatsCluster(folder / "nats") as cluster, _running(folder, cluster.url) as sites:
        idle = _processor(sites[0].pid("fleet"))
        held, started = _single(sites)
        local = _burst(sites, burst, [folder / f"{site.name}-local" for site in sites])
        rate = _burst(sites, burst, [site.tree for site in sites])
        costs = asyncio.run(_filled(cluster, sites[0], claims, groups))
    many = f"{groups} groups, {claims} claims"
    return [
        Figure("dropped to held on the chosen group (median, p95)", milliseconds(held), "", "≤ 100 ms", _median(held)),
        Figure("held to started: permission and start", milliseconds(started), "", "≤ 100 ms", _median(started)),
        Figure(
            f"burst of {burst}, dropped to started",
            f"{rate:.0f} metafiles/s",
            f"local trees of the same groups: {local:.0f}/s, {local / rate:.1f} ×",
            "≥ 50/s",
            rate >= 50,
        ),
        Figure(f"memory (PSS) of the process, {many}", f"{costs.memory:.1f} MiB", "", "≤ 30 MiB", costs.memory <= 30),
        Figure(
            "processor of the process, idle, 3 groups",
            f"{idle:.2f} % of a core",
            f"with {claims} claims: {costs.idle:.2f} %",
            "≤ 0.3 %",
            idle <= 0.3,
        ),
        Figure(f"the same with the heartbeats of {many}", f"{costs.beside_others:.2f} % of a core"),
    ]


def _processor(pid: int) -> float:
    """Percent of a core."""
    time.sleep(15.0)
    before, began = processor_of(pid), time.monotonic()
    time.sleep(_WATCHED)
    return 100 * (processor_of(pid) - before) / (time.monotonic() - began)


def _median(samples: list[float]) -> bool:
    return statistics.median(samples) <= 0.1


@contextmanager
def _running(folder: Path, servers: str) -> Generator[list[FleetSite]]:
    with ExitStack() as stack:
        sites: list[FleetSite] = []
        for name in NAMES:
            (folder / f"{name}-local").mkdir()
            local = ("active = True", "load_mode = start", f"path = {folder}/{name}-local")
            lines = [f"job.local.{line}" for line in local]
            lines.insert(0, "job.local.handler = pyrocore.torrent.watch:TreeWatch")
            site = FleetSite(folder, name, servers, lines, beat=2.0, silent=15.0, turn=0.5)
            stack.callback(site.rtorrent.kill)
            sites.append(site)
        with ThreadPoolExecutor(len(sites)) as pool:
            list(pool.map(stack.enter_context, [site.group for site in sites]))

        def are_ready() -> bool:
            return all("treewatch" in each["jobs"] for site in sites for each in site.shown().values()) and all(
                site.ready() == set(NAMES) for site in sites
            )

        wait_until(are_ready, _WAIT, lambda: "not all groups are there")
        yield sites


def _states(sites: list[FleetSite]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for site in sites:
        found |= site.items()
    return found


def _single(sites: list[FleetSite]) -> tuple[list[float], list[float]]:
    """Seconds from the close of a file to its item, and from there to its start."""
    held: list[float] = []
    started: list[float] = []
    for number in range(_SINGLE):
        began = time.monotonic()
        wanted = sites[number % 3].drop(f"single-{number}")
        there = 0.0
        while True:
            state = _states(sites).get(wanted)
            now = time.monotonic()
            if state is not None and not there:
                there = now
                held.append(now - began)
            if state:
                started.append(now - there)
                break
            if now - began > _WAIT:
                raise TimeoutError(f"{wanted} was not started")
            time.sleep(0.001)
        time.sleep(0.2)
    return held, started


def _burst(sites: list[FleetSite], count: int, folders: list[Path]) -> float:
    """Metafiles a second, from the first drop into these folders to the last start."""
    began = time.monotonic()
    wanted = {sites[at % 3].drop(f"{folders[0].name}-{at}", folders[at % 3]) for at in range(count)}

    def done() -> bool:
        states = _states(sites)
        return all(states.get(each) for each in wanted)

    wait_until(done, 300.0, lambda: "the burst was not started", every=0.1)
    return count / (time.monotonic() - began)


async def _filled(cluster: NatsCluster, site: FleetSite, claims: int, groups: int) -> _Costs:
    client = await cluster.servers[0].connect()
    js = client.jetstream(timeout=10)
    for first in range(0, claims, 500):
        writes = [
            js.publish(f"$KV.pyrotorque_claims.{i:040X}", _claim(i)) for i in range(first, min(claims, first + 500))
        ]
        await asyncio.gather(*writes)

    every = interval(FleetSettings(), groups)

    async def beat() -> None:
        number = 0
        while True:
            number += 1
            for each in range(groups):
                facts = GroupFacts(name=f"group-{each}", started=1, number=number, version="1", beat=2.0, items=10)
                await js.publish(f"$KV.pyrotorque_groups.group-{each}", encode(facts))
                await asyncio.sleep(every / groups)

    beating = asyncio.ensure_future(beat())
    pid = site.pid("fleet")
    end = time.monotonic() + _WAIT
    while len(site.stored_claims()) < claims and time.monotonic() < end:
        await asyncio.sleep(0.5)
    beside_others = await asyncio.to_thread(_processor, pid)
    memory = _share(pid)
    beating.cancel()
    idle = await asyncio.to_thread(_processor, pid)
    await client.close()
    return _Costs(memory, idle, beside_others)


def _claim(number: int) -> bytes:
    claim = Claim(
        info_hash=f"{number:040X}", sha256="0" * 64, length=30_000, job="treewatch", folder="tv", sender="one",
        facts=Metafacts(name=f"Some.Name.Of.A.Torrent.{number}", size=10**9), offered=1.0, offer=str(number),
        state="done", owner="two", generation=1,
    )  # fmt: skip
    return encode_claim(claim)


def _share(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    show("fleet", measure())
