"""The watcher's loop: hears the kernel, loads what was seen, walks what is due, answers; one small piece at a time."""

import logging
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.errors import RTorrentError
from pyrotorque.rtorrent import RTorrent
from pyrotorque.schedule import parse_schedule
from pyrotorque.service.clock_step import ClockStepDetector
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.service.runtime import Runtime, open_runtime
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.settings.schema import Settings, WatchSettings
from pyrotorque.totals import Totals
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.loader import Loader
from pyrotorque_watcher.load.outcomes import Outcomes
from pyrotorque_watcher.load.prepare import Client
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.mending import heed
from pyrotorque_watcher.metrics import Metrics
from pyrotorque_watcher.requests import answer
from pyrotorque_watcher.rows import MIGRATIONS
from pyrotorque_watcher.scan.scanner import TreeJob
from pyrotorque_watcher.settle.afterwards import Afterwards
from pyrotorque_watcher.settle.disposal import Disposer
from pyrotorque_watcher.settle.durability import Durability
from pyrotorque_watcher.started import group_started, written

log = logging.getLogger(__name__)

_RESCAN: Final = 60.0
_IDLE: Final = 2.0  # how often somebody looks whether the configuration is another one
_WALK: Final = 0.01  # seconds of walking between two looks at everything else
_CALM: Final = 0.5  # seconds without anything due
_CHANGES: Final = 500  # rows written since the last checkpoint
_FEW_EVENTS: Final = 1024  # bytes: less than a millisecond of work
_MARGIN: Final = 10.0  # added to the deadlines that the guardian sees
_APPLYING: Final = 60.0  # the loader finishes what it began


def run(start: ServiceStart) -> int:
    """Watch until SIGTERM."""
    reloader = ConfigurationReloader(start.configuration)
    with open_runtime("watcher", start.layout, MIGRATIONS, config_digest=reloader.digest) as runtime:
        Watcher(reloader, runtime, group_started()).run()
    return 0


@dataclass
class Watcher:
    """All jobs of the service, their ledger, and the loader they share."""

    reloader: ConfigurationReloader
    runtime: Runtime
    group_started: float
    totals: Totals = field(default_factory=Totals)
    jobs: list[TreeJob] = field(default_factory=list[TreeJob])
    loader: Loader | None = None
    durability: Durability | None = None
    afterwards: Afterwards | None = None

    def __post_init__(self) -> None:
        self.life, self.store, self.bus = self.runtime.life, self.runtime.store, self.runtime.bus
        # A checkpoint waits for the disk: it is done when nothing else is, and in any case before the log is 80 MB.
        self.store.db.execute("PRAGMA wal_autocheckpoint = 20000")
        self._written = 0
        self._looked = -1
        self._clock_steps = ClockStepDetector()
        self.ledger = Ledger(self.store)
        self.metrics = Metrics(self.totals)
        self.totals.load(self.store)
        self._totals_report = TotalsReport("watcher", self.totals, self.bus)
        self._recipes: dict[str, JobRecipes] = {}

    # -- configuration

    def open(self) -> None:
        """Begin to watch and to load as the configuration says."""
        settings = self.reloader.current.settings
        active = settings.active_jobs(WatchSettings)
        if not active:
            log.info("no tree watch is active: nothing to do (job.treewatch.active in torque.ini)")
        since = self._since_ns()
        templates = self.reloader.current.layout.config_dir / "templates"
        self._recipes = {job.name: JobRecipes(job, settings, templates) for job in active}
        clients = {job.name: Client(job, self._recipes[job.name]) for job in active}
        self._connect(settings, clients)
        for job in active:
            tree = TreeJob(job, self.ledger, self.metrics, interval=interval_of(job))
            self.jobs.append(tree)
            tree.open(since)
        with self.store.transaction():
            self.ledger.wake_all()
            self.ledger.forget_old(time.time())

    def _since_ns(self) -> int:
        """Since when files in roots that the ledger does not know are new.

        Where it knows nothing at all: since the group was started, however often this process was since. A root that
        was added to an old ledger: since its owner wrote that down, if that was later.
        """
        since = self.group_started
        if self.ledger.knows_roots():
            since = max(since, written(self.reloader.current.layout.config_dir / "torque.ini"))
        return int(since * 1e9)

    def _connect(self, settings: Settings, clients: dict[str, Client]) -> None:
        rtorrent = RTorrent.from_settings(settings.rtorrent)
        if rtorrent is None:
            log.warning(
                "no rTorrent is known (%s): metafiles are remembered and loaded later", settings.rtorrent.origin
            )
            self.loader, self.durability, self.afterwards = None, None, None
            return
        outcomes = Outcomes(self.ledger, self.runtime.outbox, self.metrics)
        self.loader = Loader(self.ledger, outcomes, rtorrent, clients, stopping=lambda: self.life.stopping)
        self.loader.idle = self._hear_some
        disposers = {
            name: Disposer(client.settings, self.ledger, rtorrent, self.loader.sees, self.life.as_user)
            for name, client in clients.items()
        }
        self.afterwards = Afterwards(self.ledger, disposers, self._recipes)
        self.durability = Durability(self.ledger, rtorrent, self.afterwards.loaded)

    def close(self) -> None:
        for job in self.jobs:
            job.close()
        self.jobs.clear()

    def _reload(self) -> None:
        if self.reloader.poll(self.life) is None:
            return
        with self.life.step("applying the configuration", time.monotonic() + _APPLYING):
            if self.loader:
                self.loader.finish()
            self.close()
            self.open()

    # -- the loop

    def run(self) -> None:
        """Until TERM."""
        try:
            self.open()
            self._loop()
        finally:
            self.close()
        if self.loader:
            self.loader.finish()
        with self.store.transaction():
            self.totals.save(self.store)

    def _loop(self) -> None:
        while not self.life.stopping:
            now, clock = time.time(), time.monotonic()
            busy = self.turn(now, clock)
            self._report(clock)
            timeout = 0.0 if busy else self._patience()
            if timeout > _CALM:
                self._checkpoint()
            woken = self.bus.wait(timeout, *(job.fileno() for job in self.jobs if job.fileno() >= 0))
            for asked in woken.requests:
                asked.answer(answer(asked.request, self.ledger, self.jobs, self.loader))
            self._reload()

    def _checkpoint(self) -> None:
        if self.store.db.total_changes - self._written > _CHANGES:
            self._written = self.store.db.total_changes
            self.store.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def turn(self, now: float, clock: float) -> bool:
        """One piece of everything that is due; whether there is more to do at once."""
        self._notice_clock_step(now, clock)
        with self._step("listening"):
            busy = [job.hear(now, clock) for job in self.jobs]
            for job in self.jobs:
                heed(job, self._recipes[job.name], self.ledger, now)
        busy.append(self._load(now))
        with self._step("walking"):
            busy.extend(self._walk(job, now) for job in self.jobs)
        return any(busy)

    def _notice_clock_step(self, now: float, clock: float) -> None:
        """Retry times of a clock that was set back would be too late: everything is due now."""
        if step := self._clock_steps.step(now, clock):
            log.warning("system clock changed by %.0f s; retrying everything that waits", step)
            with self.store.transaction():
                self.ledger.wake_all()
            if self.loader and self.durability:
                self.loader.availability.clock_stepped(step)
                self.durability.hurry()

    def _hear_some(self) -> None:
        """While rTorrent is at work, take a few events."""
        now, clock = time.time(), time.monotonic()
        for job in self.jobs:
            job.hear(now, clock, _FEW_EVENTS)

    def _load(self, now: float) -> bool:
        if self.loader is None or not self.jobs:
            return False
        with self._step("loading"):
            more = self.loader.step(now)
            self.bus.publish()
        self._settle(now)
        return more

    def _settle(self, now: float) -> None:
        """Follow what is visible until it is saved, and put files away."""
        if not (self.loader and self.durability and self.afterwards and self.loader.incarnation):
            return
        due = self.durability.due()
        with self._step("verifying"):
            try:
                self.afterwards.step()
                if due is not None and due <= now:
                    self.durability.step(now)
            except RTorrentError as error:
                self.loader.lost(error, now)

    def _walk(self, job: TreeJob, now: float) -> bool:
        began = time.monotonic()
        more = job.due() <= began
        while more and time.monotonic() - began < _WALK and not self.life.stopping:
            more = job.step(now, time.monotonic())
        return more

    def _patience(self) -> float:
        """How long nothing will be due."""
        now, clock = time.time(), time.monotonic()
        left = [_IDLE, *(job.due() - clock for job in self.jobs)]
        if self.loader and self.jobs:
            left.append(self.loader.due() - now)
        if self.durability and self.loader and (due := self.durability.due()) is not None:
            left.append(max(due, self.loader.availability.retry_at) - now)
        return max(0.0, min(left))

    def _step(self, name: str) -> AbstractContextManager[None]:
        timeouts = self.reloader.current.settings.rtorrent
        return self.life.step(name, time.monotonic() + timeouts.connect_timeout + timeouts.read_timeout + _MARGIN)

    def _report(self, clock: float) -> None:
        if not self._totals_report.is_due(clock):
            return
        missing = sum(len(job.missing) for job in self.jobs)
        if self.store.db.total_changes == self._looked and not self._totals_report.is_overdue(clock):
            return
        self._looked = self.store.db.total_changes
        self.metrics.look(self.ledger, sum(job.watches for job in self.jobs), missing)
        self._totals_report.save_and_publish(self.store, clock)


def interval_of(job: WatchSettings) -> float:
    """How often the trees are walked: as the schedule says, and every minute at least."""
    return min(_RESCAN, parse_schedule(job.schedule).smallest_gap())
