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
        self._queues: dict[str, dict[str, Any]] = {}

    @classmethod
    def at_scheduler(cls, layout: Layout) -> "Peek":
        return cls(lambda: ask(layout, "scheduler", ExplainQueue(), PATIENCE))

    def queues(self) -> dict[str, dict[str, Any]]:
        """What each queue last explained, by its job; nothing where that is too long ago."""
        with self._lock:
            now = self._clock()
            if now - self._asked_at >= AGAIN_AFTER:
                self._asked_at = now
                threading.Thread(target=self._ask, name="peek", daemon=True).start()
            return dict(self._queues) if now - self._answered_at < FRESH else {}

    def _ask(self) -> None:
        try:
            answer = self._explain()
        except ServiceUnreachable:
            return
        explained = answer.data if isinstance(answer.data, list) else []
        with self._lock:
            self._queues = {str(one["job"]): one for one in explained if isinstance(one, dict) and "job" in one}
            self._answered_at = self._clock()
