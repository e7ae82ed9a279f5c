"""Metafiles that are loaded, started and deleted while rTorrent, the watcher and the scheduler are killed at random.

`remove_untied` runs every second. In the end each metafile must be deleted and have its item, started, also after one
more kill of rTorrent; and each load and start must be published once. `python -m benchmarks.kills [METAFILES [SEED]]`.
"""

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Figure, show
from benchmarks.filled import scratch
from demo.group import environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.events import LoadFailed, StartFailed, TorrentErased, TorrentLoaded, TorrentStarted, decode
from pyrotorque.outbox import stored_events
from pyrotorque.rtorrent import RTorrent

UNTYING = """\
method.insert = untied_ran, value, 0
schedule = untied, 1, 1, ((remove_untied))
schedule = untied_ran, 1, 1, ((untied_ran.set, 1))
"""
INI = """\
[TORQUE]
scgi_url = {url}
job.treewatch.active    = True
job.treewatch.path      = {root}
job.treewatch.load_mode = start
job.treewatch.queued    = True
job.treewatch.on_loaded = {on_loaded}
job.treewatch.loaded_path = {done}
job.queue.active          = True
job.queue.schedule        = second=*
job.queue.start_at_once   = 50
job.queue.downloading_max = 1000000
"""
SERVICES = ("watcher", "scheduler")
VICTIMS = (("rtorrent",), ("rtorrent",), ("watcher",), ("scheduler",), ("rtorrent", "watcher"), ("rtorrent", *SERVICES))
METAFILES = 300
_KILLS = 8  # one for so many metafiles


@dataclass
class Group:
    """A private rTorrent and both services, without a guardian: this program starts again what it killed."""

    folder: Path
    rtorrent: PrivateRTorrent
    services: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict[str, "subprocess.Popen[bytes]"])
    wanted: dict[str, Path] = field(default_factory=dict[str, Path])
    kills: int = 0

    @property
    def root(self) -> Path:
        return self.folder / "watch"

    def start(self, name: str) -> None:
        if name == "rtorrent":
            self.rtorrent.start()
            return
        command = [sys.executable, "-m", f"pyrotorque_{name}", "--config-dir", str(self.folder / "config")]
        with (self.folder / f"{name}.log").open("ab") as output:
            self.services[name] = subprocess.Popen(command, stdout=output, stderr=output, env=environment())

    def kill(self, name: str) -> None:
        if name == "rtorrent":
            self.rtorrent.kill()
            return
        self.services[name].send_signal(signal.SIGKILL)
        self.services[name].wait(10)

    def drop(self, name: str) -> None:
        metafile = make_metafile(name)
        path = self.root / f"{name}.torrent"
        path.write_bytes(metafile)
        self.wanted[info_hash(metafile)] = path

    def states(self) -> dict[str, str]:
        """The state of each item; empty while rTorrent does not answer."""
        with contextlib.suppress(Exception):
            return dict(RTorrent(self.rtorrent.url).rows("main", ["d.hash=", "d.state="]))  # type: ignore[arg-type]
        return {}

    def is_done(self) -> bool:
        """Each metafile has its item, started, and is disposed of."""
        states = self.states()
        published = self.published("scheduler", TorrentStarted)
        return (
            all(states.get(info) == "1" for info in self.wanted)
            and not any(self.root.glob("*.torrent"))
            and all(info in published for info in self.wanted)
        )

    def published(self, service: str, kind: type[TorrentLoaded | TorrentStarted]) -> Counter[str]:
        found = Counter[str]()
        for event in self._events(service):
            if isinstance(event, kind):
                found[event.info_hash] += 1
        return found

    def failures(self) -> int:
        """Failed loads and starts, and items that count as erased."""
        events = [*self._events("watcher"), *self._events("scheduler")]
        return sum(isinstance(event, LoadFailed | StartFailed | TorrentErased) for event in events)

    def _events(self, service: str) -> list[object]:
        bodies = stored_events(self.folder / "config" / "state" / f"{service}.sqlite3")
        return [decode(body).event for body in bodies]

    def untied_ran(self) -> None:
        """Wait until remove_untied has run after this call."""
        client = RTorrent(self.rtorrent.url)
        client.call("untied_ran.set", "", 0)
        wait_until(lambda: client.call("untied_ran") == 1, 20, lambda: "remove_untied did not run")


def measure(metafiles: int = METAFILES, seed: int = 1) -> Generator[Figure]:
    for on_loaded in ("delete", "move", "rename"):
        yield _killed(on_loaded, metafiles, seed)


def _killed(on_loaded: str, metafiles: int, seed: int) -> Figure:
    with _group(on_loaded) as group:
        began = time.monotonic()
        _drop_and_kill(group, metafiles, random.Random(seed))
        with contextlib.suppress(TimeoutError):
            wait_until(group.is_done, 180, lambda: "", every=0.2)
        took = time.monotonic() - began
        group.kill("rtorrent")
        group.start("rtorrent")
        group.untied_ran()
        group.untied_ran()
        states = group.states()
        lost = sum(info not in states for info in group.wanted)
        stopped = sum(states.get(info) == "0" for info in group.wanted)
        left = len(list(group.root.glob("*.torrent")))
        loads, starts = group.published("watcher", TorrentLoaded), group.published("scheduler", TorrentStarted)
        doubled = sum(count - 1 for found in (loads, starts) for count in found.values())
        unpublished = sum(2 - (info in loads) - (info in starts) for info in group.wanted)
        return Figure(
            f"{metafiles} metafiles, on_loaded = {on_loaded}, {group.kills} kills",
            f"lost {lost}, doubled {doubled}, not published {unpublished}, not started {stopped}, left {left}",
            f"{group.failures()} failures or erased items published; {took:.0f} s",
            "all 0",
            not (lost or doubled or unpublished or stopped or left),
        )


def _drop_and_kill(group: Group, metafiles: int, chance: random.Random) -> None:
    moments = set(chance.sample(range(metafiles), metafiles // _KILLS))
    for number in range(metafiles):
        group.drop(f"k{number}")
        if number not in moments:
            continue
        time.sleep(chance.random() ** 3)  # mostly while the last ones are loaded, saved and deleted
        victims = chance.choice(VICTIMS)
        for name in victims:
            group.kill(name)
        group.kills += len(victims)
        for name in chance.sample(victims, len(victims)):
            group.start(name)
            time.sleep(chance.random() * 0.2)


@contextlib.contextmanager
def _group(on_loaded: str) -> Generator[Group]:
    with scratch() as folder, PrivateRTorrent(folder / "rt", extra_rc=UNTYING) as rtorrent:
        group = Group(folder, rtorrent)
        group.root.mkdir()
        (folder / "config").mkdir()
        ini = INI.format(url=rtorrent.url, root=group.root, on_loaded=on_loaded, done=folder / "done")
        (folder / "config" / "torque.ini").write_text(ini)
        try:
            for name in SERVICES:
                group.start(name)
            log = folder / "watcher.log"
            wait_until(lambda: "watching" in log.read_text(errors="replace"), 30, lambda: log.read_text())
            yield group
        finally:
            for process in group.services.values():
                process.kill()
                process.wait(10)


if __name__ == "__main__":
    show("kills", measure(*map(int, sys.argv[1:3])))
