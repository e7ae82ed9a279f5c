"""The groups of the fleet as this one knows them: its own facts, and the heartbeats of the others."""

import logging
import time
from collections import Counter
from typing import Final

from pyrotorque.errors import AlreadyRunning
from pyrotorque.text import printable
from pyrotorque_fleet.exchange import Update
from pyrotorque_fleet.heartbeat import GroupHeartbeat
from pyrotorque_fleet.membership import Echo, Membership
from pyrotorque_fleet.messages import BadValue, GroupFacts, decode_facts
from pyrotorque_fleet.metrics import FleetMetrics

log = logging.getLogger(__name__)

_IGNORED_MAX: Final = 100


class KnownGroups:
    """`heartbeat` has the facts of this group."""

    def __init__(self, heartbeat: GroupHeartbeat, membership: Membership, metrics: FleetMetrics) -> None:
        self.membership = membership
        self._heartbeat, self._metrics = heartbeat, metrics
        self._ignored: set[str] = set()

    def receive(self, update: Update) -> None:
        """Record a heartbeat; raises AlreadyRunning if another group uses the name of this one."""
        try:
            facts = decode_facts(update.key, update.value)
        except BadValue as error:
            self._metrics.bad_values.inc()
            if update.key not in self._ignored and len(self._ignored) < _IGNORED_MAX:
                self._ignored.add(update.key)
                log.warning("ignored the value of the group %s: %s", printable(update.key)[:80], printable(str(error)))
            return
        if self.membership.receive(facts, update.at) is Echo.TAKEN:
            raise AlreadyRunning(
                f"another group of the fleet is called {facts.name}: set fleet.name to a name of its own"
            )

    @property
    def own(self) -> GroupFacts:
        return self._heartbeat.facts

    def candidates(self) -> list[GroupFacts]:
        """This group and all that are present."""
        now = time.monotonic()
        members = self.membership.members
        return [self.own, *(each.facts for name, each in members.items() if not self.membership.is_gone(name, now))]

    def gone(self) -> list[str]:
        """The groups that are gone."""
        now = time.monotonic()
        return [name for name in self.membership.members if self.membership.is_gone(name, now)]

    def names(self) -> list[str]:
        """Of this group and all that are present."""
        return [facts.name for facts in self.candidates()]

    def count(self, now: float) -> Counter[str]:
        """How many groups are in each state, this one included; those that were gone for a day are forgotten."""
        self.membership.forget(now)
        found = Counter("gone" if self.membership.is_gone(name, now) else "present" for name in self.membership.members)
        return found + Counter(present=1)

    def addresses(self) -> dict[str, str]:
        """Of the exporters, by group, gone ones included."""
        members = [self.own, *(member.facts for member in self.membership.members.values())]
        return {facts.name: facts.metrics for facts in members if facts.metrics}
