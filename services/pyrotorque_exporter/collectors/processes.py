"""Group `processes`: which services live, what they cost, how often they ended, and the events they states."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric

from pyrotorque.events import Family, Sample
from pyrotorque.linux.processes import PROC, process_stat
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.collectors.services import is_of_processes
from pyrotorque_exporter.families import by_label, from_services, labelled, single
from pyrotorque_exporter.service_states import OURSELVES, ServiceState, ServiceStates

REASONS: Final = ("ok", "error", "watchdog")


class ProcessesCollector:
    """Asks the kernel about each process that beats; how often they ended is what the guardian counts."""

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
        self._states, self._own, self._proc = states, own_families, proc_folder
        self._supervisor = supervisor

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        services = self._states.snapshot()
        up = {name: float(self._states.is_up(name)) for name in services}
        yield by_label("gauge", "pyrotorque_process_up", "Whether a service lives.", "process", up)
        beats = {name: service.beat_at for name, service in services.items() if service.beat_at}
        beats[OURSELVES] = context.now
        yield by_label(
            "gauge",
            "pyrotorque_process_heartbeat_timestamp_seconds",
            "When a service was last heard of.",
            "process",
            beats,
        )
        yield from self._usage(self._pids(services, up))
        yield from self._configuration(services, up)
        yield labelled(
            "counter",
            "pyrotorque_events_received_total",
            "Durable events applied, each exactly once.",
            ("source", "event"),
            self._states.event_counts(),
        )
        counted = [*self._states.families(is_of_processes), *self._own(), *_begun(services)]
        yield from from_services(counted)

    def _pids(self, services: Mapping[str, ServiceState], up: Mapping[str, float]) -> dict[str, int]:
        pids = {
            name: service.heartbeat.pid
            for name, service in services.items()
            if service.heartbeat is not None and up[name]
        }
        pids[OURSELVES] = os.getpid()
        return pids if self._supervisor is None else {**pids, "supervisord": self._supervisor}

    def _usage(self, pids: Mapping[str, int]) -> Iterator[Metric]:
        found = {name: usage for name, pid in pids.items() if (usage := process_stat(pid, self._proc))}
        for metric, help_text, values in (
            ("start_time_seconds", "When a process began", {name: one.started for name, one in found.items()}),
            (
                "resident_memory_bytes",
                "Resident memory of a process",
                {name: one.resident_bytes for name, one in found.items()},
            ),
        ):
            yield by_label("gauge", f"pyrotorque_process_{metric}", f"{help_text} (/proc/PID/stat).", "process", values)
        yield by_label(
            "counter",
            "pyrotorque_process_cpu_seconds_total",
            "Processor time of a process (/proc/PID/stat).",
            "process",
            {name: one.cpu_seconds for name, one in found.items()},
        )

    def _configuration(self, services: Mapping[str, ServiceState], up: Mapping[str, float]) -> Iterator[Metric]:
        digests = {
            service.heartbeat.config
            for name, service in services.items()
            if service.heartbeat is not None and up[name] and service.heartbeat.config
        }
        yield single(
            "gauge",
            "pyrotorque_configurations",
            "Different configurations that the services run on; more than 1 for long is a broken reload.",
            float(len(digests)),
        )


def _begun(services: Iterable[str]) -> tuple[Family, ...]:
    """Zeros for what the guardian has not yet counted: a counter that begins with 1 is no increase to Prometheus."""
    names = tuple(services)
    return (
        Family(
            name="pyrotorque_bus_gaps_total",
            kind="counter",
            help="Times that events of another service were lost to this one.",
            labels=("source",),
            samples=tuple(Sample(labels=(name,)) for name in names),
        ),
        Family(
            name="pyrotorque_process_restarts_total",
            kind="counter",
            help="Starts of a program after it had ended by itself.",
            labels=("process",),
            samples=tuple(Sample(labels=(name,)) for name in names),
        ),
        Family(
            name="pyrotorque_process_exits_total",
            kind="counter",
            help="Ends of a program's process by itself: ok, error, or killed by the guardian (watchdog).",
            labels=("process", "reason"),
            samples=tuple(Sample(labels=(name, reason)) for name in names for reason in REASONS),
        ),
    )
