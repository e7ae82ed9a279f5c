"""The scheduler's loop: waits for the clock, the bell, events and requests, and is the only thing here that acts."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Final

from pyrotorque.bus import Wakeup
from pyrotorque.events import QueueChecked, TorrentLoaded
from pyrotorque.linux.processes import boot_id
from pyrotorque.requests import ResumeJob
from pyrotorque.rtorrent.availability import Availability
from pyrotorque.service.clock_step import ClockStepDetector
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.service.runtime import Runtime, open_runtime
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.totals import Totals
from pyrotorque_scheduler.bell import Bell
from pyrotorque_scheduler.due_jobs import Cause, DueJobs, TokenBucket
from pyrotorque_scheduler.event_routing import EventRouter
from pyrotorque_scheduler.fire_times import FireTimes
from pyrotorque_scheduler.job_table import build_job_table
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.check import CheckResult, Queue
from pyrotorque_scheduler.queue.explain_text import hold_text
from pyrotorque_scheduler.queue.model import Instant, current_instant
from pyrotorque_scheduler.requests import RequestHandler
from pyrotorque_scheduler.state import MIGRATIONS
from pyrotorque_scheduler.workers.pool import WorkerPool

log = logging.getLogger(__name__)

SERVICE: Final = "scheduler"
_LONGEST_WAIT: Final = 5.0
_LOOK_EVERY: Final = 15.0
_RETRY_AFTER: Final = 5.0
_SAME_CHECK_EVERY: Final = 60.0
# A check is some calls with a deadline of ten seconds each, and starts nothing more after the first that failed.
_CHECK_DEADLINE: Final = 60.0
_TURN_DEADLINE: Final = 300.0  # what is long in a turn has a deadline of its own: this is for what is stuck


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
        self._metrics = SchedulerMetrics(Totals())
        config_py = configuration.layout.config_dir / "config.py"
        self._job_table = build_job_table(
            configuration.settings, store, self._router, self._metrics, self.now(), config_py
        )
        self._metrics.totals.load(store)
        self._workers = workers
        workers.configure(self._job_table, self._router, bus.publish_live)
        bus.subscribe(*workers.subscriptions({"watcher": (TorrentLoaded,)}))
        self._clock = FireTimes(self._bus.wake)
        self._agenda = DueJobs()
        self._availability = Availability("jobs that need it wait")
        self._totals_report = TotalsReport(SERVICE, self._metrics.totals, bus)
        self._published_checks = PublishedChecks()
        self._looks = TokenBucket()
        self._look_at = 0.0
        self._look_asked = False
        self._unsettled = True
        self._clock_steps = ClockStepDetector()

    @contextmanager
    def open(self) -> Generator["SchedulerService"]:
        """Bell and clock; the service is usable inside."""
        with ExitStack() as stack:
            stack.callback(self._job_table.close)
            self._bell = Bell(self._configuration.layout.run_dir / "bell")
            stack.callback(self._bell.close)
            self._clock.keep(self._job_table.schedules)
            self._clock.start()
            stack.callback(self._clock.stop)
            self._answers = RequestHandler(self._job_table, self._clock, self._availability)
            yield self

    def now(self) -> Instant:
        return current_instant(self._boot)

    def serve(self) -> None:
        """Run until SIGTERM, or until there is another configuration."""
        self._say_hello()
        self._workers.create_jobs()
        for name in self._job_table.queues:
            self._agenda.hint(name)
        while not self._life.stopping:
            if self._reloader.poll(self._life) is not None:
                return
            bell = [self._bell.fd] if self._bell.fd >= 0 else []
            woken = self._bus.wait(self._patience(), *bell, *self._workers.fds())
            with self._life.step("at work", time.monotonic() + _TURN_DEADLINE):
                self._turn(woken)
        self._metrics.totals.save(self._store)

    def _patience(self) -> float:
        looking = self._looks.wait(time.monotonic()) if self._look_asked else _LONGEST_WAIT
        starter = self._job_table.starter
        settling = starter.wait(time.monotonic()) if starter and not self._availability.problem else _LONGEST_WAIT
        working = self._workers.wait(time.monotonic())
        return min(_LONGEST_WAIT, self._agenda.wait(time.monotonic()), looking, settling, working)

    def _turn(self, woken: Wakeup) -> None:
        """One round: hear, do what is due, answer, report."""
        self._notice_clock_step()
        self._hear(woken)
        for name in self._clock.missed():
            self._metrics.missed.inc(name)
        for name in self._clock.due():
            self._tick(name)
        self._workers.step()
        self._recover()
        for name, cause in self._agenda.due(time.monotonic()):
            if self._life.stopping:
                return
            if cause == "tick" or not self._is_closed(name):
                self._run(name, cause)
        for asked in woken.requests:
            if self._workers.accept(asked):
                continue
            with self._life.step(f"answering {type(asked.request).__name__}", time.monotonic() + _CHECK_DEADLINE):
                asked.answer(self._answers.answer(asked.request, self.now(), self._run))
            if isinstance(asked.request, ResumeJob) and asked.request.job in self._job_table.queues:
                self._agenda.hint(asked.request.job)
            self._bus.publish()
        self._settle()
        self._look_for_completed()
        self._report()

    def _recover(self) -> None:
        """Find out what became of starts that were cut off, by our end or by rTorrent's; before anything is decided."""
        starter = self._job_table.starter
        if self._unsettled and starter is not None:
            # Without a call nothing is learned of rTorrent, not even that it answers.
            self._unsettled = starter.has_open_intents() and not self._attempt("start", starter.recover)

    def _tick(self, name: str) -> None:
        if name in self._job_table.customs:
            self._workers.tick(name)
        elif name in self._job_table.queues or not self._job_table.job_states.is_paused(name):
            self._agenda.tick(name)

    def _hear(self, woken: Wakeup) -> None:
        self._workers.queue_events(self._bus, woken.deliveries, woken.gaps)
        if self._bell.fd in woken.fds:
            self._bell.answer()
            self._hint()
        if any(isinstance(d.event, TorrentLoaded) and d.event.mode != "start" for d in woken.deliveries):
            self._hint()
        self._bell.hang()

    def _hint(self) -> None:
        self._look_asked = True
        for name in self._job_table.queues:
            self._agenda.hint(name)

    def _is_closed(self, name: str) -> bool:
        """Whether what happened can start nothing: then thousands of events are no check at all."""
        queue = self._job_table.queues.get(name)
        # The first check is made in any case, to be told and shown.
        hold = queue.schedule_hold(self.now()) if queue is not None and queue.last is not None else None
        if hold is not None and hold.until is not None:
            self._look_again(name, hold.until)
        return hold is not None

    def _look_again(self, name: str, at: float) -> None:
        wait = at - time.time()
        # What is past already was not worth the look: it must not be asked for again and again.
        self._agenda.again(name, time.monotonic() + (wait if wait > 0 else _RETRY_AFTER))

    def _run(self, name: str, cause: Cause) -> CheckResult | None:
        """Run a job now; what a queue came to."""
        began = time.monotonic()
        outcome: CheckResult | None = None
        failed = False
        self._metrics.running.set(1, name)
        with self._life.step(f"job {name}", began + _CHECK_DEADLINE):
            if (queue := self._job_table.queues.get(name)) is not None:
                outcome = self._check(queue, cause)
                failed = outcome is None
            elif (stats := self._job_table.stats.get(name)) is not None:
                failed = not self._attempt("connstats", lambda: stats.run(time.time()))
        self._metrics.finished(name, time.time(), time.monotonic() - began, failed)
        if failed and self._availability.problem:
            self._agenda.again(name, time.monotonic() + _RETRY_AFTER)
        return outcome

    def _check(self, queue: Queue, cause: Cause) -> CheckResult | None:
        outcome: CheckResult | None = None

        def check() -> bool:
            nonlocal outcome
            outcome = queue.check(self.now(), cause)
            return outcome.called_rtorrent

        if not self._attempt(queue.name, check):
            self._unsettled = True
            self._metrics.skips.inc(queue.name, "rpc")
        self._bus.publish()
        if outcome is not None:
            self._after_check(queue, cause, outcome)
        return outcome

    def _settle(self) -> None:
        """See what became of items that rTorrent still checked when they were started."""
        starter = self._job_table.starter
        if starter is not None and starter.wait(time.monotonic()) <= 0:
            self._attempt("start", lambda: starter.verify(time.monotonic()))
            self._bus.publish()

    def _after_check(self, queue: Queue, cause: Cause, outcome: CheckResult) -> None:
        if outcome.called_rtorrent and cause != "request":
            self._agenda.was_dear(queue.name, time.monotonic())
        if outcome.hold.until is not None and not outcome.started:
            self._look_again(queue.name, outcome.hold.until)
        if self._published_checks.is_news(queue.name, outcome):
            self._bus.publish_live(
                QueueChecked(
                    at=outcome.at,
                    job=queue.name,
                    startable=outcome.startable,
                    downloading=outcome.downloading,
                    slots=queue.rules.limits.downloading_max,
                    started=outcome.started,
                    reason=hold_text(outcome.hold, outcome.at),
                    summary=hold_text(outcome.hold, outcome.at, error=False),
                )
            )

    def _look_for_completed(self) -> None:
        now = time.monotonic()
        completion = self._job_table.completion
        if completion is None or not (now >= self._look_at or (self._look_asked and self._looks.wait(now) <= 0)):
            return
        self._look_at, self._look_asked = now + _LOOK_EVERY, False
        self._looks.take(now)
        with self._life.step("looking for completed items", now + _CHECK_DEADLINE):
            self._attempt("completion", lambda: completion.look(time.time()))
        self._bus.publish()

    def _report(self) -> None:
        now = time.monotonic()
        if not self._totals_report.is_due(now):
            return
        for name, fire in self._clock.next_fires().items():
            self._metrics.next_run.set(fire, name)
        self._totals_report.save_and_publish(self._store, now)

    def _notice_clock_step(self) -> None:
        if step := self._clock_steps.step(time.time(), time.monotonic()):
            log.warning("system clock changed by %.0f s; recomputed all fire times", step)
            self._clock.resync()
            self._hint()  # fire times that it jumped over, or slept through, may still grant something

    def _attempt(self, what: str, call: Callable[[], object]) -> bool:
        """Whether a call of rTorrent succeeded."""
        return self._availability.attempt(what, call, time.monotonic())

    def _say_hello(self) -> None:
        names = self._job_table.names
        if self._job_table.starter is None:
            log.warning("no address of rTorrent is known: set scgi_url in [TORQUE]; waiting")
        log.info("jobs: %s", ", ".join(names)) if names else log.info("no active job: idle")


class PublishedChecks:
    """The last QueueChecked event of each job: equal ones are published once a minute."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, tuple[object, ...]]] = {}

    def is_news(self, job: str, outcome: CheckResult) -> bool:
        """Whether this check differs from the last one that was published, or that was a minute ago."""
        now = time.monotonic()
        facts = (outcome.hold.reason, outcome.startable, outcome.downloading)
        at, published = self._last.get(job, (float("-inf"), ()))
        if not outcome.started and published == facts and now - at < _SAME_CHECK_EVERY:
            return False
        self._last[job] = (now, facts)
        return True
