"""Counts calls to rTorrent, their bytes, durations and failures, for the exporter."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

Failure: TypeAlias = Literal["connect", "timeout", "reset", "fault", "parse", "too_large", "permission"]

FAILURES: Final[tuple[Failure, ...]] = get_args(Failure)

# Seconds: from a cheap getter on an idle machine (0.1 ms) to the longest deadline in use.
BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(slots=True)
class Durations:
    """A histogram: `buckets` has one count per bound of BOUNDS and a last one for what took longer; not cumulative."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self.count += 1


@dataclass(slots=True)
class CallStats:
    """Absolute totals since the client was created; requests and durations by label (default: the method)."""

    requests: dict[str, int] = field(default_factory=dict[str, int])
    failures: dict[Failure, int] = field(default_factory=lambda: dict.fromkeys(FAILURES, 0))
    retries: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    durations: dict[str, Durations] = field(default_factory=dict[str, Durations])
    parse_durations: dict[str, Durations] = field(default_factory=dict[str, Durations])

    def requested(self, label: str, size: int) -> None:
        self.requests[label] = self.requests.get(label, 0) + 1
        self.request_bytes += size

    def finished(self, label: str, seconds: float) -> None:
        """The duration of connect, send, wait and read, successful or not."""
        self.durations.setdefault(label, Durations()).add(seconds)

    def parsed(self, label: str, seconds: float) -> None:
        self.parse_durations.setdefault(label, Durations()).add(seconds)

    def failed(self, reason: Failure) -> None:
        self.failures[reason] += 1
