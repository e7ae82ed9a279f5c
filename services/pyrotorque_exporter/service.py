"""The exporter's loop: receives events, saves what must survive a restart, and keeps the endpoints open."""

import logging
import os
import time
from collections.abc import Iterable
from typing import Final, get_args

from pyrotorque import logs
from pyrotorque.bus import Bus, Wakeup
from pyrotorque.configuration import Configuration
from pyrotorque.errors import StateError
from pyrotorque.events import Delivery, Durable, Fact, Heartbeat, TotalsReported
from pyrotorque.outbox import CursorTable
from pyrotorque.requests import Answer, DescribeService
from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.service.runtime import Runtime, open_runtime
from pyrotorque.settings.schema import ExporterSettings, Settings
from pyrotorque.stored_configuration import stored_file
from pyrotorque.supervisord.config import table_services
from pyrotorque.totals import Totals
from pyrotorque.watchroots import active_roots
from pyrotorque_exporter.collectors.processes import ProcessesCollector
from pyrotorque_exporter.endpoint import Endpoint, EndpointContext
from pyrotorque_exporter.landing import landing_page
from pyrotorque_exporter.service_states import ServiceStates
from pyrotorque_exporter.state import MIGRATIONS, ExporterState
from pyrotorque_exporter.state_warnings import StateWarnings
from pyrotorque_exporter.tracker_totals import TrackerTotals

log = logging.getLogger(__name__)

NAME: Final = "exporter"
DURABLE: Final[tuple[type[Fact], ...]] = get_args(Durable)
SUBSCRIBED: Final[tuple[type[Fact], ...]] = (*DURABLE, Heartbeat, TotalsReported)
TURN: Final = 5.0
STEP_SECONDS: Final = 10.0


class Exporter:
    """The state of the service; the loop in `run` calls its methods."""

    def __init__(
        self, configuration: Configuration, bus: Bus, state: ExporterState, totals: Totals, services: Iterable[str]
    ) -> None:
        self._bus, self._state, self._totals = bus, state, totals
        self._services = ServiceStates(time.monotonic)
        self._unsaved_totals: dict[str, TotalsReported] = {}
        self._warnings = StateWarnings()
        self._trackers = TrackerTotals(_trackers_max(configuration.settings))
        self._endpoints: list[Endpoint] = []
        self._state_dir = configuration.layout.state_dir
        self._stored = stored_file(configuration.layout)
        self._targets = configuration.layout.fleet_targets
        self._services.expect(services)
        self._services.restore(state.last_totals(), state.states(), state.event_counts())
        state.restore_trackers(self._trackers)
        bus.stats.count_into(totals)

    def configure(self, settings: Settings) -> None:
        """Open the endpoints of these settings; the ports of the previous ones are closed first."""
        self.close()
        self._trackers.limit = _trackers_max(settings)
        jobs = settings.active_jobs(ExporterSettings)
        supervisor = os.getppid() if "SUPERVISOR_ENABLED" in os.environ else None
        shared = EndpointContext(
            states=self._services,
            processes=ProcessesCollector(self._services, self._totals.families, supervisor=supervisor),
            trackers=self._trackers,
            aliases=settings.aliases,
            landing=landing_page(settings.panel),
            on_finished=self._bus.wake,
            gate=SessionGate(self._state_dir),
            configuration=self._stored,
            targets=self._targets if settings.fleet.servers else None,
            hosts=[*settings.panel.hosts, settings.fleet.metrics],
            roots=[os.fsdecode(root.path) for root in active_roots(settings).roots],
        )
        self._endpoints = [Endpoint(job, settings.rtorrent, shared) for job in jobs]
        if not jobs:
            log.info("no exporter job is active (set job.exporter.active = True to open its port): idling")
        self.open_ports()

    def open_ports(self) -> None:
        now = time.monotonic()
        for endpoint in self._endpoints:
            endpoint.open(now)

    def close(self) -> None:
        for endpoint in self._endpoints:
            endpoint.close()
        self._endpoints = []

    def handle(self, wakeup: Wakeup) -> None:
        """Apply events and answer requests."""
        # Saved before a scrape shows them: otherwise a counter could be lower after a restart of this process.
        received = (delivery.event for delivery in wakeup.deliveries)
        self._unsaved_totals |= {event.service: event for event in received if isinstance(event, TotalsReported)}
        self._save_totals()
        for delivery in wakeup.deliveries:
            self._receive(delivery)
        for pending in wakeup.requests:
            if isinstance(pending.request, DescribeService):
                pending.answer(Answer(ok=True, text=self._described(), data=self._description()))
            else:
                pending.answer(Answer(ok=False, text="the exporter does not support this request"))

    def save(self) -> None:
        """Write what must survive a restart: tracker traffic after each scrape, totals that could not be written."""
        changes = self._trackers.drain()
        try:
            self._state.save_tracker_traffic(changes)
        except StateError as error:
            self._trackers.restore_unsaved(changes)
            self._warnings.warn(error)
        self._save_totals()

    def _save_totals(self) -> None:
        if not self._unsaved_totals:
            return
        try:
            self._state.save_totals(self._unsaved_totals.values())
        except StateError as error:
            self._warnings.warn(error)
        else:
            self._unsaved_totals = {}

    def _receive(self, delivery: Delivery) -> None:
        event = delivery.event
        if isinstance(event, Durable):
            self._state.apply(self._bus, delivery, event)
        self._services.receive(delivery)

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
    """Serve until SIGTERM."""
    reloader = ConfigurationReloader(start.configuration)
    with open_runtime(NAME, start.layout, MIGRATIONS, config_digest=reloader.digest) as runtime:
        services = table_services(start.config_dir)
        others = [name for name in services if name != NAME]
        runtime.bus.subscribe(dict.fromkeys(others, SUBSCRIBED), CursorTable(runtime.store))
        totals = Totals()
        exporter = Exporter(start.configuration, runtime.bus, ExporterState(runtime.store), totals, services)
        totals.load(runtime.store)
        exporter.configure(start.settings)
        logs.owner_event("started", "started")
        try:
            _loop(exporter, runtime, reloader)
        finally:
            exporter.close()
            exporter.save()
    return 0


def _loop(exporter: Exporter, runtime: Runtime, reloader: ConfigurationReloader) -> None:
    while not runtime.life.stopping:
        wakeup = runtime.bus.wait(TURN)
        now = time.monotonic()
        with runtime.life.step("applying events", now + STEP_SECONDS):
            exporter.handle(wakeup)
            exporter.save()
            exporter.open_ports()
        if (configuration := reloader.poll(runtime.life)) is not None:
            with runtime.life.step("applying the configuration", time.monotonic() + 6 * STEP_SECONDS):
                exporter.configure(configuration.settings)


def _trackers_max(settings: Settings) -> int:
    return max((job.trackers_max for job in settings.active_jobs(ExporterSettings)), default=100)
