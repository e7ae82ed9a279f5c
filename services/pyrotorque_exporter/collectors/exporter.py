"""Group `scrape`: version and process of the exporter; `scrape.py` adds how each group was collected."""

import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.families import labelled, single


class ExporterCollector:
    """The version, and prometheus_client's metrics of this process."""

    name = "scrape"
    uses_rtorrent = False

    def __init__(self, configuration: Path | None = None) -> None:
        """`configuration` is the stored configuration, which is written when it changes."""
        self._configuration = configuration
        self._sources = (ProcessCollector(registry=None), PlatformCollector(registry=None))

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        values = {(_version(), platform.python_version()): 1.0}
        yield labelled("gauge", "pyrotorque_build_info", "Version of pyrotorque.", ("version", "python"), values)
        if self._configuration is not None:
            with suppress(OSError):
                yield single(
                    "gauge",
                    "pyrotorque_configuration_timestamp_seconds",
                    "When the configuration in force was stored: the last start, restart or reload that changed it.",
                    self._configuration.stat().st_mtime,
                )
        for source in self._sources:
            yield from source.collect()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pyrotorque")
    except PackageNotFoundError:
        return "unknown"
