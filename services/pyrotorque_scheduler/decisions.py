"""The words in which the queue decides: limits, candidates, what it remembers, and Start or Hold with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pyrotorque_scheduler.grant import Spent
from pyrotorque_scheduler.moments import Moment

Reason: TypeAlias = Literal[
    "paused",
    "hours",
    "intermission",
    "pace",
    "no_slot",
    "traffic",
    "nothing_startable",
    "disk",
    "failed_before",
    "batch_full",
    "rpc",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of one queue job, as the manual explains them."""

    downloading_max: int = 9
    downloading_min: int = 1
    start_at_once: int = 1
    intermission: float = 0.0
    max_down_rate: int = 0
    min_free: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A startable item in its turn; `need` is what it still has to download, `free` what its disk holds, if asked."""

    info_hash: str
    name: str
    loaded: float = 0.0
    need: int = 0
    free: int | None = None
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that did not start is left alone until `until`, so that it cannot use up every check."""

    until: float
    text: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class State:
    """What the queue remembers between checks; all of it survives a restart except `failures`."""

    last_batch: Moment | None = None
    spent: Spent = field(default_factory=Spent)
    paused: bool = False
    failures: Mapping[str, Failure] = field(default_factory=dict[str, Failure])


@dataclass(frozen=True, slots=True)
class Start:
    """This item is to be started."""

    info_hash: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is started, or not this item; `until` is when it is worth looking again without being told."""

    reason: Reason
    text: str
    until: float | None = None
    info_hash: str = ""
    name: str = ""


Decision: TypeAlias = Start | Hold
