"""Records all heartbeats, to find the longest interval between those of an unaffected service."""

import threading
import time
from dataclasses import dataclass
from itertools import pairwise

from pyrotorque.bus.heartbeats import HeartbeatSubscriber
from pyrotorque.layout import SERVICES, Layout

_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class FaultPeriod:
    """The services affected by a fault, and its time span in CLOCK_MONOTONIC seconds."""

    services: frozenset[str]
    since: float
    until: float

    def affected(self, service: str, since: float, until: float) -> bool:
        return service in self.services and self.since < until and since < self.until


class HeartbeatLog:
    """`with HeartbeatLog(layout) as heartbeats:` receives in its own thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._beats: dict[tuple[str, int], list[float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def __enter__(self) -> "HeartbeatLog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def longest_silence(self, faults: list[FaultPeriod]) -> tuple[float, str]:
        """The longest interval between two heartbeats of a process outside of all faults, and its service."""
        silences = [
            (later - earlier, service)
            for (service, _), times in self._beats.items()
            for earlier, later in pairwise(times)
            if not any(
                service in period.services and period.since < later and earlier < period.until for period in faults
            )
        ]
        return max(silences, default=(0.0, "none"))

    def _run(self) -> None:
        subscribers = {service: HeartbeatSubscriber(self._layout, service) for service in SERVICES}
        try:
            while not self._stop.wait(_EVERY):
                now = time.monotonic()
                for service, subscriber in subscribers.items():
                    for pid in {beat.pid for beat in subscriber.receive()}:
                        self._beats.setdefault((service, pid), []).append(now)
        finally:
            for subscriber in subscribers.values():
                subscriber.close()
