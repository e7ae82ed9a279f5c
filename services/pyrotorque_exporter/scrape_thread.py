"""Concurrent requests for the same groups share one scrape; one scrape runs after another, in a thread."""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pyrotorque_exporter.admission import PENDING_MAX, Groups, RegularChoices, displaced
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.scrape import Scraper

log = logging.getLogger(__name__)

FRESH: Final = 1.0
"""Seconds for which a finished scrape is reused."""
LARGE: Final = 1 << 20

# The scrape of all groups goes first, then the regular ones, then the first of each client: many requests for different
# groups must not delay those of Prometheus.
_ALL, _REGULAR, _OTHER = 0, 1, 2


class SharedScrape:
    """A scrape that all requests for the same groups wait for; `result` is None until it has finished."""

    def __init__(self, groups: Groups, deadline: float, client: str = "", *, is_regular: bool = False) -> None:
        self.groups, self.deadline = groups, deadline
        self.client, self.is_regular = client, is_regular
        self.result: Exposition | None = None
        self.has_begun = False
        self.is_refused = False
        """It gave its place to the scrape of another client."""
        self.finished_at = 0.0

    @property
    def is_pending(self) -> bool:
        return self.result is None and not self.is_refused

    def serves(self, deadline: float, now: float) -> bool:
        """Whether it has the time that a request with this deadline gives it: one with a short deadline is cut off."""
        if self.result is not None and self.finished_at < self.deadline:
            return True
        return self.deadline - now >= (deadline - now) / 2


class ScrapeThread:
    """Runs one scrape after another; calls `on_finished` from its thread after each."""

    def __init__(
        self, scraper: Scraper, on_finished: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._scraper, self._on_finished, self._clock = scraper, on_finished, clock
        self._lock = threading.Lock()
        self._scrapes: dict[Groups, SharedScrape] = {}
        self._regular = RegularChoices()
        self._pending: queue.PriorityQueue[tuple[int, int, int, SharedScrape | None]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        # A daemon: a call to an rTorrent that hangs must not delay the end of the service.
        self._thread = threading.Thread(target=self._run, name="scrape", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._pending.put((_ALL, -1, 0, None))

    def request(self, groups: Groups, deadline: float, client: str = "") -> SharedScrape | None:
        """The pending or fresh scrape of `groups`, else a new one; None if too many are pending.

        The scrape of all groups (none given) and those of regular choices are always accepted; the other places are
        shared between clients. A scrape that another client's short deadline cuts off is not shared: in it rTorrent
        counts as unavailable. At most one waits for each choice of groups.
        """
        with self._lock:
            now = self._clock()
            self._scrapes = {
                key: scrape
                for key, scrape in self._scrapes.items()
                if scrape.is_pending or (scrape.result is not None and now - scrape.finished_at < FRESH)
            }
            if groups:
                self._regular.requested(groups, now)
            shared = self._scrapes.get(groups)
            if shared is not None and not shared.has_begun:
                shared.deadline = max(shared.deadline, deadline)
            if shared is not None and shared.serves(deadline, now):
                return shared
            is_regular = bool(groups) and self._regular.include(groups)
            if groups and shared is None and not is_regular and not self._has_place(client):
                return None
            scrape = SharedScrape(groups, deadline, client, is_regular=is_regular)
            self._put(scrape)
            self._scrapes[groups] = scrape
            return scrape

    def _others(self) -> list[SharedScrape]:
        """The pending scrapes that have no place of their own."""
        return [each for each in self._scrapes.values() if each.is_pending and each.groups and not each.is_regular]

    def _has_place(self, client: str) -> bool:
        """Whether one more may be pending, perhaps in the place of one of another client, which is refused."""
        others = self._others()
        if len(others) < PENDING_MAX:
            return True
        loser = displaced(others, client)
        if loser is None:
            return False
        loser.is_refused = True
        del self._scrapes[loser.groups]
        return True

    def _put(self, scrape: SharedScrape) -> None:
        first = _OTHER if scrape.groups and not scrape.is_regular else _REGULAR if scrape.groups else _ALL
        # Clients take turns: the second scrape of one comes after the first of each other one.
        turn = sum(each.client == scrape.client for each in self._others()) if first == _OTHER else 0
        self._pending.put((first, turn, next(self._numbers), scrape))

    def _run(self) -> None:
        while (scrape := self._pending.get()[-1]) is not None:
            with self._lock:
                if scrape.is_refused:
                    continue
                scrape.has_begun = True
            try:
                result = self._scraper.scrape(scrape.groups, scrape.deadline)
            except Exception:
                # This thread must survive; an empty exposition is answered with status 500.
                log.exception("unexpected error: a scrape could not be rendered")
                result = Exposition(b"")
            with self._lock:
                scrape.finished_at, scrape.result = self._clock(), result
            self._on_finished()
            if len(result.plain) > LARGE:
                _return_freed_memory()


def _return_freed_memory() -> None:
    """Return freed memory to the kernel (malloc_trim(3)): a scrape of 10,000 items leaves 30 MB behind."""
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
