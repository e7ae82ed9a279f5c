"""The metrics of a service: absolute totals that survive its restart and are published as events.

`Totals` is independent of Prometheus; the exporter turns its families into an exposition.
"""

import logging
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeVar

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.events import Family, Sample
from pyrotorque.limits import LABEL_CHARACTERS, SERIES_MAX
from pyrotorque.store import Store
from pyrotorque.text import printable

log = logging.getLogger(__name__)

Kind = Literal["counter", "gauge", "histogram"]


@dataclass
class _StoredSample:
    """One labelled value: a plain number, or the sum, count and buckets of a histogram."""

    value: float = 0.0
    count: float = 0.0
    buckets: list[float] = field(default_factory=list[float])
    unsaved: bool = True


class _Metric:
    """Common part of the three kinds: name, labels, and one value for each combination of label values."""

    kind: Kind = "gauge"

    def __init__(self, name: str, text: str, labels: Sequence[str], lock: threading.Lock) -> None:
        self.name = name
        self.help = text
        self.labels = tuple(labels)
        self.bounds: tuple[float, ...] = ()
        self.kept: dict[tuple[str, ...], _StoredSample] = {}
        self._lock = lock
        self._is_full = False
        if not labels:
            self.kept[()] = _StoredSample()

    def remove(self, *labels: str) -> None:
        """Remove this combination of label values."""
        with self._lock:
            self.kept.pop(labels, None)

    def get(self, *labels: str) -> float:
        """The current value (a histogram's sum); 0 for an unused combination."""
        with self._lock:
            kept = self.kept.get(labels)
            return 0.0 if kept is None else kept.value

    def _at(self, labels: tuple[str, ...]) -> _StoredSample:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has labels {self.labels}, not {labels}")
        shown = tuple(printable(label)[:LABEL_CHARACTERS] for label in labels)
        if shown not in self.kept and len(self.kept) >= SERIES_MAX:
            if not self._is_full:
                self._is_full = True
                log.warning("%s has %d series: further ones are counted as `other`", self.name, SERIES_MAX)
            shown = ("other",) * len(labels)
        kept = self.kept.setdefault(shown, _StoredSample())
        kept.unsaved = True
        return kept

    def family(self) -> Family:
        with self._lock:
            samples = tuple(_sample(kept, labels) for labels, kept in sorted(self.kept.items()))
        return Family(
            name=self.name, kind=self.kind, help=self.help, labels=self.labels, bounds=self.bounds, samples=samples
        )


_M = TypeVar("_M", bound=_Metric)


class Counter(_Metric):
    """Only grows; kept over a restart."""

    kind: Kind = "counter"

    def inc(self, *labels: str, by: float = 1.0) -> None:
        with self._lock:
            self._at(labels).value += by


class Gauge(_Metric):
    """Goes up and down; not kept over a restart."""

    def set(self, value: float, *labels: str) -> None:
        with self._lock:
            self._at(labels).value = value

    def inc(self, *labels: str, by: float = 1.0) -> None:
        with self._lock:
            self._at(labels).value += by


class Histogram(_Metric):
    """Counts observations by size; `bounds` are upper bounds, the last bucket has none."""

    kind: Kind = "histogram"

    def __init__(
        self, name: str, text: str, labels: Sequence[str], lock: threading.Lock, bounds: Sequence[float]
    ) -> None:
        super().__init__(name, text, labels, lock)
        if any(low >= high for low, high in pairwise(bounds)):
            raise ValueError(f"the bounds of {name} must increase: {tuple(bounds)}")
        self.bounds = tuple(bounds)
        for kept in self.kept.values():
            kept.buckets = self._no_counts()

    def observe(self, value: float, *labels: str) -> None:
        with self._lock:
            kept = self._at(labels)
            kept.buckets = kept.buckets or self._no_counts()
            kept.buckets[bisect_left(self.bounds, value)] += 1
            kept.value += value
            kept.count += 1

    def _no_counts(self) -> list[float]:
        return [0.0] * (len(self.bounds) + 1)


class Totals:
    """All metrics of one service; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metrics: dict[str, _Metric] = {}

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return self._add(Counter(name, text, labels, self._lock))

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return self._add(Gauge(name, text, labels, self._lock))

    def histogram(self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
        return self._add(Histogram(name, text, labels, self._lock, bounds))

    def families(self) -> tuple[Family, ...]:
        return tuple(metric.family() for metric in self._metrics.values())

    def load(self, store: Store) -> None:
        """Load what was counted before the restart; values with other labels or bounds are dropped."""
        for name, labels, sample in store.db.execute("SELECT name, labels, sample FROM kept_totals").fetchall():
            metric = self._metrics.get(name)
            if metric is not None and metric.kind != "gauge":
                _load_sample(metric, tuple(msgspec.json.decode(labels, type=list[str])), _sample_decoder.decode(sample))

    def save(self, store: Store) -> None:
        """Save what changed since the last call; joins the caller's transaction if there is one."""
        with self._lock:
            changed = [
                (metric.name, labels, kept)
                for metric in self._metrics.values()
                if metric.kind != "gauge"
                for labels, kept in metric.kept.items()
                if kept.unsaved
            ]
            rows = [(name, _json(list(labels)), _json(_sample(kept))) for name, labels, kept in changed]
            for _, _, kept in changed:
                kept.unsaved = False
        if not rows:
            return
        try:
            with store.transaction() as db:
                db.executemany("INSERT OR REPLACE INTO kept_totals VALUES (?, ?, ?)", rows)
        except StateError:
            for _, _, kept in changed:
                kept.unsaved = True
            raise

    def _add(self, metric: _M) -> _M:
        if metric.name in self._metrics:
            raise ValueError(f"a metric named {metric.name} exists already")
        self._metrics[metric.name] = metric
        return metric


_sample_decoder = msgspec.json.Decoder(Sample)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _sample(kept: _StoredSample, labels: tuple[str, ...] = ()) -> Sample:
    return Sample(labels=labels, value=kept.value, buckets=tuple(kept.buckets), count=kept.count)


def _load_sample(metric: _Metric, labels: tuple[str, ...], sample: Sample) -> None:
    wanted = len(metric.bounds) + 1 if metric.kind == "histogram" else 0
    if len(labels) == len(metric.labels) and len(sample.buckets) == wanted:
        metric.kept[labels] = _StoredSample(sample.value, sample.count, list(sample.buckets), unsaved=False)
