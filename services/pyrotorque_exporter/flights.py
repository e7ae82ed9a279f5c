"""One thread that collects: scrapes that ask for the same groups at the same time share one flight."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pyrotorque_exporter.exposition import Exposition, render
from pyrotorque_exporter.scrape import Scraper

log = logging.getLogger(__name__)

FRESH: Final = 1.0
WAITING_MAX: Final = 8
LARGE: Final = 1 << 20


class Flight:
    """One collection of some groups; `result` is there when it has landed."""

    def __init__(self, wanted: frozenset[str], deadline: float) -> None:
        self.wanted, self.deadline = wanted, deadline
        self.result: Exposition | None = None
        self.landed_at = 0.0


class Flights:
    """Starts flights; `landed` is called from the collecting thread after each."""

    def __init__(
        self, scraper: Scraper, landed: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._scraper, self._landed, self._clock = scraper, landed, clock
        self._lock = threading.Lock()
        self._flights: dict[frozenset[str], Flight] = {}
        self._waiting: queue.SimpleQueue[Flight | None] = queue.SimpleQueue()
        # A daemon: a call to a hung rTorrent must not delay the end of the service.
        self._thread = threading.Thread(target=self._collect, name="collect", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._waiting.put(None)

    def board(self, wanted: frozenset[str], deadline: float) -> Flight | None:
        """The flight for `wanted` that is under way or landed just now, else a new one; None when too many wait."""
        with self._lock:
            now = self._clock()
            self._flights = {
                key: flight
                for key, flight in self._flights.items()
                if flight.result is None or now - flight.landed_at < FRESH
            }
            known = self._flights.get(wanted)
            if known is not None:
                return known
            if sum(flight.result is None for flight in self._flights.values()) >= WAITING_MAX:
                return None
            flight = self._flights[wanted] = Flight(wanted, deadline)
            self._waiting.put(flight)
            return flight

    def _collect(self) -> None:
        while (flight := self._waiting.get()) is not None:
            try:
                result = render(self._scraper.scrape(flight.wanted, flight.deadline))
            except Exception:
                # Nothing may end this thread; an empty exposition is answered as an error.
                log.exception("a scrape could not be rendered")
                result = Exposition(b"")
            with self._lock:
                flight.landed_at, flight.result = self._clock(), result
            self._landed()
            if len(result.plain) > LARGE:
                _give_back_memory()


def _give_back_memory() -> None:
    """Return freed memory to the kernel (malloc_trim(3)): a scrape of 10,000 items leaves 30 MB of it behind."""
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
