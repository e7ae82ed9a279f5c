"""The groups of the fleet as plain values, for commands, the panel and Prometheus."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pyrotorque_fleet.availability import FleetAvailability
from pyrotorque_fleet.membership import Membership
from pyrotorque_fleet.messages import GroupFacts


def fleet_view(
    own: GroupFacts, membership: Membership, nats: FleetAvailability, open_claims: Mapping[str, int], now: float
) -> dict[str, Any]:
    """All groups, this one first; `seen` is seconds ago. `now` is CLOCK_MONOTONIC."""
    groups = [_group(own, "present", 0.0, open_claims) | {"own": True}]
    for name, member in sorted(membership.members.items()):
        state = "gone" if membership.is_gone(name, now) else "present"
        groups.append(_group(member.facts, state, now - member.seen, open_claims) | {"own": False})
    return {"connected": bool(nats.server), "server": nats.server, "reason": nats.reason, "groups": groups}


def _group(facts: GroupFacts, state: str, seen: float, open_claims: Mapping[str, int]) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(facts)
    return values | {"state": state, "seen": seen, "open_claims": open_claims.get(facts.name, 0)}
