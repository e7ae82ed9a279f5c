"""Group `processes`: which services are up, their resources, restarts and exits, and the events received from them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from prometheus_client.core import Metric

from pyrotorque.events import Family, Sample
from pyrotorque.linux.processes import PROC, process_stat
from pyrotorque.process_metrics import BUS_GAPS, EXIT_REASONS, EXITS, RESTARTS
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.collectors.services import in_group_processes
from pyrotorque_exporter.families import by_label, from_services, labelled, single
from pyrotorque_exporter.service_states import EXPORTER, ServiceState, ServiceStates


class ProcessesCollector:
    """Reads /proc for each process that sends heartbeats; restarts and exits are counted by the guardian."""

    name = "processes"
    uses_rtorrent = False

    def __init__(
        self,
        states: ServiceStates,
        own_families: Callable[[], tuple[Family, ...]],
        *,
        proc_folder: Path = PROC,
        supervisor: int | None = None,
    ) -> None:
        self._states, self._own_families, self._proc = states, own_families, proc_folder
        self._supervisor = supervisor

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        services = self._states.snapshot()
        up = {name: float(self._states.is_up(name)) for name in services}
        yield by_label("gauge", "pyrotorque_process_up", "Whether a service sends heartbeats.", "process", up)
        heartbeats = {name: service.heartbeat_at for name, service in services.items() if service.heartbeat_at}
        heartbeats[EXPORTER] = context.now
        yield by_label(
            "gauge",
            "pyrotorque_process_heartbeat_timestamp_seconds",
            "When a service sent its last heartbeat.",
            "process",
            heartbeats,
        )
        yield from self._usage(self._pids(services, up))
        yield self._configurations(services, up)
        yield labelled(
            "counter",
            "pyrotorque_events_received_total",
            "Durable events applied, each exactly once.",
            ("source", "event"),
            self._states.event_counts(),
        )
        families = [*self._states.families(in_group_processes), *self._own_families()]
        yield from from_services([*families, *_zeros(services)])

    def _pids(self, services: Mapping[str, ServiceState], up: Mapping[str, float]) -> dict[str, int]:
        pids = {
            name: service.heartbeat.pid
            for name, service in services.items()
            if service.heartbeat is not None and up[name]
        }
        pids[EXPORTER] = os.getpid()
        return pids if self._supervisor is None else {**pids, "supervisord": self._supervisor}

    def _usage(self, pids: Mapping[str, int]) -> Iterator[Metric]:
        found = {name: usage for name, pid in pids.items() if (usage := process_stat(pid, self._proc))}
        yield by_label(
            "gauge",
            "pyrotorque_process_start_time_seconds",
            "When a process started (/proc/PID/stat).",
            "process",
            {name: one.started for name, one in found.items()},
        )
        yield by_label(
            "gauge",
            "pyrotorque_process_resident_memory_bytes",
            "Resident memory of a process (/proc/PID/stat).",
            "process",
            {name: one.resident_bytes for name, one in found.items()},
        )
        yield by_label(
            "counter",
            "pyrotorque_process_cpu_seconds_total",
            "Processor time of a process (/proc/PID/stat).",
            "process",
            {name: one.cpu_seconds for name, one in found.items()},
        )

    def _configurations(self, services: Mapping[str, ServiceState], up: Mapping[str, float]) -> Metric:
        digests = {
            service.heartbeat.config
            for name, service in services.items()
            if service.heartbeat is not None and up[name] and service.heartbeat.config
        }
        return single(
            "gauge",
            "pyrotorque_configurations",
            "Different configurations in use by the services; more than 1 for long means that a reload failed.",
            float(len(digests)),
        )


def _zeros(services: Iterable[str]) -> Iterator[Family]:
    """Zero samples for each service: a counter whose first sample is 1 is no increase for Prometheus."""
    names = tuple(services)
    by_process = tuple(Sample(labels=(name,)) for name in names)
    yield msgspec.structs.replace(BUS_GAPS, samples=by_process)
    yield msgspec.structs.replace(RESTARTS, samples=by_process)
    by_reason = tuple(Sample(labels=(name, reason)) for name in names for reason in EXIT_REASONS)
    yield msgspec.structs.replace(EXITS, samples=by_reason)
