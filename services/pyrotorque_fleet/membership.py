"""Decides which groups are there: pure, without clocks of other machines.

A group is gone when both hold: nothing arrived from it for `silent` seconds of our own clock in which our own
heartbeats came back, and five of them did, each some time after the one before. With the clock alone, an outage of all
servers would make every group look dead; with the echoes alone, or with a burst of them from a hanging server, its end
would. After an interval without echoes the seconds begin again: the others may need longer than we to connect.

A process acts under its name only after its own heartbeats came back for `silent` seconds in which no other process
wrote one, and not after as long without them: claims name a group, so what one process of a name is permitted, each one
would start. As each stops to act after `silent` seconds without an echo, one that still acts is seen within that time.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pyrotorque_fleet.messages import GroupFacts

ECHOES: Final = 5
FORGOTTEN_AFTER: Final = 86_400.0
"""Seconds after which a group that is gone is not shown any more."""


class Echo(Enum):
    """What the value under our own key says."""

    OURS = "ours"
    OLDER = "older"
    """Of an earlier process of this group, or of a younger one with the same name, which will see ours."""
    TAKEN = "taken"
    """Another process uses our name, and was there first: this one must end."""


@dataclass
class FleetMember:
    """Another group; it was last `seen` at (CLOCK_MONOTONIC), `echo` is the number of our echoes then."""

    facts: GroupFacts
    seen: float
    echo: int


@dataclass
class Membership:
    """All other groups that are known, from the group `own` whose process has the identity `started`."""

    own: str
    started: int
    silent: float
    members: dict[str, FleetMember] = field(default_factory=dict[str, FleetMember])
    echoes: int = 0
    _echoed: float = float("-inf")
    """When the last echo that counts arrived."""
    _last_echo: float = float("-inf")
    _connected: float = float("-inf")
    """Since when echoes have arrived without an interruption."""
    _alone_since: float = float("inf")
    """Since when echoes have arrived without a heartbeat of another process that uses our name."""
    _held: bool = False
    """Whether this process had the name when another one wrote that acts under it."""
    _competitor: tuple[int, int] | None = None

    def receive(self, facts: GroupFacts, now: float) -> Echo | None:
        """Record a heartbeat; what it means for our own name, None for another group's."""
        if facts.name == self.own:
            return self._receive_own(facts, now)
        before = self.members.get(facts.name)
        if before is not None and (before.facts.started, before.facts.number) == (facts.started, facts.number):
            return None  # read again, not written again
        self.members[facts.name] = FleetMember(facts, now, self.echoes)
        return None

    def holds_name(self, now: float) -> bool:
        """Whether this process may act under its name: no other one does."""
        return now - self._alone_since >= self.silent and now - self._last_echo <= self.silent

    def _receive_own(self, facts: GroupFacts, now: float) -> Echo:
        if facts.started == self.started:
            if now - self._last_echo > self.silent:
                self._alone_since, self._held = now, False
            self._alone_since = min(self._alone_since, now)
            if now - self._last_echo > max(self.silent / 2, 2 * facts.beat):
                self._connected = now
            self._last_echo = now
            if now - self._echoed >= self.silent / (2 * ECHOES):
                self.echoes, self._echoed = self.echoes + 1, now
            return Echo.OURS
        # One value may be what an earlier process left; two different ones are of a process that lives.
        seen = (facts.started, facts.number)
        lives = self._competitor is not None and self._competitor[0] == facts.started and self._competitor != seen
        self._competitor = seen
        holds = self.holds_name(now)
        if holds and facts.joining:
            return Echo.OLDER  # it ends when it sees ours
        self._alone_since, self._held = float("inf"), holds or self._held
        was_first = facts.started < self.started if self._held or facts.joining else True
        return Echo.TAKEN if lives and was_first else Echo.OLDER

    def is_gone(self, name: str, now: float) -> bool:
        member = self.members[name]
        return now - max(member.seen, self._connected) > self.silent and self.echoes - member.echo >= ECHOES

    def forget(self, now: float) -> None:
        """Drop groups that have been gone for a day."""
        for name in [name for name, each in self.members.items() if now - each.seen > FORGOTTEN_AFTER]:
            if self.is_gone(name, now):
                del self.members[name]
