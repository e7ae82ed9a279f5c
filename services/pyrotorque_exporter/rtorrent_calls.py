"""The exporter's calls to rTorrent, each bounded by the deadline of the scrape."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from pyrotorque.errors import RTorrentError, RTorrentFault, RTorrentPermission, RTorrentUnavailable
from pyrotorque.rtorrent import CallStats, Identity, Value

CALL_NAMES: Final = ("ping", "system", "throttle", "views", "summary", "disks", "trackers", "items")
"""The values of the label `call` of the rpc metrics."""

CommandCall = tuple[str, Sequence[str]]
Results = Sequence[Value | RTorrentFault]
Rows = Sequence[tuple[str, ...]]


class RTorrentSource(Protocol):
    """The part of an rTorrent client that the exporter uses; `read_timeout` bounds each call."""

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
    """Calls rTorrent over two connections: `restricted` for what it allows untrusted clients, `full` for the rest."""

    def __init__(
        self, full: RTorrentSource, restricted: RTorrentSource, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._full, self._restricted, self._clock = full, restricted, clock
        self._deadline = clock()
        self.unavailable: RTorrentError | None = None
        self.incarnation = ""
        """Of the rTorrent that answered the last ping."""

    @property
    def stats(self) -> tuple[CallStats, CallStats]:
        """The call statistics of both connections."""
        return self._full.stats, self._restricted.stats

    def begin(self, deadline: float) -> None:
        """Start a scrape that must be finished at `deadline` (monotonic)."""
        self._deadline, self.unavailable = deadline, None

    def ping(self) -> Identity:
        """The identity of rTorrent; detects a restart, after which it may have other commands."""
        with self._within_deadline("ping", self._full):
            identity = self._full.identity()
        self.incarnation = identity.incarnation
        return identity

    def multicall(self, name: str, calls: Sequence[CommandCall], *, restricted: bool = False) -> Results:
        """The results of `calls` in one request; a fault takes the place of each result that rTorrent refused."""
        if not calls:
            return []
        source = self._restricted if restricted else self._full
        with self._within_deadline(name, source):
            return source.multicall(calls, label=name)

    def rows(self, name: str, view: str, commands: Sequence[str], *, where: str = "", restricted: bool = True) -> Rows:
        """One tuple of texts for each item of `view` (that passes the filter command `where`)."""
        source = self._restricted if restricted else self._full
        with self._within_deadline(name, source):
            return source.rows(view, commands, where=where, label=name)

    def known(self, command: str) -> bool:
        """Whether this rTorrent has `command`."""
        with self._within_deadline("ping", self._full):
            return self._full.known(command)

    @contextmanager
    def _within_deadline(self, name: str, source: RTorrentSource) -> Generator[None, None, None]:
        left = self._deadline - self._clock()
        if left <= 0:
            self.unavailable = DeadlinePassed(f"the scrape's deadline passed before the call {name}")
            raise self.unavailable
        source.read_timeout = left
        try:
            yield
        except (RTorrentUnavailable, RTorrentPermission) as error:
            self.unavailable = error
            raise
