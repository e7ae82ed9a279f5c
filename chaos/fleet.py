"""`make chaos-fleet`: three groups with real rTorrents over three nats-servers, with faults, and a check of all state.

Each metafile must be in exactly one rTorrent, started in no other at any time, and none may be lost; claims, ledgers
and inboxes must agree. CHAOS_SECONDS (600), CHAOS_METAFILES (600), CHAOS_SEED, CHAOS_FAULTS (parts of names); with
CHAOS_FENCE=off the same faults must break the guarantee. Groups and servers are hosts of a private network where the
machine allows it.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from chaos.fleet_checks import Observer, await_agreement, report, start_log
from chaos.fleet_faults import FleetFaults
from chaos.networks import PrivateNetwork, enter
from demo.fleet_site import NAMES, FleetSite
from tests.nats import SERVER_NAMES, NatsCluster

_BEAT = 0.5
_SIDE_BY_SIDE = 3
"""So many faults at a time."""
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


def main() -> int:
    seconds = float(os.environ.get("CHAOS_SECONDS", "600"))
    wanted = int(os.environ.get("CHAOS_METAFILES", "600"))
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    fence = os.environ.get("CHAOS_FENCE", "on") != "off"
    has_network = enter("chaos.fleet")
    print(json.dumps({"load": os.getloadavg()[0], "rtorrent": _version(), "network": has_network}))
    print(f"seed {seed}, {seconds:g} s, {wanted} metafiles, fence {'on' if fence else 'OFF'}", flush=True)
    if not has_network:
        print("this machine allows no network of its own: no link is cut", flush=True)
    chance = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pcf-", ignore_cleanup_errors=True)))
        patch = folder / "patch"
        patch.mkdir()
        (patch / "sitecustomize.py").write_text(_SLOW + ("" if fence else _FENCE_OFF))
        network = stack.enter_context(PrivateNetwork((*SERVER_NAMES, *NAMES))) if has_network else None
        places = [(network.address(name), network.within(name)) for name in SERVER_NAMES] if network else ()
        cluster = stack.enter_context(NatsCluster(folder / "nats", places))
        sites: list[FleetSite] = []
        logs: list[Path] = []
        for name in NAMES:
            line, log = start_log(folder, name)
            within = network.within(name) if network else ()
            site = FleetSite(
                folder, name, cluster.url, patch=patch, within=within, beat=_BEAT, silent=6 * _BEAT, turn=0.3,
                rtorrent_rc=line,
            )  # fmt: skip
            stack.callback(site.rtorrent.kill)
            sites.append(site)
            logs.append(log)
        with ThreadPoolExecutor(len(sites)) as pool:
            list(pool.map(stack.enter_context, [site.group for site in sites]))
        observer = Observer(sites, logs)
        with observer.watching():
            faults = FleetFaults(sites, cluster, network, chance)
            hashes, done = _inject(sites, faults, chance, seconds, wanted)
            wrong = await_agreement(sites, hashes)
        code = report(sites, observer, hashes, done, wrong, fence=fence)
        if code and (kept := os.environ.get("CHAOS_KEEP")):
            shutil.copytree(folder, kept, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "run", "js"))
        return code


def _version() -> str:
    shown = subprocess.run(["rtorrent", "-h"], capture_output=True, text=True, check=False).stdout
    return shown.partition(".\n")[0].rpartition(" ")[2]


def _inject(
    sites: list[FleetSite], faults: FleetFaults, chance: random.Random, seconds: float, wanted: int
) -> tuple[set[str], Counter[str]]:
    only = os.environ.get("CHAOS_FAULTS", "").split(",")
    chosen = {name: fault for name, fault in faults.all().items() if any(part in name for part in only)}
    done: Counter[str] = Counter()
    hashes: set[str] = set()
    ends = threading.Event()

    def drop() -> None:
        dropper = random.Random(chance.random())
        for number in range(wanted):
            hashes.add(dropper.choice(sites).drop(f"chaos-{number}"))
            if ends.wait(seconds / wanted):
                return

    def break_things(until: float) -> None:
        while time.monotonic() < until:
            name = chance.choices(list(chosen), [weight for weight, _ in chosen.values()])[0]
            try:
                chosen[name][1]()
            except Exception as error:
                print(f"{name}: {error!r}", flush=True)
            done[name] += 1
            time.sleep(chance.uniform(0.5, 4.0))

    dropping = threading.Thread(target=drop)
    dropping.start()
    until = time.monotonic() + seconds
    breaking = [threading.Thread(target=break_things, args=(until,)) for _ in range(_SIDE_BY_SIDE)]
    for thread in breaking:
        thread.start()
    for thread in breaking:
        thread.join()
    ends.set()
    dropping.join()
    return hashes, done


if __name__ == "__main__":
    sys.exit(main())
