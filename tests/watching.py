"""A watcher in the test's own process, stepped by the test: on a real tree, with or without a real rTorrent."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pyrotorque.bus import Bus
from pyrotorque.configuration import Configuration
from pyrotorque.events import Event, LoadFailed, TorrentLoaded, decode
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.outbox import Outbox
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.service.runtime import Runtime
from pyrotorque.settings.schema import RTorrentSettings, Settings, WatchSettings
from pyrotorque.store import Store, open_store
from pyrotorque_watcher.rows import MIGRATIONS, ROW_COLUMNS, Row, row_of
from pyrotorque_watcher.service import Watcher
from tests.dropping import drop
from tests.waiting import attempt, bound

HANDLER = "pyrocore.torrent.watch:TreeWatch"


def job(*roots: Path, name: str = "treewatch", **params: Any) -> WatchSettings:
    """An active job on `roots`."""
    params = {"settle_time": 0.3} | params
    return WatchSettings(name=name, handler=HANDLER, schedule="hour=*", active=True, path=roots, **params)


@dataclass
class StubLife:
    """A life that no signal ends."""

    stopping: bool = False
    reloads: int = 0
    steps: list[str] = field(default_factory=list[str])

    def take_reload(self) -> bool:
        return False

    @contextmanager
    def step(self, name: str, deadline: float) -> Generator[None]:
        self.steps.append(name)
        yield

    @contextmanager
    def as_user(self) -> Generator[None]:
        yield


class Watching:
    """`with Watching(folder, job(root), url=…) as watching:`; `again` is what a restart of the process is."""

    def __init__(
        self,
        folder: Path,
        *jobs: WatchSettings,
        url: str | None = None,
        group_started: float = 0.0,
        dry_run: bool = False,
    ) -> None:
        self.layout = Layout.below(folder / "config")
        self.group_started = group_started
        rtorrent = RTorrentSettings(url=url, origin="test", connect_timeout=1.0, read_timeout=5.0)
        self.settings = Settings(digest="test", rtorrent=rtorrent, jobs=jobs, dry_run=dry_run)
        self.watcher: Watcher

    def __enter__(self) -> "Watching":
        self.layout.prepare()
        self._store: Store = open_store(self.layout.database("watcher"), MIGRATIONS)
        self._outbox = Outbox(self._store, "watcher")
        self._bus = Bus(self.layout, "watcher", self._outbox).open()
        reloader = ConfigurationReloader(Configuration(self.settings, self.layout, Options()))
        life: Any = StubLife()
        self.watcher = Watcher(reloader, Runtime(life, self._store, self._outbox, self._bus), self.group_started)
        self.watcher.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.watcher.close()
        self._bus.close()
        self._store.close()

    def again(self, *jobs: WatchSettings) -> "Watching":
        """Restart on the same state, with other jobs if given."""
        self.__exit__()
        if jobs:
            self.settings = msgspec.structs.replace(self.settings, jobs=jobs)
        return self.__enter__()

    def turn(self) -> bool:
        return self.watcher.turn(time.time(), time.monotonic())

    def settle(self) -> None:
        """Turn until nothing is left to do at once."""
        for _ in range(3):
            while self.turn():
                pass

    def rescan(self) -> None:
        """All roots are due to be walked."""
        for scanner in self.watcher.scanners:
            for root in scanner.roots.values():
                root.due = 0.0

    def until(self, condition: Callable[[], object], timeout: float = 20.0) -> None:
        """Turn until `condition` holds; AssertionError with the first 20 rows after `bound(timeout)` seconds."""
        begun = time.monotonic()
        while not (result := attempt(condition))[0]:
            if time.monotonic() - begun > bound(timeout):
                ledger = [(row.path, row.progress.state, row.progress.reason) for row in self.rows[:20]]
                raise AssertionError(f"not within {bound(timeout):.1f} s; the ledger: {ledger}") from result[1]
            if not self.turn():
                fds = [each.fileno() for each in self.watcher.scanners if each.fileno() >= 0]
                self._bus.wait(0.01, *fds)

    def load(self, path: Path, name: str = "") -> str:
        """Drop a metafile and turn until its item will stay; its info-hash."""
        info = drop(path, name)
        self.until(lambda: self.state(path) == "loaded")
        return info

    @property
    def rows(self) -> list[Row]:
        return [row_of(row) for row in self._store.db.execute(f"SELECT {ROW_COLUMNS} FROM metafiles ORDER BY turn")]

    def row(self, path: Path) -> Row:
        return next(row for row in self.rows if row.path == bytes(path))

    def state(self, path: Path) -> str:
        """The state of the file at `path` in the ledger; empty if it is not there."""
        return next((row.progress.state for row in self.rows if row.path == bytes(path)), "")

    def states(self, state: str) -> int:
        return sum(row.progress.state == state for row in self.rows)

    @property
    def events(self) -> list[Event]:
        return [decode(body).event for body in self._outbox.since(0, 100_000)]

    @property
    def loaded(self) -> list[TorrentLoaded]:
        return [event for event in self.events if isinstance(event, TorrentLoaded)]

    @property
    def failed(self) -> list[LoadFailed]:
        return [event for event in self.events if isinstance(event, LoadFailed)]
