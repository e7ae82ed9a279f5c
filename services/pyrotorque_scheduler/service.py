"""The scheduler's loop: waits for fire times, the bell, events and requests, and performs all effects."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Final

from pyrotorque import housekeeping
from pyrotorque.bell_file import bell_file
from pyrotorque.bus import Wakeup
from pyrotorque.config_py import config_py_copy
from pyrotorque.errors import StateError
from pyrotorque.events import RTorrentLost, RTorrentReturned, TorrentLoaded
from pyrotorque.linux.processes import boot_id
from pyrotorque.requests import ResumeJob
from pyrotorque.room import use_limits_of
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.availability import Availability
from pyrotorque.service.clock_step import ClockChange, ClockStepDetector
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.service.runtime import Runtime, open_runtime
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.totals import Totals
from pyrotorque_scheduler.bell import Bell
from pyrotorque_scheduler.cleanup_metrics import CleanupGauges
from pyrotorque_scheduler.completion import CompletionDetector, CompletionLooks
from pyrotorque_scheduler.disk_watch import DiskWatch
from pyrotorque_scheduler.due_jobs import DueJobs
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.fire_times import FireTimes
from pyrotorque_scheduler.job_table import build_job_table
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.missed_runs import MissedRuns
from pyrotorque_scheduler.move_metrics import FailedMoveCounts
from pyrotorque_scheduler.open_problems import OpenProblems
from pyrotorque_scheduler.queue.model import Instant, current_instant
from pyrotorque_scheduler.queue.stall_report import StallReports
from pyrotorque_scheduler.queue_runs import CHECK_DEADLINE, QueueRuns
from pyrotorque_scheduler.requests import RequestHandler
from pyrotorque_scheduler.state import MIGRATIONS
from pyrotorque_scheduler.workers.pool import WorkerPool

log = logging.getLogger(__name__)

SERVICE: Final = "scheduler"
_LONGEST_WAIT: Final = 5.0
# Long steps of a turn have their own deadlines; this one is for a turn that is stuck.
_TURN_DEADLINE: Final = 300.0


def run(start: ServiceStart) -> int:
    """Hold the role and serve, one configuration after the other, until SIGTERM."""
    reloader = ConfigurationReloader(start.configuration)
    # The bus stays open over a change of the configuration: requests are answered meanwhile.
    with open_runtime(SERVICE, start.layout, MIGRATIONS, config_digest=reloader.digest) as runtime:
        workers = WorkerPool(runtime.store, start.layout, runtime.life.users_umask)
        try:
            while not runtime.life.stopping:
                with SchedulerService(reloader, runtime, workers).open() as service:
                    service.serve()
        finally:
            workers.close()
    return 0


class SchedulerService:
    """The scheduler under one configuration."""

    def __init__(self, reloader: ConfigurationReloader, runtime: Runtime, workers: WorkerPool) -> None:
        self._reloader = reloader
        self._configuration = configuration = reloader.current
        self._life = runtime.life
        self._bus = bus = runtime.bus
        self._store = store = runtime.store
        self._boot = boot_id()
        self._router = EventRouter(store, runtime.outbox)
        bus.store_actions(self._router.commit)
        self._metrics = SchedulerMetrics(Totals())
        layout = configuration.layout
        config_py, reviewed = layout.config_dir / "config.py", config_py_copy(layout.state_dir)
        self._job_table = build_job_table(
            configuration.settings, store, self._router, self._metrics, self.now(), config_py, reviewed
        )
        self._metrics.totals.load(store)
        self._job_table.restore_metrics()
        customs = self._job_table.customs.values()
        self._failed_moves = FailedMoveCounts(customs, configuration.layout.state_dir, self._metrics)
        use_limits_of(configuration.layout.state_dir / housekeeping.FOLDER)
        self._cleanups = CleanupGauges(customs, configuration.layout.state_dir, self._metrics)
        problems = OpenProblems(store, self._router)
        self._disks = DiskWatch(configuration, problems)
        self._workers = workers
        workers.configure(self._job_table, self._router, bus.publish_live, self._is_rtorrent_away)
        bus.subscribe(*workers.subscriptions({"watcher": (TorrentLoaded,)}))
        # Fire times that pass while services or configurations replace each other are not lost.
        ended = None if configuration.settings.only else self._job_table.job_states.take_end()
        self._fire_times = FireTimes(self._job_table.schedules, time.time(), time.monotonic(), ended)
        self._missed_runs = MissedRuns(self._job_table.job_states, self._metrics, ended)
        self._due_jobs = DueJobs()
        self._availability = Availability("jobs that need it and new metafiles wait", self._publish_availability)
        self._runs = QueueRuns(
            *(runtime, self._job_table, self._due_jobs, self._availability, self._metrics),
            *(StallReports(problems), self.now),
        )
        self._totals_report = TotalsReport(SERVICE, self._metrics.totals, bus)
        self._completion_looks = CompletionLooks()
        self._has_looked = False
        self._clock_steps = ClockStepDetector()

    @contextmanager
    def open(self) -> Generator["SchedulerService"]:
        """Open the bell."""
        with ExitStack() as stack:
            stack.callback(self._job_table.close)
            self._bell = Bell(bell_file(self._configuration.layout))
            stack.callback(self._bell.close)
            self._requests = RequestHandler(self._job_table, self._fire_times, self._availability)
            yield self

    def now(self) -> Instant:
        return current_instant(self._boot)

    def serve(self) -> None:
        """Run until SIGTERM or until the configuration changes."""
        self._log_jobs()
        self._workers.create_jobs()
        for name in self._job_table.queues:
            self._due_jobs.hint(name)
        while not self._life.stopping:
            if self._reloader.poll(self._life) is not None:
                break
            bell = [self._bell.fd] if self._bell.fd >= 0 else []
            woken = self._bus.wait(self._wait_seconds(), *bell, *self._workers.fds())
            with self._life.step("main loop", time.monotonic() + _TURN_DEADLINE):
                self._turn(woken)
        self._metrics.totals.save(self._store)
        if not self._configuration.settings.only:
            self._job_table.job_states.store_end(time.time())

    def _wait_seconds(self) -> float:
        starter = self._job_table.starter
        verifying = starter.wait(time.monotonic()) if starter and not self._availability.problem else _LONGEST_WAIT
        working = self._workers.wait(time.monotonic())
        ticking = self._fire_times.wait(time.time())
        detecting = self._completion_looks.wait(time.monotonic())
        return min(_LONGEST_WAIT, ticking, self._due_jobs.wait(time.monotonic()), detecting, verifying, working)

    def _turn(self, woken: Wakeup) -> None:
        """One iteration of the loop: receive, run what is due, answer requests, publish."""
        changed = self._detect_clock_change()
        self._receive(woken)
        fired = self._fire_times.step(time.time(), time.monotonic())
        self._missed_runs.report(fired, changed)
        for name in fired.due:
            self._tick(name)
        self._workers.step()
        self._runs.recover()
        due = self._due_jobs.due(time.monotonic())
        if due:
            self._look_before_first_start()
        for name, cause in due:
            if self._life.stopping:
                return
            if cause == "tick" or not self._runs.is_held(name):
                self._runs.run(name, cause)
        for pending in woken.requests:
            if self._workers.accept(pending):
                continue
            with self._life.step(f"answering {type(pending.request).__name__}", time.monotonic() + CHECK_DEADLINE):
                pending.answer(self._requests.answer(pending.request, self.now(), self._runs.run))
            if isinstance(pending.request, ResumeJob) and pending.request.job in self._job_table.queues:
                self._due_jobs.hint(pending.request.job)
            self._bus.publish()
        self._runs.verify_starts()
        self._detect_completions()
        self._watch_disks()
        self._publish_totals()

    def _publish_availability(self, event: RTorrentLost | RTorrentReturned) -> None:
        """In the event's own transaction; on a full disk it is in the log only."""
        try:
            self._router.commit(event)
        except StateError as error:
            log.warning("no event %s: %s", type(event).__name__, error)
        self._bus.publish()

    def _is_rtorrent_away(self) -> bool:
        """For a job that found it silent; asked only if that is not known: the call may wait for a timeout."""
        rtorrent = RTorrent.from_settings(self._configuration.settings.rtorrent)
        if rtorrent is not None and not self._availability.problem:
            self._attempt("job", lambda: rtorrent.call("system.client_version"))
        return bool(self._availability.problem)

    def _tick(self, name: str) -> None:
        if name in self._job_table.customs:
            self._workers.tick(name)
        elif name in self._job_table.queues or not self._job_table.job_states.is_paused(name):
            self._due_jobs.tick(name)

    def _receive(self, woken: Wakeup) -> None:
        self._workers.queue_events(self._bus, woken.deliveries, woken.gaps)
        if self._bell.fd in woken.fds:
            self._bell.drain()
            self._hint()
        loaded = [d.event for d in woken.deliveries if isinstance(d.event, TorrentLoaded) and d.event.mode != "start"]
        starter = self._job_table.starter
        # The watcher has rung for them before it published their loads.
        if any(starter is None or not starter.take_recent(event.info_hash) for event in loaded):
            self._hint()
        self._bell.watch()

    def _hint(self) -> None:
        self._completion_looks.hint()
        for name in self._job_table.queues:
            self._due_jobs.hint(name)

    def _look_before_first_start(self) -> None:
        """What is done at the very first look is stored without an event: nothing may be started before it."""
        completion = self._job_table.completion
        if completion is not None and not self._has_looked:
            self._has_looked = completion.has_compared()
            if not self._has_looked:
                self._completion_looks.take(time.monotonic())
                self._compare(completion)

    def _detect_completions(self) -> None:
        completion = self._job_table.completion
        if completion is not None and self._completion_looks.take(time.monotonic()):
            self._compare(completion)

    def _compare(self, completion: CompletionDetector) -> None:
        with self._life.step("detecting completed items", time.monotonic() + CHECK_DEADLINE):
            self._attempt("completion", lambda: completion.detect(time.time()))
        self._bus.publish()

    def _watch_disks(self) -> None:
        now = time.monotonic()
        self._disks.report(time.time())
        if not self._disks.is_due(now) or self._configuration.settings.only:
            return
        judge = self._job_table.judge
        if judge is not None and not self._availability.problem:
            self._attempt("disks", lambda: self._disks.read_items(judge.session.folder, now))
        self._disks.begin(now)

    def _publish_totals(self) -> None:
        now = time.monotonic()
        if not self._totals_report.is_due(now):
            return
        for name, fire in self._fire_times.next_fires().items():
            self._metrics.next_run.set(fire, name)
        self._failed_moves.update()
        self._cleanups.update()
        self._totals_report.save_and_publish(self._store, now)

    def _detect_clock_change(self) -> ClockChange:
        changed = self._clock_steps.change(time.time(), time.monotonic())
        if changed.set_by:
            log.warning("%s; recomputed all fire times", changed)
            self._fire_times.recompute(time.time())
            self._job_table.clock_was_set(changed.set_by)
        elif changed:
            log.info("%s", changed)
        if changed:
            self._hint()  # a fire time that was skipped may still grant starts
        return changed

    def _attempt(self, what: str, call: Callable[[], object]) -> bool:
        """Whether a call to rTorrent succeeded; errors are logged once."""
        return self._availability.attempt(what, call, time.monotonic())

    def _log_jobs(self) -> None:
        names = self._job_table.names
        if self._job_table.starter is None:
            log.warning("the address of rTorrent is unknown: set scgi_url in [TORQUE]; waiting")
        log.info("jobs: %s", ", ".join(names)) if names else log.info("no active job: idle")
