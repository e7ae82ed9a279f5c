"""Metric families as prometheus_client knows them, built fresh for each scrape and never kept."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from pyrotorque.events import Family, Sample
from pyrotorque_exporter.labels import label_value

Kind = Literal["counter", "gauge"]


def single(kind: Kind, name: str, help: str, value: float) -> Metric:
    """A family of one number without labels."""
    return labelled(kind, name, help, (), {(): value})


Key = TypeVar("Key", bound=tuple[str, ...])


def labelled(kind: Kind, name: str, help: str, labels: Sequence[str], values: Mapping[Key, float]) -> Metric:
    """A family with one number for each tuple of label values; a counter's name ends in `_total`."""
    family_type = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    family = family_type(name, help, labels=labels)
    for label_values, value in values.items():
        family.add_metric([label_value(text) for text in label_values], value)
    return family


def by_label(kind: Kind, name: str, help: str, label: str, values: Mapping[str, float]) -> Metric:
    """A family with one label."""
    return labelled(kind, name, help, (label,), {(text,): value for text, value in values.items()})


def histogram(family: Family) -> Metric:
    """A service's histogram: its buckets are made cumulative here."""
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [_bound_text(bound) for bound in family.bounds] + ["+Inf"]
    for sample in family.samples:
        running, cumulative = 0.0, list[tuple[str, float]]()
        for bound, count in zip(bounds, sample.buckets, strict=True):
            running += count
            cumulative.append((bound, running))
        metric.add_metric([label_value(text) for text in sample.labels], cumulative, sample.value)
    return metric


def from_services(families: Iterable[Family]) -> list[Metric]:
    """The services' families as metrics; what two services count under the same name and labels is added up."""
    merged: dict[str, Family] = {}
    for family in families:
        known = merged.get(family.name)
        if known is None:
            merged[family.name] = family
        elif _shape(known) == _shape(family):
            samples = {sample.labels: sample for sample in known.samples}
            for sample in family.samples:
                other = samples.get(sample.labels)
                samples[sample.labels] = _added(other, sample) if other else sample
            merged[family.name] = msgspec.structs.replace(known, samples=tuple(samples.values()))
    return [_as_metric(family) for family in merged.values()]


def _shape(family: Family) -> tuple[str, tuple[str, ...], tuple[float, ...]]:
    return family.kind, family.labels, family.bounds


def _added(one: Sample, other: Sample) -> Sample:
    buckets = tuple(a + b for a, b in zip(one.buckets, other.buckets, strict=True))
    return Sample(labels=one.labels, value=one.value + other.value, buckets=buckets, count=one.count + other.count)


def _as_metric(family: Family) -> Metric:
    if family.kind == "histogram":
        return histogram(family)
    values = {sample.labels: sample.value for sample in family.samples}
    return labelled(family.kind, family.name, family.help, family.labels, values)


def _bound_text(bound: float) -> str:
    return repr(float(bound))
