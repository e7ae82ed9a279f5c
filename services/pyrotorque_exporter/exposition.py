"""Renders collected metrics in Prometheus' text format 0.0.4, plain or compressed."""

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as RegistryCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "rtorrent_"


@dataclass(frozen=True)
class Exposition:
    """The text of a scrape and its metrics, these under their names in docs/metrics.md whatever the prefix."""

    plain: bytes
    metrics: tuple[Metric, ...] = ()

    def labelled(self, name: str) -> dict[str, float]:
        """The values of the family `name` by their first label; the key is empty for a family without labels."""
        for metric in self.metrics:
            if metric.name == name.removesuffix("_total"):
                return {next(iter(sample.labels.values()), ""): sample.value for sample in metric.samples}
        return {}

    def value(self, name: str) -> float | None:
        """The value of the family `name`, which has no labels."""
        return self.labelled(name).get("")

    @cached_property
    def compressed(self) -> bytes:
        # Level 1 is cheap; concurrent requests share the result.
        return gzip.compress(self.plain, 1, mtime=0)


def render(collected: Iterable[Metric | str], prefix: str = PREFIX) -> Exposition:
    """The exposition of `collected`: metrics by prometheus_client, then the texts that were rendered directly.

    40,000 samples take prometheus_client 200 ms and 20 ms directly: only groups that can become that large do so.
    `prefix` replaces the `rtorrent_` of metric names; rendered texts have it already.
    """
    metrics, texts = list[Metric](), list[str]()
    for part in collected:
        texts.append(part) if isinstance(part, str) else metrics.append(part)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(metrics if prefix == PREFIX else [_renamed(metric, prefix) for metric in metrics]))
    return Exposition(generate_latest(registry) + "".join(texts).encode("utf-8", "replace"), tuple(metrics))


def with_prefix(name: str, prefix: str) -> str:
    """`name` with `prefix` instead of `rtorrent_`; names of other metrics stay as they are."""
    return prefix + name.removeprefix(PREFIX) if name.startswith(PREFIX) else name


def _renamed(metric: Metric, prefix: str) -> Metric:
    renamed = Metric(with_prefix(metric.name, prefix), metric.documentation, metric.type, metric.unit)
    renamed.samples = [sample._replace(name=with_prefix(sample.name, prefix)) for sample in metric.samples]
    return renamed


class _Collected(RegistryCollector):
    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
