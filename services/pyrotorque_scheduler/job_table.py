"""The jobs of the scheduler and their collaborators, built from one configuration."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyrotorque.conditions import parse
from pyrotorque.customfields import ConfigFields
from pyrotorque.errors import ConditionError
from pyrotorque.fields import Field, configured
from pyrotorque.jobs.params import get_text
from pyrotorque.logs import job_logger
from pyrotorque.rtorrent import RTorrent
from pyrotorque.schedule import Schedule, parse_schedule
from pyrotorque.settings.handlers import INJECTED
from pyrotorque.settings.schema import AnyJob, CustomSettings, QueueSettings, Settings, StatsSettings
from pyrotorque.store import Store
from pyrotorque.workers.preparation import job_config
from pyrotorque_scheduler.completion import CompletionDetector
from pyrotorque_scheduler.connstats import ConnectionStats
from pyrotorque_scheduler.event_router import EventRouter, Routes
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.other_groups import OtherGroups
from pyrotorque_scheduler.queue.check import Queue
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.queue.parked_items import ParkedItems
from pyrotorque_scheduler.queue.parking import Parking
from pyrotorque_scheduler.queue.rules import read_rules
from pyrotorque_scheduler.queue.starter import Starter
from pyrotorque_scheduler.session_judge import SessionJudge
from pyrotorque_scheduler.state import DecisionHistory, JobStates, LastRuns

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobTable:
    """The active jobs by kind; without an address of rTorrent there are no starter, completion, queues and stats."""

    settings: Settings
    job_states: JobStates
    history: DecisionHistory
    last_runs: LastRuns
    parking: Parking | None
    metrics: SchedulerMetrics
    starter: Starter | None
    completion: CompletionDetector | None
    judge: SessionJudge | None
    queues: Mapping[str, Queue]
    stats: Mapping[str, ConnectionStats]
    customs: Mapping[str, CustomSettings]
    schedules: Mapping[str, Schedule]
    config_fields: ConfigFields
    parked: ParkedItems

    def clock_was_set(self, seconds: float) -> None:
        """Waits that end at a time of the wall clock take as long as before."""
        self.parked.shift(seconds)
        if self.starter is not None:
            self.starter.clock_was_set(seconds)

    def restore_metrics(self) -> None:
        """When jobs ran last, as stored: a job that has not run since a restart is neither new nor failing."""
        for name in self.customs:
            if (run := self.last_runs.get(name)) is not None:
                self.metrics.last_end.set(run.at, name)
                if run.ok:
                    self.metrics.last_success.set(run.at, name)

    def close(self) -> None:
        """End the process that computes the fields of config.py."""
        self.config_fields.close()

    @property
    def names(self) -> list[str]:
        return sorted({*self.schedules, *self.customs})


def build_job_table(
    settings: Settings,
    store: Store,
    router: EventRouter,
    metrics: SchedulerMetrics,
    now: Instant,
    config_py: Path,
    reviewed: Path | None = None,
) -> JobTable:
    """Build all jobs without a call to rTorrent. Raises UserError for settings that `pyrotorque check` would reject."""
    config_fields = ConfigFields(config_py, {}, reviewed=reviewed)
    job_states, history = JobStates(store), DecisionHistory(store)
    queues, stats = settings.active_jobs(QueueSettings), settings.active_jobs(StatsSettings)
    customs = settings.active_jobs(CustomSettings)
    ours: list[AnyJob] = [*queues, *stats, *customs]
    for job in ours:
        # Also without `log_level`: the level of the previous configuration must not remain.
        job_logger(job.name).setLevel((job.log_level or "notset").upper())
    rtorrent = RTorrent.from_settings(settings.rtorrent)
    others = OtherGroups(config_py.parent, changes_items=settings.changes_items)
    judge = SessionJudge(store, rtorrent, others) if rtorrent else None
    starter = Starter(rtorrent, store, router, history, metrics, judge) if rtorrent and judge else None
    router.routes = routes_of(customs)
    parked = ParkedItems(store)
    return JobTable(
        settings=settings,
        job_states=job_states,
        history=history,
        last_runs=LastRuns(store),
        parking=Parking(rtorrent, parked, starter.is_known_now) if rtorrent and starter else None,
        metrics=metrics,
        starter=starter,
        completion=CompletionDetector(store, router, rtorrent, judge, metrics.completed)
        if rtorrent and judge
        else None,
        judge=judge,
        queues=_queues(queues, settings, rtorrent, starter, job_states, history, metrics, now, config_fields, parked),
        stats={job.name: ConnectionStats(job.name, rtorrent) for job in stats if rtorrent},
        customs={job.name: job for job in customs},
        schedules=_schedules(ours, metrics, job_states),
        config_fields=config_fields,
        parked=parked,
    )


def routes_of(customs: Iterable[CustomSettings]) -> Routes:
    """The jobs that run on each type of event."""
    routes: dict[str, tuple[str, ...]] = {}
    for job in customs:
        for event in job.on:
            routes[event] = (*routes.get(event, ()), job.name)
    return routes


def _queues(
    jobs: Iterable[QueueSettings],
    settings: Settings,
    rtorrent: RTorrent | None,
    starter: Starter | None,
    job_states: JobStates,
    history: DecisionHistory,
    metrics: SchedulerMetrics,
    now: Instant,
    config_fields: ConfigFields,
    parked: ParkedItems,
) -> dict[str, Queue]:
    if rtorrent is None or starter is None:
        return {}
    queues: dict[str, Queue] = {}
    jobs = list(jobs)
    parked.adopt_orphans([job.name for job in jobs])
    for job in jobs:
        table = configured(settings.aliases, settings.traits_by_alias, job.min_free)
        misread = partial(_warn_misread, job.name)
        custom = config_fields.given(table)
        reserved = _reserved(settings, custom)
        rules = read_rules(job, settings.queue_startable_base, custom, misread, reserved)
        queue = queues[job.name] = Queue(rules, rtorrent, starter, job_states, history, metrics, parked)
        queue.load_state(now)
    return queues


def _reserved(settings: Settings, custom: Mapping[str, Field]) -> tuple[str, ...]:
    """The conditions of the jobs that start items themselves."""
    found: list[str] = []
    for job in settings.active_jobs(CustomSettings):
        if job.handler == INJECTED:
            text = get_text(job_config(job, settings), "condition", "matcher")
            try:
                parse(text, custom=custom)
            except ConditionError as error:
                log.warning("job.%s: queues may start its items: %s", job.name, error.summary)
            else:
                found.append(text)
    return tuple(found)


def _warn_misread(job: str, setting: str, error: ConditionError) -> None:
    text = "job.%s.%s is used as 1.0.0 read it, but cannot mean what was typed: %s"
    log.warning(text, job, setting, error.summary)


def _schedules(jobs: Iterable[AnyJob], metrics: SchedulerMetrics, job_states: JobStates) -> dict[str, Schedule]:
    schedules: dict[str, Schedule] = {}
    for job in jobs:
        schedule = parse_schedule(job.schedule) if job.schedule else None
        interval = schedule.largest_gap() if schedule else float("inf")
        metrics.introduce_job(job.name, not job_states.is_paused(job.name), interval)
        if schedule:
            schedules[job.name] = schedule
    return schedules
