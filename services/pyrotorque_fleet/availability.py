"""Whether NATS is reachable: an outage and its end are in the log of the owner, each once."""

import logging
from dataclasses import dataclass
from typing import Final

from pyrotorque import logs
from pyrotorque.humanize import duration
from pyrotorque.text import printable

log = logging.getLogger(__name__)

_AWAY_AFTER: Final = 15.0
"""Seconds without a connection after which it is in the log of the owner; an election takes up to 8."""


@dataclass
class FleetAvailability:
    """`server` is empty without a connection, and `reason` says why there is none. `now` is CLOCK_MONOTONIC."""

    away_since: float | None
    server: str = ""
    reason: str = ""
    _is_reported: bool = False

    def connected(self, server: str, now: float) -> None:
        away, self.away_since = now - (self.away_since or now), None
        self.server, self.reason = printable(server), ""
        log.info("connected to %s", self.server)
        if self._is_reported:
            logs.owner_event("fleet back", f"the fleet is available again, after {duration(away)}")
            self._is_reported = False

    def disconnected(self, reason: str, now: float) -> None:
        reason = printable(reason)
        if self.server:
            log.warning("lost the connection to %s: %s", self.server, reason)
            self.away_since, self.server = now, ""
        elif reason != self.reason:
            log.info("cannot connect: %s", reason)
        self.reason = reason

    def report(self, now: float) -> None:
        """Report an outage that lasts."""
        if self.server or self._is_reported or now - (self.away_since or now) <= _AWAY_AFTER:
            return
        self._is_reported = True
        text = f"the fleet is unavailable: {self.reason or 'no server answers'}; local jobs are not affected"
        log.warning("%s", text)
        logs.owner_event("fleet away", text)
