"""What the servers refuse to store, as for a full bucket or a missing permission: reported when it lasts."""

import time
from dataclasses import dataclass, field
from typing import Final

from pyrotorque import logs
from pyrotorque.humanize import duration
from pyrotorque.text import printable

_LASTING: Final = 10.0
_ENDED: Final = 30.0
"""Seconds without a refusal after which it has ended: a retry comes within a few."""
_CONSEQUENCES: Final = {
    "claims": "metafiles wait in their trees",
    "metafiles": "metafiles wait in their trees",
    "events": "events wait in this group",
    "heartbeats": "other groups do not see this one",
}


@dataclass
class _Refusal:
    first: float
    last: float
    reason: str


@dataclass
class RefusedWrites:
    """`refused` is called by the link's thread, `report` by the service's loop; times are CLOCK_MONOTONIC."""

    _refusals: dict[str, _Refusal] = field(default_factory=dict[str, _Refusal])
    _reported: dict[str, float] = field(default_factory=dict[str, float])
    """By kind: since when."""

    def refused(self, kind: str, reason: str, now: float | None = None) -> None:
        """The servers answered that they do not store something of this kind."""
        now = time.monotonic() if now is None else now
        known = self._refusals.get(kind)
        first = now if known is None or now - known.last > _ENDED else known.first
        self._refusals[kind] = _Refusal(first, now, printable(reason))

    def lasting(self, now: float) -> dict[str, str]:
        """A sentence for each kind that has been refused for a while."""
        return {
            kind: f"the servers refuse to store {kind} of this group: {each.reason}; {_CONSEQUENCES[kind]}"
            for kind, each in sorted(self._refusals.items())
            if each.last - each.first >= _LASTING and now - each.last <= _ENDED
        }

    def report(self, now: float) -> None:
        """Report what has begun to last, and what has ended, each once."""
        lasting = self.lasting(now)
        for kind in lasting.keys() - self._reported.keys():
            self._reported[kind] = self._refusals[kind].first
            text = f"{lasting[kind]}; {_advice(self._refusals[kind].reason)}"
            logs.owner_event("fleet refused", text, subject=kind)
        for kind in self._reported.keys() - lasting.keys():
            since = duration(now - self._reported.pop(kind))
            text = f"the servers store {kind} of this group again, after {since}"
            logs.owner_event("fleet stores", text, subject=kind)


def _advice(reason: str) -> str:
    if "may not use" in reason:
        return "give its user the permissions that deploy/nats/cluster.py writes"
    return "make room at the servers, or raise the limits of their streams and accounts"
