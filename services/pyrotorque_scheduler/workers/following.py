"""Which events of the other services the scheduler follows for its jobs."""

from collections.abc import Mapping
from typing import Final, get_args

from pyrotorque.events import Durable, Fact
from pyrotorque_scheduler.event_routing import Routes

# Whoever else tells durable events; our own are kept when they are told.
_OTHERS: Final = ("watcher", "guardian")
_BY_NAME: Final[Mapping[str, type[Fact]]] = {kind.__name__: kind for kind in get_args(Durable)}


def followed(routes: Routes, hints: Mapping[str, tuple[type[Fact], ...]]) -> dict[str, tuple[type[Fact], ...]]:
    """The subscriptions: `hints`, and every type that a job is on, from every service that may tell it."""
    wanted = tuple(_BY_NAME[name] for name in sorted(routes) if name in _BY_NAME)
    if not wanted:
        return dict(hints)
    sources = dict.fromkeys((*hints, *_OTHERS))
    return {source: tuple(dict.fromkeys((*hints.get(source, ()), *wanted))) for source in sources}
