"""The names that templates of jobs find of an event: all fields of all events, empty where this one has none."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from pyrotorque.events import Durable, Event

NAMES: Final = frozenset(name for kind in get_args(Durable) for name in kind.__struct_fields__) | {"type", "job_name"}


def namespace_of(event: Event | None, job: str) -> dict[str, object]:
    """`type` is the event's name (empty without an event), `job_name` the job that is run."""
    found: dict[str, Any] = dict.fromkeys(NAMES, "")
    if event is not None:
        found.update({name: "" if value is None else value for name, value in msgspec.structs.asdict(event).items()})
        found["type"] = type(event).__name__
    return {**found, "job_name": job}


def as_json(event: Event | None, job: str) -> Mapping[str, object]:
    """The event as `pyrotorque events --json` gives it, and the job that passes it on."""
    told: dict[str, object] = msgspec.to_builtins(event) if event is not None else {"type": "Test"}
    return {**told, "job_name": job}
