"""Group `scrape`: version and process of the exporter; `scrape.py` adds how each group was collected."""

import platform
from collections.abc import Iterator

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.families import labelled


class ExporterCollector:
    """The version, and prometheus_client's metrics of this process."""

    name = "scrape"
    uses_rtorrent = False

    def __init__(self) -> None:
        self._sources = (ProcessCollector(registry=None), PlatformCollector(registry=None))

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        values = {(_version(), platform.python_version()): 1.0}
        yield labelled("gauge", "pyrotorque_build_info", "Version of pyrotorque.", ("version", "python"), values)
        for source in self._sources:
            yield from source.collect()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pyrotorque")
    except PackageNotFoundError:
        return "unknown"
