"""Hears everybody's heartbeats, so that the longest silence of those who were not hurt is known."""

import threading
import time
from dataclasses import dataclass
from itertools import pairwise

from pyrotorque.bus.heartbeats import HeartbeatSubscriber
from pyrotorque.layout import SERVICES, Layout

_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Hurt:
    """Who was the target of a fault, and when; CLOCK_MONOTONIC seconds."""

    services: frozenset[str]
    since: float
    until: float


class Ears:
    """`with Ears(layout) as ears:` listens from a thread of its own."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._beats: dict[tuple[str, int], list[float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ears", daemon=True)

    def __enter__(self) -> "Ears":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def longest_silence(self, hurts: list[Hurt]) -> tuple[float, str]:
        """Seconds between two heartbeats of one process that nobody hurt meanwhile, and whose."""
        silences = [
            (later - earlier, service)
            for (service, _), times in self._beats.items()
            for earlier, later in pairwise(times)
            if not any(service in hurt.services and hurt.since < later and earlier < hurt.until for hurt in hurts)
        ]
        return max(silences, default=(0.0, "nobody"))

    def _run(self) -> None:
        ears = {service: HeartbeatSubscriber(self._layout, service) for service in SERVICES}
        try:
            while not self._stop.wait(_EVERY):
                now = time.monotonic()
                for service, ear in ears.items():
                    for pid in {beat.pid for beat in ear.receive()}:
                        self._beats.setdefault((service, pid), []).append(now)
        finally:
            for ear in ears.values():
                ear.close()
