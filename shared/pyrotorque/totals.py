"""The metrics of a service: absolute totals that survive its restart and are published as events.

Every transaction of the service's store also writes the totals that changed. What is counted inside a transaction is
committed or rolled back with it: a total that counts events or rows equals them after a kill at any moment.
`Totals` is independent of Prometheus; the exporter turns its families into an exposition.
"""

import logging
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal, TypeAlias, TypeVar

import msgspec

from pyrotorque.events import Family, Sample
from pyrotorque.json_input import JsonDecoder, decode_json
from pyrotorque.limits import LABEL_CHARACTERS, SERIES_MAX
from pyrotorque.store import Connection, Store
from pyrotorque.text import printable

log = logging.getLogger(__name__)

Kind = Literal["counter", "gauge", "histogram"]


@dataclass
class _StoredSample:
    """One labelled value: a plain number, or the sum, count and buckets of a histogram."""

    value: float = 0.0
    count: float = 0.0
    buckets: list[float] = field(default_factory=list[float])

    def copy(self) -> "_StoredSample":
        return replace(self, buckets=list(self.buckets))


class _Changes:
    """Which values differ from the store, and those to restore if its transaction is rolled back."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.unsaved: dict[_Key, None] = {}
        self._before: dict[_Key, _StoredSample | None] = {}
        self._written: dict[_Key, None] = {}
        self._store: Store | None = None
        self._thread = 0

    def join(self, store: Store) -> None:
        """The totals belong to `store` from now on; called by the thread that uses it."""
        self._store, self._thread = store, threading.get_ident()
        store.join(self)

    def note(self, metric: "_Metric", labels: tuple[str, ...]) -> None:
        """This value changes next; `lock` is held."""
        if metric.kind == "gauge":
            return
        key = metric, labels
        if key not in self._before and self._in_transaction():
            kept = metric.kept.get(labels)
            self._before[key] = None if kept is None else kept.copy()
        self.unsaved[key] = None

    def write(self, db: Connection) -> None:
        """Write what changed, inside the transaction that is committed next."""
        with self.lock:
            self._written, self.unsaved = self.unsaved, {}
            rows = [
                (metric.name, _json(list(labels)), _json(_sample(metric.kept[labels])))
                for metric, labels in self._written
                if labels in metric.kept
            ]
        if rows:
            db.executemany("INSERT OR REPLACE INTO kept_totals VALUES (?, ?, ?)", rows)

    def committed(self) -> None:
        with self.lock:
            self._before.clear()
            self._written = {}

    def rolled_back(self) -> None:
        with self.lock:
            for (metric, labels), kept in self._before.items():
                if kept is None:
                    metric.kept.pop(labels, None)
                else:
                    metric.kept[labels] = kept
            self.unsaved |= self._written
            self._before.clear()
            self._written = {}

    def _in_transaction(self) -> bool:
        return self._store is not None and threading.get_ident() == self._thread and self._store.db.in_transaction


class _Metric:
    """Common part of the three kinds: name, labels, and one value for each combination of label values."""

    kind: Kind = "gauge"

    def __init__(self, name: str, text: str, labels: Sequence[str], changes: _Changes) -> None:
        self.name = name
        self.help = text
        self.labels = tuple(labels)
        self.bounds: tuple[float, ...] = ()
        self.kept: dict[tuple[str, ...], _StoredSample] = {}
        self._changes = changes
        self._lock = changes.lock
        self._is_full = False
        if not labels:
            self.kept[()] = _StoredSample()
            changes.note(self, ())

    def remove(self, *labels: str) -> None:
        """Remove this combination of label values."""
        with self._lock:
            self.kept.pop(_shown(labels), None)

    def get(self, *labels: str) -> float:
        """The current value (a histogram's sum); 0 for an unused combination."""
        with self._lock:
            kept = self.kept.get(labels)
            return 0.0 if kept is None else kept.value

    def _at(self, labels: tuple[str, ...]) -> _StoredSample:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has labels {self.labels}, not {labels}")
        shown = _shown(labels)
        if shown not in self.kept and len(self.kept) >= SERIES_MAX:
            if not self._is_full:
                self._is_full = True
                log.warning("%s has %d series: further ones are counted as `other`", self.name, SERIES_MAX)
            shown = ("other",) * len(labels)
        self._changes.note(self, shown)
        return self.kept.setdefault(shown, _StoredSample())

    def family(self) -> Family:
        with self._lock:
            samples = tuple(_sample(kept, labels) for labels, kept in sorted(self.kept.items()))
        return Family(
            name=self.name, kind=self.kind, help=self.help, labels=self.labels, bounds=self.bounds, samples=samples
        )


_Key: TypeAlias = tuple[_Metric, tuple[str, ...]]
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

    def __init__(self, name: str, text: str, labels: Sequence[str], changes: _Changes, bounds: Sequence[float]) -> None:
        super().__init__(name, text, labels, changes)
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
        self._changes = _Changes()
        self._metrics: dict[str, _Metric] = {}

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return self._add(Counter(name, text, labels, self._changes))

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return self._add(Gauge(name, text, labels, self._changes))

    def histogram(self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
        return self._add(Histogram(name, text, labels, self._changes, bounds))

    def families(self) -> tuple[Family, ...]:
        return tuple(metric.family() for metric in self._metrics.values())

    def load(self, store: Store) -> None:
        """Load what was counted before the restart, and join the transactions of `store`.

        Values with other labels or bounds are dropped.
        """
        self._changes.join(store)
        for name, labels, sample in store.db.execute("SELECT name, labels, sample FROM kept_totals").fetchall():
            metric = self._metrics.get(name)
            if metric is not None and metric.kind != "gauge":
                _load_sample(metric, tuple(decode_json(labels, type=list[str])), _sample_decoder.decode(sample))

    def save(self, store: Store) -> None:
        """Save what was counted outside of transactions; inside one, its commit does so."""
        self._changes.join(store)
        if self._changes.unsaved:
            with store.transaction():
                pass

    def _add(self, metric: _M) -> _M:
        if metric.name in self._metrics:
            raise ValueError(f"a metric named {metric.name} exists already")
        self._metrics[metric.name] = metric
        return metric


def _shown(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(printable(label)[:LABEL_CHARACTERS] for label in labels)


_sample_decoder = JsonDecoder(Sample)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _sample(kept: _StoredSample, labels: tuple[str, ...] = ()) -> Sample:
    return Sample(labels=labels, value=kept.value, buckets=tuple(kept.buckets), count=kept.count)


def _load_sample(metric: _Metric, labels: tuple[str, ...], sample: Sample) -> None:
    wanted = len(metric.bounds) + 1 if metric.kind == "histogram" else 0
    if len(labels) == len(metric.labels) and len(sample.buckets) == wanted:
        metric.kept[labels] = _StoredSample(sample.value, sample.count, list(sample.buckets))
