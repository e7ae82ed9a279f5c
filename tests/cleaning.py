"""A clean-up job on a real rTorrent: items with data, and what is left of both."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentFault
from pyrotorque.events import UniqueEvent
from pyrotorque.housekeeping import own_clock
from pyrotorque.jobs import JobConfig, context
from pyrotorque.jobs.cleanup import Cleanup
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.accepted_loads import await_accepted_loads
from tests.waiting import eventually

# A tracker that never answers: 0.9.8 dies when an item whose tracker refuses is started repeatedly.
SILENT = "udp://127.0.0.1:1/announce"
AT_ONCE = {
    "condition": "is_complete=yes", "min_ratio": "0", "min_seedtime": "0", "matched_for": "0", "announce": "0",
    "others": "none", "max_percent": "100", "per_tracker": "0",
}  # fmt: skip


def days_later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let both clocks run on: the system's, and the kernel's own count, which housekeeping uses."""
    wall, awake = time.time(), vars(own_clock)["awake_time"]()
    monkeypatch.setattr(time, "time", lambda: wall + days * 86_400)
    monkeypatch.setattr(own_clock, "awake_time", lambda: awake + days * 86_400)


def without_awaited_loads(monkeypatch: pytest.MonkeyPatch, where: ModuleType) -> None:
    """Where no other program loads anything: awaiting a load takes up to a second, and only reads."""

    def awaiting(_: RTorrent) -> None:
        return

    monkeypatch.setattr(where, "await_accepted_loads", awaiting)


class CleanupScene:
    """An rTorrent whose downloads are `downloads`; every item seeds."""

    def __init__(self, running: PrivateRTorrent, folder: Path) -> None:
        self.running, self.folder = running, folder
        self.client = RTorrent(running.url)
        self.state = folder / "state"
        self.events: dict[str, UniqueEvent] = {}
        """What jobs published, by identity."""
        publish = self.events.__setitem__
        context.set_context(context.JobContext(state_dir=self.state, url=running.url, publish_once=publish))

    @property
    def downloads(self) -> Path:
        return self.running.downloads

    def write(self, name: "str | bytes", files: Iterable["str | bytes"] = ("a", "sub/b"), size: int = 40_000) -> Path:
        """Data on disk; no `files`: a single one."""
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.downloads), _bytes(name))))
        for inside in [os.path.join(os.fsencode(path), _bytes(file)) for file in files] or [os.fsencode(path)]:
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            if not os.path.exists(inside):
                Path(os.fsdecode(inside)).write_bytes(os.urandom(size))
        return path

    def add(self, path: Path, *commands: str, start: bool = True, salt: str = "", wait: bool = True) -> str:
        """The item of the data at `path`; `salt` makes it another one with the same files."""
        extra: dict[str, str] = {"source": salt} if salt else {}
        metafile = make_metafile(os.fsencode(path.name), content=path, announce=SILENT, info_extra=extra)
        found = info_hash(metafile)
        base = f"d.directory.set={path.parent}" if path.parent != self.downloads else ""
        self.client.call("load.raw_start" if start else "load.raw", "", metafile, *filter(None, (base, *commands)))
        if start and wait:
            eventually(lambda: self.seeds(found), 20, why=f"{path.name} seeds")
        elif wait:
            eventually(lambda: self.has(found), 20)
        return found

    def accepted_before(self, monkeypatch: pytest.MonkeyPatch, where: ModuleType, metafile: bytes) -> None:
        """This load was accepted before the module `where` awaits accepted loads; its item is added meanwhile."""

        def awaiting(rtorrent: RTorrent) -> None:
            self.client.call("load.raw", "", metafile)
            await_accepted_loads(rtorrent)

        monkeypatch.setattr(where, "await_accepted_loads", awaiting)

    def item(self, name: str, files: Iterable[str] = ("a", "sub/b"), **more: Any) -> str:
        """An item with data of its own."""
        return self.add(self.write(name, files), **more)

    def has(self, found: str) -> bool:
        try:
            return bool(self.client.call("d.hash", found))
        except RTorrentFault:
            return False

    def seeds(self, found: str) -> bool:
        calls = [(command, (found,)) for command in ("d.is_active", "d.complete", "d.hashing")]
        return self.client.multicall(calls) == [1, 1, 0]

    def is_intact(self, found: str) -> bool:
        """Whether a check of the data finds all of it."""
        self.client.call("d.check_hash", found)
        eventually(lambda: self.client.call("d.hashing", found) == 0, 20, why="it is checked")
        return self.client.call("d.complete", found) == 1

    def job(self, **settings: Any) -> Cleanup:
        data = {} if settings.get("data", "keep") == "keep" else {"below": str(self.downloads)}
        without = ("others",) if settings.get("data", "keep") == "keep" else ()
        values = {"job_name": "tidy", "schedule": "hour=4", **AT_ONCE, **data, **settings}
        return Cleanup(JobConfig({key: value for key, value in values.items() if key not in without}))

    def quarantined(self) -> dict[str, list[str]]:
        """The files of each entry in the quarantine, by info-hash."""
        root = self.downloads / ".pyrotorque-quarantine"
        return {
            entry.name.split("-")[2]: sorted(
                str(path.relative_to(entry / "data")) for path in (entry / "data").rglob("*") if path.is_file()
            )
            for entry in (root.iterdir() if root.exists() else ())
            if entry.is_dir()
        }


def _bytes(name: "str | bytes") -> bytes:
    return name if isinstance(name, bytes) else os.fsencode(name)
