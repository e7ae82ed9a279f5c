"""Groups `queue`, `watch` and `jobs`: the totals that scheduler and watcher published last."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.families import from_services
from pyrotorque_exporter.service_states import ServiceStates

PREFIXES: Final = {
    "queue": "pyrotorque_queue_",
    "watch": "pyrotorque_watch_",
    "jobs": "pyrotorque_job_",
    "fleet": "pyrotorque_fleet_",
}


class ServiceTotalsCollector:
    """The families whose names begin with the group's prefix; an invalid family affects only this group."""

    uses_rtorrent = False

    def __init__(self, name: str, states: ServiceStates) -> None:
        self.name, self._states, self._prefix = name, states, PREFIXES[name]

    def collect(self, context: ScrapeContext) -> Iterable[Metric]:
        return from_services(self._states.families(lambda family: family.startswith(self._prefix)))


def in_group_processes(family: str) -> bool:
    """Whether a family of the services is in none of the groups above: then the group `processes` shows it."""
    return family.startswith("pyrotorque_") and not family.startswith(tuple(PREFIXES.values()))
