"""Counts what went over the bus and what was wrong with it; each kind of trouble is logged once."""

import logging
from dataclasses import dataclass, field
from typing import Literal, get_args

from pyrotorque.text import printable
from pyrotorque.totals import Counter, Totals

log = logging.getLogger(__name__)


Dropped = Literal[
    "too large to tell", "wrong frames", "unknown kind", "bad request", "bad replay", "bad body", "unknown event"
]


@dataclass
class BusStats:
    """Running numbers of one bus; `count_into` lets them appear among the service's totals."""

    published: int = 0
    delivered: int = 0
    duplicates: int = 0
    replays_asked: int = 0
    replays_answered: int = 0
    gaps: int = 0
    dropped: int = 0
    _said: set[str] = field(default_factory=set[str])
    _gap_counter: Counter | None = None
    _dropped_counter: Counter | None = None

    def count_into(self, totals: Totals) -> None:
        self._gap_counter = totals.counter(
            "pyrotorque_bus_gaps_total", "Times that events of another service were lost to this one.", ("source",)
        )
        self._dropped_counter = totals.counter(
            "pyrotorque_bus_messages_dropped_total",
            "Messages that could not be understood, by what was wrong.",
            ("reason",),
        )
        # A counter that begins with 1 is no increase to Prometheus.
        for reason in get_args(Dropped):
            self._dropped_counter.inc(reason, by=0)

    def gap(self, source: str, reason: str) -> None:
        """Some events of `source` are lost to us: always said."""
        self.gaps += 1
        if self._gap_counter:
            self._gap_counter.inc(source)
        log.warning("events of %s were missed: %s; its totals are still right", source, printable(reason))

    def drop(self, reason: Dropped, detail: object) -> None:
        """A message was thrown away: counted, and said the first time."""
        self.dropped += 1
        if self._dropped_counter:
            self._dropped_counter.inc(reason)
        if reason not in self._said:
            self._said.add(reason)
            log.warning(
                "dropped a message (%s): %s; more of this kind are only counted", reason, printable(str(detail)[:300])
            )
