"""The exporter's loop: hears the other services, keeps what must survive, and sees to it that the ports are open."""

import logging
import os
import time
from collections.abc import Iterable
from typing import Final, get_args

from pyrotorque import logs
from pyrotorque.bus import Bus, Wakeup
from pyrotorque.configuration import Configuration, ConfigurationWatch, reload
from pyrotorque.errors import SettingsError, StateError
from pyrotorque.events import Delivery, Durable, Fact, Heartbeat, QueueChecked, TotalsReported
from pyrotorque.layout import SERVICES
from pyrotorque.outbox import CursorTable, Outbox
from pyrotorque.requests import Answer, DescribeService
from pyrotorque.service.lifecycle import Lifecycle, ServiceStart, running
from pyrotorque.settings.schema import ExporterSettings, Settings
from pyrotorque.store import open_store
from pyrotorque.totals import Totals
from pyrotorque_exporter.collectors.processes import ProcessesCollector
from pyrotorque_exporter.endpoint import Endpoint, EndpointContext
from pyrotorque_exporter.page import QueueExplanations, StatusPage
from pyrotorque_exporter.service_states import ServiceStates
from pyrotorque_exporter.state import MIGRATIONS, ExporterState
from pyrotorque_exporter.tracker_totals import TrackerTotals

log = logging.getLogger(__name__)

NAME: Final = "exporter"
OTHERS: Final = tuple(service for service in SERVICES if service != NAME)
DURABLE: Final[tuple[type[Fact], ...]] = get_args(Durable)
HEARD: Final[tuple[type[Fact], ...]] = (*DURABLE, Heartbeat, TotalsReported, QueueChecked)
TURN: Final = 5.0
STEP_SECONDS: Final = 10.0


class Exporter:
    """The state of the service; `step` is one turn of its loop."""

    def __init__(self, configuration: Configuration, bus: Bus, state: ExporterState, totals: Totals) -> None:
        self.configuration = configuration
        self._bus, self._state, self._totals = bus, state, totals
        self._states = ServiceStates(time.monotonic)
        self._unkept: dict[str, TotalsReported] = {}
        self._kept_at = 0.0
        self._trackers = TrackerTotals(_trackers_max(configuration.settings))
        self._endpoints: list[Endpoint] = []
        self._explanations = QueueExplanations.at_scheduler(configuration.layout)
        self._states.expect(SERVICES)
        self._states.remember(state.last_totals(), state.states(), state.event_counts())
        state.restore(self._trackers)
        bus.stats.count_into(totals)

    def configure(self, settings: Settings) -> None:
        """Open what these settings say; ports that stay the same are closed for a moment."""
        self.close()
        self._trackers.limit = _trackers_max(settings)
        jobs = [job for job in settings.jobs if isinstance(job, ExporterSettings) and job.active]
        supervisor = os.getppid() if "SUPERVISOR_ENABLED" in os.environ else None
        state = self._state
        shared = EndpointContext(
            states=self._states,
            processes=ProcessesCollector(self._states, self._totals.families, supervisor=supervisor),
            trackers=self._trackers,
            aliases=settings.aliases,
            page=StatusPage(states=self._states, recent=lambda: state.recent, queues=self._explanations),
            on_finished=self._bus.wake,
        )
        self._endpoints = [Endpoint(job, settings.rtorrent, shared) for job in jobs]
        if not jobs:
            log.info("no exporter job is active (job.exporter.active = True opens its port): idling")
        self.open_ports()

    def open_ports(self) -> None:
        now = time.monotonic()
        for endpoint in self._endpoints:
            endpoint.open(now)

    def close(self) -> None:
        for endpoint in self._endpoints:
            endpoint.close()
        self._endpoints = []

    def take(self, woken: Wakeup) -> None:
        """Apply what was told, answer what was asked."""
        for delivery in woken.deliveries:
            self._hear(delivery)
        for asked in woken.requests:
            if isinstance(asked.request, DescribeService):
                asked.answer(Answer(ok=True, text=self._described(), data=self._description()))
            else:
                asked.answer(Answer(ok=False, text="the exporter cannot do that"))

    def keep(self, now: float, *, at_once: bool = False) -> None:
        """Write what must survive a restart: tracker traffic at once after a scrape, last totals every few seconds."""
        changes = self._trackers.drain()
        try:
            self._state.save_tracker_traffic(changes)
        except StateError as error:
            self._trackers.restore_unsaved(changes)
            log.warning("%s", error)
        if self._unkept and (at_once or now - self._kept_at >= TURN):
            self._kept_at = now
            self._state.save_totals(self._unkept.values())
            self._unkept = {}

    def _hear(self, delivery: Delivery) -> None:
        event = delivery.event
        if isinstance(event, Durable):
            self._state.apply(self._bus, delivery, event)
        elif isinstance(event, TotalsReported):
            self._unkept[event.service] = event
        self._states.receive(delivery)

    def _description(self) -> dict[str, object]:
        return {
            endpoint.settings.name: {
                "address": endpoint.settings.address,
                "port": endpoint.settings.port,
                "open": endpoint.is_open,
            }
            for endpoint in self._endpoints
        }

    def _described(self) -> str:
        if not self._endpoints:
            return "idle: no exporter job is active"
        return ", ".join(
            f"{endpoint.settings.name} on {endpoint.settings.address}:{endpoint.settings.port}"
            + ("" if endpoint.is_open else " (port not open)")
            for endpoint in self._endpoints
        )


def run(start: ServiceStart) -> int:
    """Serve until the service is asked to stop."""
    start.layout.prepare()
    store = open_store(start.layout.database(NAME), MIGRATIONS)
    try:
        outbox, current = Outbox(store, NAME), [start.configuration]
        with (
            running(NAME, start.layout, config_digest=lambda: current[0].settings.digest, outbox=outbox) as life,
            Bus(start.layout, NAME, outbox, subscribe=dict.fromkeys(OTHERS, HEARD), cursors=CursorTable(store)) as bus,
        ):
            life.on_wake(bus.wake)
            exporter = Exporter(start.configuration, bus, ExporterState(store), Totals())
            exporter.configure(start.settings)
            logs.owner_log("started")
            try:
                _loop(exporter, bus, life, current)
            finally:
                exporter.close()
                exporter.keep(time.monotonic(), at_once=True)
    finally:
        store.close()
    return 0


def _loop(exporter: Exporter, bus: Bus, life: Lifecycle, current: list[Configuration]) -> None:
    watch = ConfigurationWatch(current[0])
    while not life.stopping:
        woken = bus.wait(TURN)
        now = time.monotonic()
        with life.step("applying events", now + STEP_SECONDS):
            exporter.take(woken)
            exporter.keep(now)
            exporter.open_ports()
        with life.step("reading the configuration", now + 6 * STEP_SECONDS):
            if life.take_reload():
                _reload(exporter, watch, current)
            elif (settings := watch.changed(now)) is not None:
                current[0] = _with(current[0], settings)
                exporter.configure(settings)


def _reload(exporter: Exporter, watch: ConfigurationWatch, current: list[Configuration]) -> None:
    try:
        current[0] = reload(current[0])
    except SettingsError as error:
        for line in ("the new configuration is broken, the old one goes on", *str(error).splitlines()):
            log.error("%s", line)
        return
    watch.took(current[0])
    exporter.configure(current[0].settings)
    log.info("configuration reloaded")


def _with(configuration: Configuration, settings: Settings) -> Configuration:
    return Configuration(settings, configuration.layout, configuration.options, configuration.warnings)


def _trackers_max(settings: Settings) -> int:
    limits: Iterable[int] = (
        job.trackers_max for job in settings.jobs if isinstance(job, ExporterSettings) and job.active
    )
    return max(limits, default=100)
