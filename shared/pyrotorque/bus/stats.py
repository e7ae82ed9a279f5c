"""Counts messages, gaps and dropped messages of one bus; each kind of dropped message is logged once."""

import logging
from dataclasses import dataclass, field
from typing import Literal, get_args

from pyrotorque.process_metrics import BUS_GAPS
from pyrotorque.text import printable
from pyrotorque.totals import Counter, Totals

log = logging.getLogger(__name__)


Dropped = Literal[
    "too large to tell", "wrong frames", "unknown kind", "bad request", "bad replay", "bad body", "unknown event"
]


@dataclass
class BusStats:
    """Counters of one bus; `count_into` adds them to the service's totals."""

    published: int = 0
    delivered: int = 0
    duplicates: int = 0
    replays_requested: int = 0
    replays_served: int = 0
    gaps: int = 0
    dropped: int = 0
    _logged_reasons: set[str] = field(default_factory=set[str])
    _gap_counter: Counter | None = None
    _dropped_counter: Counter | None = None

    def count_into(self, totals: Totals) -> None:
        self._gap_counter = totals.counter(BUS_GAPS.name, BUS_GAPS.help, BUS_GAPS.labels)
        self._dropped_counter = totals.counter(
            "pyrotorque_bus_messages_dropped_total",
            "Messages that could not be understood, by what was wrong.",
            ("reason",),
        )
        # Prometheus sees no increase when a counter first appears with 1.
        for reason in get_args(Dropped):
            self._dropped_counter.inc(reason, by=0)

    def count_gap(self, source: str) -> None:
        """Count a gap, inside the transaction that records it."""
        if self._gap_counter:
            self._gap_counter.inc(source)

    def gap(self, source: str, reason: str) -> None:
        """Events of `source` are lost: logged each time."""
        self.gaps += 1
        log.warning("events of %s are lost to this service: %s; its totals stay correct", source, printable(reason))

    def drop(self, reason: Dropped, detail: object) -> None:
        """A message was dropped: counted, and logged the first time."""
        self.dropped += 1
        if self._dropped_counter:
            self._dropped_counter.inc(reason)
        if reason not in self._logged_reasons:
            self._logged_reasons.add(reason)
            log.warning(
                "dropped a message (%s): %s; further ones are only counted", reason, printable(str(detail)[:300])
            )
