"""Events that are neither stored nor replayed, and the metrics that services report."""

from typing import Literal

import msgspec

from pyrotorque.events.base import Fact


class QueueChecked(Fact, frozen=True, kw_only=True, tag=True):
    """A queue checked its items; `startable` and `downloading` are None if the check did not need them.

    `reason` is the sentence why no more was started; `summary` is the same without rTorrent's message about an item.
    """

    job: str
    startable: int | None
    downloading: int | None
    slots: int
    started: int
    reason: str
    summary: str = ""


class JobFinished(Fact, frozen=True, kw_only=True, tag=True):
    """A run of a job succeeded."""

    job: str
    seconds: float


class Heartbeat(Fact, frozen=True, kw_only=True, tag=True):
    """A service is alive: what its loop does (`step`), since when, and until when (`deadline`).

    `step_since` and `deadline` are CLOCK_MONOTONIC seconds, comparable within one boot; `head` is the newest seq.
    """

    service: str
    pid: int
    started: float
    step: str
    step_since: float
    deadline: float
    epoch: str
    head: int
    config: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a family; `labels` in the order of the family's; buckets of a histogram are not cumulative."""

    labels: tuple[str, ...] = ()
    value: float = 0.0
    buckets: tuple[float, ...] = ()
    count: float = 0.0


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a service: absolute totals, which need no adding up.

    For `histogram`, `bounds` are the upper bounds without +Inf, each sample has len(bounds) + 1 bucket counts,
    `value` is the sum and `count` the number of observations.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    samples: tuple[Sample, ...] = ()


class TotalsReported(Fact, frozen=True, kw_only=True, tag=True):
    """All metrics of one service at one moment."""

    service: str
    families: tuple[Family, ...]
