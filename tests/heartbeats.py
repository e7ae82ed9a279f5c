"""A heartbeat that has the content that a test needs."""

from typing import Any

import msgspec

from pyrotorque.events import Heartbeat

PLAIN = Heartbeat(
    at=0.0, service="watcher", pid=7, started=0.0, step="waiting", step_since=0.0, deadline=0.0, epoch="", head=0,
    config="",
)  # fmt: skip


def heartbeat(**said: Any) -> Heartbeat:
    return msgspec.structs.replace(PLAIN, **said)
