"""The exporter's questions to rTorrent, each within the scrape's deadline."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from pyrotorque.errors import RTorrentError, RTorrentFault, RTorrentPermission, RTorrentUnavailable
from pyrotorque.rtorrent import CallStats, Identity, Value

CALL_NAMES: Final = ("ping", "system", "throttle", "views", "summary", "trackers", "items")

CommandCall = tuple[str, Sequence[str]]
Results = Sequence[Value | RTorrentFault]
Rows = Sequence[tuple[str, ...]]


class RTorrentSource(Protocol):
    """What the exporter needs of an rTorrent; `read_timeout` bounds each call."""

    read_timeout: float
    stats: CallStats

    def identity(self) -> Identity: ...
    def multicall(self, calls: Sequence[CommandCall], timeout: float | None = None, *, label: str = "") -> Results: ...
    def rows(
        self,
        view: str,
        commands: Sequence[str],
        *,
        where: str = "",
        timeout: float | None = None,
        label: str = "",
    ) -> Rows: ...
    def known(self, command: str) -> bool: ...


class DeadlinePassed(RTorrentUnavailable):
    """The scrape's deadline left no time for this call."""


class RTorrentCalls:
    """Asks one rTorrent over two connections: `restricted` for what it allows to strangers, `full` for the rest."""

    def __init__(
        self, full: RTorrentSource, restricted: RTorrentSource, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._full, self._restricted, self._clock = full, restricted, clock
        self._deadline = clock()
        self.unavailable: RTorrentError | None = None

    @property
    def stats(self) -> tuple[CallStats, CallStats]:
        """What the two connections counted."""
        return self._full.stats, self._restricted.stats

    def begin(self, deadline: float) -> None:
        """A new scrape begins, which has to be over at `deadline` (monotonic)."""
        self._deadline, self.unavailable = deadline, None

    def ping(self) -> Identity:
        """Who answers; notices a restart, after which rTorrent may know other commands."""
        with self._within("ping", self._full):
            return self._full.identity()

    def multicall(self, name: str, questions: Sequence[CommandCall], *, restricted: bool = False) -> Results:
        """All answers to `questions` in one request, a fault in the place of each answer that rTorrent refused."""
        if not questions:
            return []
        source = self._restricted if restricted else self._full
        with self._within(name, source):
            return source.multicall(questions, label=name)

    def rows(self, name: str, view: str, commands: Sequence[str], *, where: str = "") -> Rows:
        """One tuple of texts for each item of `view` (that passes the filter command `where`)."""
        with self._within(name, self._restricted):
            return self._restricted.rows(view, commands, where=where, label=name)

    def known(self, command: str) -> bool:
        with self._within("ping", self._full):
            return self._full.known(command)

    @contextmanager
    def _within(self, name: str, source: RTorrentSource) -> Generator[None, None, None]:
        left = self._deadline - self._clock()
        if left <= 0:
            self.unavailable = DeadlinePassed(f"the scrape's time was over before rTorrent was asked for {name}")
            raise self.unavailable
        source.read_timeout = left
        try:
            yield
        except (RTorrentUnavailable, RTorrentPermission) as error:
            self.unavailable = error
            raise
