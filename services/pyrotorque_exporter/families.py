"""Builds metric families of prometheus_client, new for each scrape, so that a vanished item has no sample."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from pyrotorque.events import Family, Sample
from pyrotorque_exporter.labels import label_value

Kind = Literal["counter", "gauge"]


def single(kind: Kind, name: str, help: str, value: float) -> Metric:
    """A family of one sample without labels."""
    return labelled(kind, name, help, (), {(): value})


Key = TypeVar("Key", bound=tuple[str, ...])


def labelled(kind: Kind, name: str, help: str, labels: Sequence[str], values: Mapping[Key, float]) -> Metric:
    """A family with one sample for each tuple of label values; a counter's name ends in `_total`."""
    family_type = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    family = family_type(name, help, labels=labels)
    for label_values, value in values.items():
        family.add_metric([label_value(text) for text in label_values], value)
    return family


def by_label(kind: Kind, name: str, help: str, label: str, values: Mapping[str, float]) -> Metric:
    """A family with one label."""
    return labelled(kind, name, help, (label,), {(text,): value for text, value in values.items()})


def histogram(family: Family) -> Metric:
    """A histogram family; its buckets, one count each, become cumulative."""
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [repr(float(bound)) for bound in family.bounds] + ["+Inf"]
    for sample in family.samples:
        running, cumulative = 0.0, list[tuple[str, float]]()
        for bound, count in zip(bounds, sample.buckets, strict=True):
            running += count
            cumulative.append((bound, running))
        metric.add_metric([label_value(text) for text in sample.labels], cumulative, sample.value)
    return metric


def from_services(families: Iterable[Family]) -> list[Metric]:
    """The families of the services as metrics; samples of the same name and labels are added up."""
    merged: dict[str, Family] = {}
    for family in families:
        first = merged.get(family.name)
        if first is None:
            merged[family.name] = family
        elif _shape(first) == _shape(family):
            samples = {sample.labels: sample for sample in first.samples}
            for sample in family.samples:
                other = samples.get(sample.labels)
                samples[sample.labels] = _sum(other, sample) if other else sample
            merged[family.name] = msgspec.structs.replace(first, samples=tuple(samples.values()))
    return [_as_metric(family) for family in merged.values()]


def _shape(family: Family) -> tuple[str, tuple[str, ...], tuple[float, ...]]:
    return family.kind, family.labels, family.bounds


def _sum(one: Sample, other: Sample) -> Sample:
    buckets = tuple(a + b for a, b in zip(one.buckets, other.buckets, strict=True))
    return Sample(labels=one.labels, value=one.value + other.value, buckets=buckets, count=one.count + other.count)


def _as_metric(family: Family) -> Metric:
    if family.kind == "histogram":
        return histogram(family)
    values = {sample.labels: sample.value for sample in family.samples}
    return labelled(family.kind, family.name, family.help, family.labels, values)
