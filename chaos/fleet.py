"""`make chaos-fleet`: three groups with real rTorrents over three nats-servers, with faults, and a check of all state.

Each metafile must be in exactly one rTorrent, started in no other at any time, and none may be lost; claims and
ledgers must agree. CHAOS_SECONDS (600), CHAOS_METAFILES (600), CHAOS_SEED, CHAOS_FAULTS (parts of names); with
CHAOS_FENCE=off the same faults must break the guarantee.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from demo.group import Group, wait_until
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentError
from pyrotorque.rtorrent import RTorrent
from tests.nats import NatsCluster

NAMES = ("one", "two", "three")
_STOP = (4.0, 7.0)
_CHECK = 0.25
_DRAIN = 300.0
_FENCE_OFF = """
import sys
if any("pyrotorque_fleet" in word for word in sys.orig_argv):
    import time
    from pyrotorque_fleet import handovers, receiver
    handovers.next_step.__kwdefaults__["fence"] = False
"""
# A process that is stopped between its look and its effect is as slow as this.
_SLOW = """
import sys
if any("pyrotorque_fleet" in word for word in sys.orig_argv):
    import random, time
    from pyrotorque_fleet import receiver
    def slowly(method):
        def call(self, entries, now):
            if random.random() < 0.02:
                time.sleep(random.uniform(1.0, 5.0))
            return method(self, entries, now)
        return call
    receiver.ClaimReceiver._grant = slowly(receiver.ClaimReceiver._grant)
    receiver.ClaimReceiver._release = slowly(receiver.ClaimReceiver._release)
"""


class ChaosGroup:
    """One group with its rTorrent and tree."""

    def __init__(self, folder: Path, name: str, servers: str, patch: Path, *, beat: float = 0.5) -> None:
        self.name, self.tree = name, folder / f"{name}-watch"
        self.tree.mkdir()
        self.rtorrent = PrivateRTorrent(folder / f"{name}-rt")
        self.rtorrent.start()
        lines = (
            "[TORQUE]",
            f"scgi_url = {self.rtorrent.url}",
            "job.treewatch.active = True",
            "job.treewatch.place = fleet",
            "job.treewatch.load_mode = start",
            f"job.treewatch.path = {self.tree}",
            f"fleet.servers = {servers}",
            f"fleet.name = {name}",
            f"fleet.beat = {beat}",
            f"fleet.silent = {6 * beat}",
            "fleet.turn = 0.3",
        )
        self.group = Group(folder / name, "\n".join(lines) + "\n", first_on_path=patch)

    def drop(self, name: str) -> str:
        content = make_metafile(name)
        (self.tree / f"{name}.part").write_bytes(content)
        (self.tree / f"{name}.part").rename(self.tree / f"{name}.torrent")
        return info_hash(content)

    def items(self) -> dict[str, bool] | None:
        """Whether each item is started; None while rTorrent does not answer."""
        try:
            rows = RTorrent(self.rtorrent.url, read_timeout=3.0).rows("main", ("d.hash=", "d.state="))
        except RTorrentError:
            return None
        return {row[0]: row[1] == "1" for row in rows}

    def pid(self, service: str) -> int:
        with suppress(OSError, ValueError, IndexError):
            return self.group.pid(service)
        return 0

    def ledger(self, query: str) -> list[tuple[str, ...]]:
        path = self.group.config_dir / "state" / "watcher.sqlite3"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return db.execute(query).fetchall()

    def claims(self) -> dict[str, tuple[str, str]]:
        path = self.group.config_dir / "state" / "fleet.sqlite3"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT info_hash, state, owner FROM claims").fetchall()
        return {row[0]: (row[1], row[2]) for row in rows}


@dataclass
class Observer:
    """Reads all rTorrents in a thread: in which groups each item was ever started."""

    groups: list[ChaosGroup]
    started: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    loaded: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    _ends: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        for group in self.groups:
            for each, is_started in (group.items() or {}).items():
                self.loaded.setdefault(each, set()).add(group.name)
                if is_started:
                    self.started.setdefault(each, set()).add(group.name)

    @contextmanager
    def watching(self) -> Generator[None]:
        def run() -> None:
            while not self._ends.wait(_CHECK):
                self.look()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            thread.join()


def _kill(group: ChaosGroup, service: str) -> None:
    with suppress(ProcessLookupError):
        if pid := group.pid(service):
            os.kill(pid, signal.SIGKILL)


def _stop(group: ChaosGroup, service: str, seconds: float) -> None:
    if not (pid := group.pid(service)):
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)


def _delete(cluster: NatsCluster, stream: str) -> None:
    import asyncio

    async def run() -> None:
        client = await cluster.servers[0].connect()
        try:
            await client.jetstream(timeout=10).delete_stream(stream)
        finally:
            await client.close()

    with suppress(Exception):
        asyncio.run(run())


def _lose_data(cluster: NatsCluster, number: int) -> None:
    server = cluster.servers[number]
    server.kill()
    for path in sorted((server.folder / "js").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    server.start()


def _away(cluster: NatsCluster, seconds: float) -> None:
    for server in cluster.servers:
        server.kill()
    time.sleep(seconds)
    for server in cluster.servers:
        server.begin()
    for server in cluster.servers:
        server.await_ready()


def faults(
    groups: list[ChaosGroup], cluster: NatsCluster, chance: random.Random
) -> dict[str, tuple[float, Callable[[], None]]]:
    """By name: how often relative to the others, and the fault."""

    def group() -> ChaosGroup:
        return chance.choice(groups)

    def restart_rtorrent() -> None:
        chosen = group()
        chosen.rtorrent.kill()
        chosen.rtorrent.start(timeout=60)

    def restart_server() -> None:
        server = chance.choice(cluster.servers)
        server.kill()
        time.sleep(chance.uniform(0.0, 3.0))
        server.start()

    return {
        "fleet killed": (6, lambda: _kill(group(), "fleet")),
        "fleet stopped": (6, lambda: _stop(group(), "fleet", chance.uniform(*_STOP))),
        "watcher killed": (3, lambda: _kill(group(), "watcher")),
        "watcher stopped": (2, lambda: _stop(group(), "watcher", chance.uniform(*_STOP))),
        "rTorrent killed": (2, restart_rtorrent),
        "server killed": (3, restart_server),
        "all servers away": (1, lambda: _away(cluster, chance.uniform(3.0, 10.0))),
        "bucket deleted": (1, lambda: _delete(cluster, "KV_pyrotorque_claims")),
        "data of one server deleted": (1, lambda: _lose_data(cluster, chance.randrange(3))),
    }


def main() -> int:
    seconds = float(os.environ.get("CHAOS_SECONDS", "600"))
    wanted = int(os.environ.get("CHAOS_METAFILES", "600"))
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    fence = os.environ.get("CHAOS_FENCE", "on") != "off"
    print(f"seed {seed}, {seconds:g} s, {wanted} metafiles, fence {'on' if fence else 'OFF'}", flush=True)
    chance = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pcf-", ignore_cleanup_errors=True)))
        patch = folder / "patch"
        patch.mkdir()
        (patch / "sitecustomize.py").write_text(_SLOW + ("" if fence else _FENCE_OFF))
        cluster = stack.enter_context(NatsCluster(folder / "nats"))
        groups = [ChaosGroup(folder, name, cluster.url, patch) for name in NAMES]
        for group in groups:
            stack.callback(group.rtorrent.kill)
        with ThreadPoolExecutor(len(groups)) as pool:
            list(pool.map(stack.enter_context, [group.group for group in groups]))
        observer = Observer(groups)
        with observer.watching():
            hashes, done = _inject(groups, cluster, chance, seconds, wanted)
            complaints = _settled(groups, hashes)
        return _report(groups, observer, hashes, done, complaints, fence=fence)


def _inject(
    groups: list[ChaosGroup], cluster: NatsCluster, chance: random.Random, seconds: float, wanted: int
) -> tuple[set[str], Counter[str]]:
    only = os.environ.get("CHAOS_FAULTS", "").split(",")
    found = faults(groups, cluster, chance)
    chosen = {name: fault for name, fault in found.items() if any(part in name for part in only)}
    done: Counter[str] = Counter()
    hashes: set[str] = set()
    ends = threading.Event()

    def drop() -> None:
        dropper = random.Random(chance.random())
        for number in range(wanted):
            hashes.add(dropper.choice(groups).drop(f"chaos-{number}"))
            if ends.wait(seconds / wanted):
                return

    thread = threading.Thread(target=drop)
    thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = chance.choices(list(chosen), [weight for weight, _ in chosen.values()])[0]
        try:
            chosen[name][1]()
        except Exception as error:
            print(f"{name}: {error!r}", flush=True)
        done[name] += 1
        time.sleep(chance.uniform(0.5, 4.0))
    ends.set()
    thread.join()
    return hashes, done


def _settled(groups: list[ChaosGroup], hashes: set[str]) -> list[str]:
    """What is still wrong after a while without faults."""
    found: list[str] = ["never looked"]

    def is_settled() -> bool:
        found[:] = _wrong(groups, hashes)
        return not found

    with suppress(TimeoutError):
        wait_until(is_settled, _DRAIN, lambda: "", every=1.0)
    return found


def _wrong(groups: list[ChaosGroup], hashes: set[str]) -> list[str]:
    where = {group.name: group.items() for group in groups}
    if any(items is None for items in where.values()):
        return ["an rTorrent does not answer"]
    found: list[str] = []
    for each in sorted(hashes):
        here = [name for name, items in where.items() if items and each in items]
        running = [name for name in here if (where[name] or {})[each]]
        if len(here) != 1 or len(running) != 1:
            found.append(f"{each}: in {here}, started in {running}")
    for group in groups:
        try:
            claims = group.claims()
            left = group.ledger(
                "SELECT state, path FROM metafiles WHERE state IN ('seen', 'sent', 'offered') AND gone = 0"
            )
        except sqlite3.Error as error:
            return [f"{group.name}: {error}"]
        open_claims = {each: claim for each, claim in claims.items() if claim[0] != "done" and each in hashes}
        if open_claims:
            found.append(f"{group.name}: {len(open_claims)} claims are not done: {list(open_claims.items())[:3]}")
        mine = {each for each, (_, owner) in claims.items() if owner == group.name}
        items = set(where[group.name] or {})
        if mine != items:
            found.append(f"{group.name}: {len(mine - items)} claims without an item, {len(items - mine)} items without")
        if left:
            found.append(f"{group.name}: {len(left)} metafiles wait: {left[:3]}")
    return found


def _report(
    groups: list[ChaosGroup], observer: Observer, hashes: set[str], done: Counter[str], wrong: list[str], *, fence: bool
) -> int:
    twice = {each: names for each, names in observer.started.items() if len(names) > 1}
    moved = sum(len(names) > 1 for names in observer.loaded.values())
    failures = [
        f"{group.name}: {count} errors in its log"
        for group in groups
        if (count := group.group.log("fleet").count("Traceback") + group.group.log("watcher").count("Traceback"))
    ]
    print(f"{sum(done.values())} faults: " + ", ".join(f"{count} {name}" for name, count in sorted(done.items())))
    spread = Counter(next(iter(names)) for names in observer.started.values())
    print(f"{len(hashes)} metafiles, started by {dict(spread)}; {moved} were loaded in more than one group meanwhile")
    print(f"started in two groups: {len(twice)} {list(twice.items())[:5]}")
    for line in [*wrong[:20], *failures]:
        print(f"WRONG: {line}")
    if not fence:
        print("without the fence " + ("the guarantee is broken, as expected" if twice else "NOTHING WAS STARTED TWICE"))
        return 0 if twice else 1
    return 1 if twice or wrong else 0


if __name__ == "__main__":
    print(json.dumps({"load": os.getloadavg()[0]}))
    sys.exit(main())
