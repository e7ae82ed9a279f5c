"""The watcher's loop: scans the trees, loads and settles metafiles, and answers requests, in small steps."""

import logging
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.epochs import take_seen_before
from pyrotorque.fleet_inbox import root_bytes
from pyrotorque.hanging_roots import answering_settings
from pyrotorque.layout import Layout
from pyrotorque.linux.hanging_folders import HangingFolders
from pyrotorque.requests import Answer, Request
from pyrotorque.rtorrent import RTorrent
from pyrotorque.service.clock_step import ClockStepDetector
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.service.runtime import Runtime, open_runtime
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.settings.schema import Settings, WatchSettings
from pyrotorque.totals import Totals
from pyrotorque.watch_checks import failing_settings
from pyrotorque.watchroots import WatchRoots, roots_of
from pyrotorque_watcher.fleet.inbox import with_inbox
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.loader import Loader
from pyrotorque_watcher.load.prepare import LoadJob
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.load.retries import (
    retry_after_ini_change,
    retry_after_settings_change,
    retry_after_unseen_change,
)
from pyrotorque_watcher.metrics import WatcherMetrics
from pyrotorque_watcher.progress import LoadProgress
from pyrotorque_watcher.requests import answer
from pyrotorque_watcher.rows import MIGRATIONS
from pyrotorque_watcher.scan.files import is_metafile
from pyrotorque_watcher.scan.left_out_roots import LeftOutRoots
from pyrotorque_watcher.scan.mounts import MountChanges
from pyrotorque_watcher.scan.roots import baseline_ns, group_started, interval_of
from pyrotorque_watcher.scan.scanner import TreeScanner
from pyrotorque_watcher.stages import RTorrentStages

log = logging.getLogger(__name__)

_UNSEEN: Final = 30.0  # seconds between two checks for changes of watch.ini files that no event reported
_IDLE: Final = 2.0  # seconds between two checks for a new configuration
_WALK: Final = 0.01  # seconds of walking in one turn
_BACKLOG: Final = 0.05  # seconds of receiving events in one turn, if many wait
_CALM: Final = 0.5  # seconds without anything due
_CHECKPOINT_ROWS: Final = 500  # written since the last checkpoint
_SETTLE_PAUSE: Final = 3.0  # seconds between two checks of saved items while there is more to load
_FEW_CHANGES: Final = 16  # a millisecond of work
_FEW_EVENTS: Final = 64 * 1024  # bytes of events: two milliseconds to read
_MARGIN: Final = 10.0  # added to the deadlines that the guardian enforces
_APPLYING: Final = 60.0  # the loader finishes what it began


def run(start: ServiceStart) -> int:
    """Watch until SIGTERM."""
    reloader = ConfigurationReloader(start.configuration)
    with open_runtime("watcher", start.layout, MIGRATIONS, config_digest=reloader.digest) as runtime:
        Watcher(reloader, runtime, group_started()).run()
    return 0


@dataclass
class Watcher:
    """The scanners of all jobs, their ledger, and the load and settle stages that they share."""

    reloader: ConfigurationReloader
    runtime: Runtime
    group_started: float
    totals: Totals = field(default_factory=Totals)
    scanners: list[TreeScanner] = field(default_factory=list[TreeScanner])
    stages: RTorrentStages | None = None
    """None while the address of rTorrent is not known."""

    def __post_init__(self) -> None:
        self.life, self.store, self.bus = self.runtime.life, self.runtime.store, self.runtime.bus
        # A checkpoint waits for the disk: it is done when nothing else is due, or when the log reaches 80 MB.
        self.store.db.execute("PRAGMA wal_autocheckpoint = 20000")
        self._checkpointed = 0
        self._settled = 0.0
        self._reported_changes = -1
        self._clock_steps = ClockStepDetector()
        self.ledger = Ledger(self.store)
        with self.store.transaction():
            if seen_before_ns := take_seen_before(self.store):
                self.ledger.restore_baseline(seen_before_ns)
        self.metrics = WatcherMetrics(self.totals)
        self.totals.load(self.store)
        self._totals_report = TotalsReport("watcher", self.totals, self.bus)
        self._progress = LoadProgress()
        self._jobs: dict[str, LoadJob] = {}
        self._mounts = MountChanges()
        self._left_out = LeftOutRoots(HangingFolders(self.bus.wake))
        self.unseen_due = 0.0

    # -- configuration

    def open(self) -> None:
        """Begin to watch and to load with the configuration in force."""
        settings, layout = self.reloader.current.settings, self.reloader.current.layout
        active = [with_inbox(job, settings, layout) for job in settings.active_jobs(WatchSettings)]
        if not active:
            log.info("no tree watch is active: nothing to do (job.treewatch.active in torque.ini)")
        self._jobs = {
            job.name: LoadJob(job, JobRecipes(job, settings, layout, self.ledger.configured_folders)) for job in active
        }
        watched = self._left_out.find(active)
        self.ledger.left_out = self._left_out.paths
        self._connect(settings, layout)
        since_ns = baseline_ns(self.ledger, self.group_started, layout.config_dir / "torque.ini")
        for key, text in failing_settings(answering_settings(settings, self._left_out.hanging)):
            log.warning("%s: %s", key, text)
        self.ledger.inboxes = frozenset(root_bytes(layout.state_dir, job.name) for job in active)
        roots = WatchRoots([root for job in watched for root in roots_of(job)])
        if len(roots.roots) > 1 and not self.ledger.left_out:  # it looks at the folders of all files
            with self.store.transaction():
                self.ledger.hand_over(roots.owner)
        for job in watched:
            left_out = self._left_out.of(job.name)
            scanner = TreeScanner(
                job, self.ledger, self.metrics, interval=interval_of(job), all_roots=roots, left_out=left_out
            )
            self.scanners.append(scanner)
            scanner.open(since_ns)
        for each in self._jobs.values():
            retry_after_settings_change(each.recipes, settings, layout, self.ledger, time.time())
        self.unseen_due = 0.0
        with self.store.transaction():
            self.ledger.wake_all()
            unread = [turn for turn, path in self.ledger.failed_by_the_kernel() if is_metafile(path)]
            self.ledger.retry(unread, time.time())
            self.ledger.forget_old(time.time())

    def _connect(self, settings: Settings, layout: Layout) -> None:
        rtorrent = RTorrent.from_settings(settings.rtorrent)
        if rtorrent is None:
            log.warning(
                "the address of rTorrent is not known (%s): metafiles are recorded and loaded later",
                settings.rtorrent.origin,
            )
            self.stages = None
            return
        idle = self._receive_some_events
        self.stages = RTorrentStages.connected(
            rtorrent, self._jobs, layout, self.runtime, self.ledger, self.metrics, idle
        )

    @property
    def loader(self) -> Loader | None:
        return None if self.stages is None else self.stages.loader

    def close(self) -> None:
        for scanner in self.scanners:
            scanner.close()
        self.scanners.clear()
        if self.stages:
            self.stages.close()

    def _reload(self) -> None:
        if self.reloader.poll(self.life) is None and not self._left_out.is_outdated:
            return
        with self.life.step("applying the configuration", time.monotonic() + _APPLYING):
            if self.stages:
                self.stages.loader.finish()
            self.close()
            self.open()

    # -- the loop

    def run(self) -> None:
        """Until SIGTERM."""
        try:
            self.open()
            self._loop()
        finally:
            self.close()
            self._mounts.close()
        if self.stages:
            self.stages.loader.finish()
        with self.store.transaction():
            self.totals.save(self.store)

    def _loop(self) -> None:
        while not self.life.stopping:
            now, clock = time.time(), time.monotonic()
            busy = self.turn(now, clock)
            self._report(clock)
            self._reload()
            timeout = 0.0 if busy else self._until_due()
            if timeout > _CALM:
                self._checkpoint()
            fds = [each.fileno() for each in (*self.scanners, *([self.stages.instance] if self.stages else ()))]
            woken = self.bus.wait(timeout, *(fd for fd in fds if fd >= 0))
            for request in woken.requests:
                request.answer(self._answer(request.request))

    def _answer(self, request: Request) -> Answer:
        releases = self.stages.releases if self.stages else None
        return answer(request, self.ledger, self.scanners, self.loader, self._progress, releases)

    def turn(self, now: float, clock: float) -> bool:
        """One step of everything that is due; whether there is more to do at once."""
        self._check_clock(now, clock)
        if clock >= self.unseen_due:
            self.unseen_due = clock + _UNSEEN
            for each in self._jobs.values():
                retry_after_unseen_change(each.recipes, self.ledger, now)
        busy = [self._receive_events(now, clock), self._load(now)]
        if not busy[-1] or clock - self._settled >= _SETTLE_PAUSE:
            self._settled = clock
            busy.append(self._settle(now))
        with self._step("walking"):
            if self._mounts.changed():
                for scanner in self.scanners:
                    scanner.mounts_changed()
            busy.extend(self._walk(scanner, now) for scanner in self.scanners)
        return any(busy)

    def _check_clock(self, now: float, clock: float) -> None:
        """Retry times of a clock that was set back would be too late: everything is due now."""
        if changed := self._clock_steps.change(now, clock):
            level = logging.WARNING if changed.set_by else logging.INFO
            log.log(level, "%s; retrying everything that waits", changed)
            with self.store.transaction():
                self.ledger.wake_all()
            if self.stages:
                self.stages.clock_stepped(changed.set_by + changed.slept)

    def _until_due(self) -> float:
        """Seconds until something is due."""
        clock = time.monotonic()
        left = [_IDLE, *(scanner.due() - clock for scanner in self.scanners)]
        if self.stages and self.scanners:
            left.append(self.stages.until_due())
        return max(0.0, min(left))

    def _step(self, name: str) -> AbstractContextManager[None]:
        timeouts = self.reloader.current.settings.rtorrent
        return self.life.step(name, time.monotonic() + timeouts.connect_timeout + timeouts.read_timeout + _MARGIN)

    # -- stages

    def _receive_events(self, now: float, clock: float) -> bool:
        with self._step("receiving events"):
            busy = [scanner.receive_events(now, clock) for scanner in self.scanners]
            until = time.monotonic() + _BACKLOG
            for scanner in self.scanners:
                while scanner.is_behind and time.monotonic() < until:
                    scanner.receive_events(now, clock)
                if changed := scanner.take_changed_inis():
                    retry_after_ini_change(self._jobs[scanner.name].recipes, changed, self.ledger, now)
        return any(busy)

    def _receive_some_events(self) -> None:
        """While rTorrent works."""
        now, clock = time.time(), time.monotonic()
        for scanner in self.scanners:
            scanner.receive_events(now, clock, _FEW_CHANGES, _FEW_EVENTS)

    def _walk(self, scanner: TreeScanner, now: float) -> bool:
        began = time.monotonic()
        more = scanner.due() <= began
        while more and time.monotonic() - began < _WALK and not self.life.stopping:
            more = scanner.step(now, time.monotonic())
        return more

    def _load(self, now: float) -> bool:
        if self.stages is None or not self.scanners:
            return False
        with self._step("loading"):
            more = self.stages.load(now)
            self.bus.publish()
        return more

    def _settle(self, now: float) -> bool:
        if self.stages is None or not self.scanners:
            return False
        with self._step("verifying"):
            return self.stages.settle(now)

    # -- state on disk

    def _checkpoint(self) -> None:
        if self.store.db.total_changes - self._checkpointed > _CHECKPOINT_ROWS:
            self._checkpointed = self.store.db.total_changes
            self.store.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _report(self, clock: float) -> None:
        if not self._totals_report.is_due(clock):
            return
        missing = sum(len(scanner.missing) for scanner in self.scanners)
        if self.store.db.total_changes == self._reported_changes and not self._totals_report.is_overdue(clock):
            return
        self._reported_changes = self.store.db.total_changes
        self.metrics.update_gauges(self.ledger, sum(each.watches for each in self.scanners), missing)
        self._progress.update(self.metrics.pending, self.metrics.finished, time.time())
        self._totals_report.save_and_publish(self.store, clock)
