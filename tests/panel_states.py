"""Five states of a group as the panel shows them: real server, templates and scripts, with answers that are made up."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, Final
from unittest.mock import patch

from pyrotorque.disk_usage import Disk
from pyrotorque.errors import ServiceUnreachable, UserError
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, DescribeService, ExplainQueue, ListMetafiles, Request
from pyrotorque.supervisord import Process, SupervisordError
from pyrotorque_panel import group_view
from pyrotorque_panel.transfer_ring import TransferSample
from pyrotorque_panel.watched_groups import WatchedGroup
from tests.panel_scene import PanelScene, panel_scene

GIB: Final = 1 << 30
MIB: Final = 1 << 20
_HOURS: Final = 3
_SERVICES: Final = ("scheduler", "watcher", "exporter", "guardian", "panel")
_RUNNING: Final = (
    ("debian-13.2.0-amd64-DVD-1.iso", 81.0, 3.7, 11.2),
    ("Sintel.2010.2160p.open-movie", 46.0, 12.6, 18.4),
    ("LibriVox.Collection.2026-10.FLAC", 12.0, 41.0, 3.2),
)
_NEXT: Final = (
    "Fedora-Workstation-Live-44.iso",
    "Tears.of.Steel.2012.1080p.open-movie",
    "OpenStreetMap.planet.2026-11-23.pbf",
)
_SLOTS: Final = {"text": "3 of 3 slots are taken", "reason": "no_slot"}
_NONE: Final = {"text": "no item is startable", "reason": "nothing_startable"}


def _hash(name: str) -> str:
    return sha1(name.encode(), usedforsecurity=False).hexdigest().upper()


def _item(name: str, done: float, size: float, down: float) -> dict[str, Any]:
    whole = int(size * GIB)
    left = int(whole * (1 - done / 100))
    return {
        "hash": _hash(name), "name": name, "done": done, "size": whole, "left": left, "down": int(down * MIB)
    }  # fmt: skip


def _queue(name: str, slots: int, running: Any = (), order: Any = (), hold: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "job": name, "paused": False, "dry_run": False, "downloading": len(running), "downloading_max": slots,
        "startable": len(order), "next_fire": time.time() + 4, "stalled": None, "hold": hold,
        "running": [_item(*each) for each in running],
        "order": [{"hash": _hash(each), "name": each} for each in order],
    } | more  # fmt: skip


def _job(name: str, ok: bool | None = True, ago: float = 240.0, seconds: float = 0.4, **more: Any) -> dict[str, Any]:
    at = time.time() - ago
    run = None if ok is None else {"at": at, "seconds": seconds, "ok": ok, "reason": more.pop("reason", "")}
    return {"job": name, "kind": "custom", "paused": False, "next_fire": time.time() + 1800, "last_run": run} | more


@dataclass
class GroupState:
    """What the services, rTorrent, the disks and supervisord of a group say; None is a service that does not answer."""

    queues: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    jobs: list[dict[str, Any]] | None = field(default_factory=list[dict[str, Any]])
    failed: list[tuple[str, str, float]] | None = field(default_factory=list[tuple[str, str, float]])
    loaded: int = 0
    processes: dict[str, str] | None = field(default_factory=lambda: dict.fromkeys(_SERVICES, "RUNNING"))
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    disks: list[Disk] = field(default_factory=list[Disk])
    rates: Callable[[float], tuple[int, int] | None] = lambda _: (0, 0)
    """Download and upload rate at a part of the curve, from 0 to 1; None is unknown."""
    counts: tuple[int, int, int] = (0, 0, 0)
    """Items that download, that seed, and all."""
    problem: str = ""
    """Why rTorrent does not answer."""
    folders: dict[str, str] = field(default_factory=lambda: {"/data/watch": "", "/data/watch/linux": "linux"})

    def ask(self, layout: Layout, service: str, request: Request, timeout: float = 5.0) -> Answer:
        match request:
            case DescribeService() if service == "scheduler" and self.jobs is not None:
                return Answer(ok=True, text="", data={"jobs": self.jobs, "at": time.time()})
            case DescribeService() if service == "watcher" and self.failed is not None:
                counts = {"loaded": self.loaded, "failed": len(self.failed)}
                return Answer(ok=True, text="", data={"metafiles": {k: n for k, n in counts.items() if n}})
            case ListMetafiles() if self.failed is not None:
                rows = self._rows(request.state)
                return Answer(ok=True, text="", data={"metafiles": rows[: request.limit], "next": None})
            case ExplainQueue(item=None) if self.jobs is not None:
                return Answer(ok=True, text="", data=self.queues)
            case ExplainQueue() if self.jobs is not None:
                return self._explained(str(request.item))
            case _:
                raise ServiceUnreachable(f"the {service} does not answer")

    def _rows(self, state: str) -> list[dict[str, Any]]:
        now = time.time()
        failed = [
            {"path": path, "state": "failed", "reason": reason, "changed": now - ago, "job": "treewatch"}
            for path, reason, ago in self.failed or ()
        ]
        loaded = [
            {"path": f"/data/watch/{name}.torrent", "state": "loaded", "reason": "", "changed": now - 900 * number - 60,
             "job": "treewatch"}
            for number, (name, *_) in enumerate(_RUNNING)
        ]  # fmt: skip
        return [row for row in (*failed, *loaded[: self.loaded]) if state in ("", row["state"])]

    def _explained(self, item: str) -> Answer:
        names = [each["name"] for queue in self.queues for each in queue["order"]]
        found = next((name for name in names if item in (_hash(name), name)), None)
        if found is None:
            return Answer(ok=False, text=f"no item has {item!r} in its name")
        clauses = [
            {"text": "is_open=no", "field": "is_open", "value": "no", "verdict": True},
            {"text": "is_ignored=no", "field": "is_ignored", "value": "no", "verdict": True},
            {"text": 'message="" OR message=/Tried all trackers/', "field": "message", "value": "", "verdict": True},
            {"text": "prio>0", "field": "prio", "value": 2, "verdict": True},
        ]
        data = {
            "job": "queue", "hash": _hash(found), "name": found, "clauses": clauses,
            "text": "it is startable, number 1 in the order; 3 of 3 slots are taken",
        }  # fmt: skip
        return Answer(ok=True, text="", data=[data])

    # -- what is not asked of a service

    def fill(self, group: WatchedGroup, now: float) -> None:
        """Curve, disks, folders and events."""
        ring, count = group.ring, _HOURS * 360
        for number in range(count + 1):
            found = self.rates(number / count)
            at = now - (count - number) * 10
            loading, seeding, items = self.counts if found else (None, None, None)
            down, up = found or (None, None)
            ring.add(TransferSample(at=at, down=down, up=up, downloading=loading, seeding=seeding, items=items))
        ring.version, ring.disks, ring.folders = "0.16.17", self.disks, self.folders
        ring.problem, ring.since = self.problem, now - 1080 if self.problem else now - 3e5
        for number, event in enumerate(self.events):
            group.events.commit({"source": "test", "seq": number, "id": number + 1} | event)


class FakeSupervisord:
    """supervisord of the group in `state`."""

    state: GroupState

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def processes(self) -> list[Process]:
        if self.state.processes is None:
            raise SupervisordError("it does not answer")
        started = time.time() - 12 * 86_400
        return [Process(name, "g", state, 0, started, "", "") for name, state in self.state.processes.items()]

    def listens(self) -> bool:
        return self.state.processes is not None


def _wave(high: float, low: float) -> Callable[[float], tuple[int, int] | None]:
    """Rates in MiB/s that look like those of a day."""
    from math import sin

    def rates(part: float) -> tuple[int, int] | None:
        down = low + (high - low) * (0.55 + 0.3 * sin(part * 9) + 0.12 * sin(part * 41) + 0.05 * sin(part * 97))
        up = 0.22 * high * (0.7 + 0.2 * sin(part * 6 + 2) + 0.06 * sin(part * 53))
        return int(max(down, 0) * MIB), int(max(up, 0) * MIB)

    return rates


def _events(now: float) -> list[dict[str, Any]]:
    return [
        {
            "type": "TorrentRemoved",
            "name": "archlinux-2026.09.01-x86_64.iso",
            "job": "tidy",
            "data": "quarantine",
            "reason": "seeded for 30 d, ratio 4.1",
            "at": now - 1860,
        },
        {"type": "TorrentLoaded", "name": _NEXT[1], "job": "treewatch", "seconds": 0.008, "at": now - 540},
        {"type": "TorrentCompleted", "name": "ubuntu-26.04.1-live-server-amd64.iso", "at": now - 180},
        {"type": "JobReported", "job": "ratio_report", "text": "412 items, ratio 2.31", "at": now - 150},
        {"type": "TorrentStarted", "name": _RUNNING[1][0], "job": "queue", "at": now - 120},
    ]


def _disks(*rooms: tuple[str, float, float]) -> list[Disk]:
    return [Disk(point, number, int(free * GIB), int(size * GIB)) for number, (point, free, size) in enumerate(rooms)]


def well() -> GroupState:
    """All is well, and much happens."""
    now = time.time()
    return GroupState(
        queues=[_queue("queue", 3, _RUNNING, _NEXT, _SLOTS, startable=17), _queue("slow", 2, (), (), _NONE)],
        jobs=[
            _job("queue", ago=6), _job("slow", ago=9), _job("move_complete", on=["TorrentCompleted"], next_fire=None),
            _job("ratio_report", ago=150), _job("night", None, paused=True),
        ],
        loaded=3, events=_events(now), rates=_wave(37, 8), counts=(3, 412, 434),
        disks=_disks(("/data", 1210, 3600), ("/media/archive", 820, 7200), ("/home", 212, 460)),
    )  # fmt: skip


def trouble() -> GroupState:
    """Several things at once: metafiles, a job, a process, a full disk."""
    found, now = well(), time.time()
    found.failed = [
        ("/data/watch/open-movies/Cosmos.Laundromat.2015.torrent",
         "the file ends in the middle of a value: perhaps it is not complete yet", 840),
        ("/data/watch/linux/netbsd-11.0-amd64.torrent", "rTorrent has refused it: Bad metafile: no info", 3900),
    ]  # fmt: skip
    failure = "/media/archive: no space left on the device (needed 4.2 GiB, had 1.1 GiB)"
    found.jobs = [
        _job("queue", ago=6), _job("slow", ago=9), _job("move_complete", False, 1560, 31, reason=failure),
        _job("ratio_report", ago=150), _job("night", None, paused=True),
    ]  # fmt: skip
    found.processes = dict.fromkeys(_SERVICES, "RUNNING") | {"exporter": "FATAL"}
    found.disks = _disks(("/data", 61, 3600), ("/media/archive", 1.1, 7200), ("/home", 212, 460))
    found.events = [
        *found.events[:3],
        {"type": "JobFailed", "job": "move_complete", "reason": failure, "at": now - 1560},
        {"type": "LoadFailed", "metafile": "Cosmos.Laundromat.2015.torrent", "reason": found.failed[0][1],
         "at": now - 840},
    ]  # fmt: skip
    found.events.sort(key=lambda event: float(event["at"]))
    return found


def away() -> GroupState:
    """rTorrent and the scheduler do not answer; the rest works."""
    found, wave = well(), _wave(37, 8)
    found.problem = "rTorrent does not answer at /run/rtorrent/scgi.sock: Connection refused"
    found.jobs = None
    found.rates = lambda part: None if part > 0.9 else wave(part)
    found.processes = dict.fromkeys(_SERVICES, "RUNNING") | {"scheduler": "STOPPED"}
    found.events.append(
        {"type": "RTorrentLost", "reason": found.problem, "at": time.time() - 1080},
    )
    found.events.sort(key=lambda event: float(event["at"]))
    return found


def many() -> GroupState:
    """Ten thousand items, many jobs, long names, many failures."""
    found = well()
    long = "A.Very.Long.Name.Without.Any.Space." * 6
    running = [(f"{number:02}.{long}.iso", 7.0 * number % 100, 4.0 + number, 0.7 * number) for number in range(1, 31)]
    order = [f"Waiting.{number:03}.{long}.iso" for number in range(1, 21)]
    found.queues = [
        _queue(f"queue_{number}", 40, running[: 30 // number], order, _SLOTS, startable=9500) for number in (1, 2)
    ]
    found.jobs = [_job(f"job_with_a_rather_long_name_{number}", number % 9 != 1) for number in range(24)]
    found.failed = [(f"/data/watch/{long}/{number}.torrent", "rTorrent has refused it", 60.0) for number in range(40)]
    found.loaded, found.counts, found.rates = 9960, (60, 9800, 10_000), _wave(1180, 640)
    found.disks = _disks(*((f"/mnt/disk-{number}/with/a/long/mount/point", 90 * number, 9000) for number in range(14)))
    return found


def empty() -> GroupState:
    """The first minutes: no item, no metafile, no job has run, no event."""
    return GroupState(
        queues=[_queue("queue", 3, hold=_NONE)],
        jobs=[_job("queue", None)],
        disks=_disks(("/home", 212, 460)),
        folders={"/home/user/watch": ""},
        rates=lambda part: (0, 0) if part > 0.99 else None,
    )


STATES: Final[dict[str, Callable[[], GroupState]]] = {
    "well": well,
    "trouble": trouble,
    "away": away,
    "many": many,
    "empty": empty,
}


@contextmanager
def panel_in(state: GroupState, layout: Layout, **settings: Any) -> Generator[PanelScene]:
    """A panel whose group is in this state."""

    class Supervised(FakeSupervisord):
        pass

    Supervised.state = state

    class NoCommand:
        """Clean-ups and the quarantine are commands: a group without them."""

        def __init__(self, _: Layout) -> None:
            pass

        def lines(self, command: str, *_: str) -> list[dict[str, Any]]:
            if command == "cleanup":
                raise UserError("no clean-up job is active")
            return []

    with (
        patch.object(group_view, "ask", state.ask),
        patch.object(group_view, "Supervisord", Supervised),
        patch.object(group_view, "CommandRunner", NoCommand),
        panel_scene(layout, **settings) as scene,
    ):
        state.fill(scene.parts.groups[0], time.time())
        yield scene
