"""What the queues would start next, asked of the scheduler only while somebody looks at the status page."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from pyrotorque.bus import ask
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, ExplainQueue

FRESH: Final = 15.0
PATIENCE: Final = 3.0
AGAIN_AFTER: Final = 8.0


class Peek:
    """Gives what is known at once and asks in the background, so that the page never waits for the scheduler."""

    def __init__(
        self,
        explain: Callable[[], Answer],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._explain, self._clock = explain, clock
        self._lock = threading.Lock()
        self._asked_at = self._answered_at = float("-inf")
        self._asking = False
        self._queues: dict[str, dict[str, Any]] = {}

    @classmethod
    def at_scheduler(cls, layout: Layout) -> "Peek":
        return cls(lambda: ask(layout, "scheduler", ExplainQueue(), PATIENCE))

    def look(self) -> None:
        """Ask in the background, unless that was done just now."""
        with self._lock:
            now = self._clock()
            if not self._asking and now - self._asked_at >= AGAIN_AFTER:
                self._asked_at, self._asking = now, True
                threading.Thread(target=self._ask, name="peek", daemon=True).start()

    def queues(self) -> dict[str, dict[str, Any]] | None:
        """What each queue last explained, by its job; nothing where that is too long ago, None while it is asked."""
        with self._lock:
            if self._clock() - self._answered_at < FRESH:
                return dict(self._queues)
            return None if self._asking else {}

    def _ask(self) -> None:
        try:
            answer = self._explain()
        except ServiceUnreachable:
            answer = Answer(ok=False, text="")
        with self._lock:
            self._asking = False
            if answer.ok and isinstance(answer.data, list):
                self._queues = {str(one["job"]): one for one in answer.data if isinstance(one, dict) and "job" in one}
                self._answered_at = self._clock()
