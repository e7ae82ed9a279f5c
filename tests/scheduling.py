"""A queue job over a real rTorrent, without bus and fire times: tests set the time and call each check."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import Event, decode
from pyrotorque.outbox import Outbox
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import QueueSettings, RTorrentSettings, Settings
from pyrotorque.store import Store, open_store
from pyrotorque.totals import Totals
from pyrotorque_scheduler.due_jobs import Cause
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.job_table import JobTable, build_job_table
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.check import Queue
from pyrotorque_scheduler.queue.check_result import CheckResult
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.state import MIGRATIONS
from tests.waiting import eventually

# A fire time of `second=*/15`; the times of tests are seconds after it.
BEGIN = float(int(time.time()) // 60 * 60)


def queue_job(name: str = "queue", **settings: object) -> QueueSettings:
    """A queue job with the manual's defaults."""
    return QueueSettings(name=name, handler="pyrocore.torrent.queue:QueueManager", active=True, **settings)  # type: ignore[arg-type]


@dataclass
class QueueScene:
    """Queue jobs, their store, and their rTorrent."""

    rtorrent: RTorrent
    store: Store
    outbox: Outbox
    job_table: JobTable
    metrics: SchedulerMetrics
    loaded: list[str] = field(default_factory=list[str])

    @property
    def queue(self) -> Queue:
        return next(iter(self.job_table.queues.values()))

    def load(self, name: str | bytes, *commands: str, priority: int = 2, **extra: object) -> str:
        """Load a stopped item as tree watch does; returns its info-hash when it is visible."""
        metafile = make_metafile(name, **extra)  # type: ignore[arg-type]
        made = info_hash(metafile)
        stamp = f"d.custom.set=tm_loaded,{BEGIN - 1000 + len(self.loaded):.0f}"
        self.rtorrent.call("load.raw", "", metafile, stamp, f"d.priority.set={priority}", *commands)
        eventually(lambda: made in {row[0] for row in self.rtorrent.rows("main", ["d.hash="])})
        self.loaded.append(made)
        return made

    def check(self, at: float = 0.0, cause: Cause = "tick", job: str | None = None) -> CheckResult:
        """A check of the queue `at` seconds after BEGIN."""
        queue = self.job_table.queues[job] if job else self.queue
        outcome = queue.check(moment(at), cause)
        eventually(self._settled)
        return outcome

    def _settled(self) -> bool:
        starter = self.job_table.starter
        assert starter is not None
        starter.verify(time.monotonic())
        return starter.wait(time.monotonic()) > 1e6

    def running(self) -> set[str]:
        """The info-hashes of the started items."""
        rows = self.rtorrent.rows("main", ["d.hash=", "d.state="])
        return {made for made, state in rows if state == "1"}

    def events(self) -> list[Event]:
        """All events so far."""
        return [decode(body).event for body in self.outbox.since(0, 10_000)]

    def event_types(self) -> list[str]:
        """The types of all events so far."""
        return [type(event).__name__ for event in self.events()]


def without_trackers(d: QueueScene) -> None:
    """No tracker's answer replaces the message of an item; rTorrent announces also when it closes one."""
    for made in d.loaded:
        d.rtorrent.call("t.is_enabled.set", f"{made}:t0", 0)
        assert d.rtorrent.call("t.multicall", made, "", "t.is_enabled=") == [[0]]


def moment(at: float) -> Instant:
    return Instant(BEGIN + at, 1_000_000 + at, "this boot")


def since_begin(at: float) -> float:
    """Unix seconds `at` seconds after BEGIN."""
    return BEGIN + at


def midnight() -> float:
    """The next local midnight, in seconds after BEGIN."""
    tomorrow = datetime.fromtimestamp(BEGIN).date() + timedelta(days=1)
    return datetime.combine(tomorrow, datetime.min.time()).timestamp() - BEGIN


@contextmanager
def queue_scene(real: PrivateRTorrent, folder: Path, *jobs: QueueSettings, at: float = 0.0) -> Generator[QueueScene]:
    """Queue jobs over `real`, with their state in `folder`."""
    with queue_scene_at(real.url, folder, *jobs, at=at) as made:
        yield made


@contextmanager
def queue_scene_at(url: str, folder: Path, *jobs: QueueSettings, at: float = 0.0) -> Generator[QueueScene]:
    """Queue jobs over the rTorrent at this address."""
    settings = Settings(digest="test", rtorrent=RTorrentSettings(url=url, origin="test"), jobs=jobs or (queue_job(),))
    with queue_scene_of(settings, folder, at=at) as made:
        yield made


@contextmanager
def queue_scene_of(settings: Settings, folder: Path, *, at: float = 0.0) -> Generator[QueueScene]:
    """All jobs of these settings."""
    store = open_store(folder / "scheduler.sqlite3", MIGRATIONS)
    try:
        outbox = Outbox(store, "scheduler")
        metrics = SchedulerMetrics(Totals())
        job_table = build_job_table(
            settings, store, EventRouter(store, outbox), metrics, moment(at), folder / "config.py"
        )
        try:
            yield QueueScene(RTorrent(settings.rtorrent.url or ""), store, outbox, job_table, metrics)
        finally:
            job_table.close()
    finally:
        store.close()
