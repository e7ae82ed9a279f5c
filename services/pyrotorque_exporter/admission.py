"""Which scrapes with `collect[]` may be pending, and in which order they run; nothing here waits.

While rTorrent hangs, each scrape lasts until its deadline. Without these rules, one client that requests many different
choices of groups would occupy all places, and the owner's Prometheus would get 503.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

PENDING_MAX: Final = 8
"""Different choices of groups that may be pending, apart from regular ones."""
REGULAR_MAX: Final = 8
REGULAR_AFTER: Final = 3
"""Different minutes in which a choice was requested."""
FORGOTTEN_AFTER: Final = 3600.0
"""Seconds without a request for a choice."""

Groups = frozenset[str]


class PendingScrape(Protocol):
    """A scrape that has no result yet; `client` requested it first."""

    @property
    def client(self) -> str: ...
    @property
    def has_begun(self) -> bool: ...


Pending = TypeVar("Pending", bound=PendingScrape)


def client_of(address: str) -> str:
    """Whose request it is: an IPv4 address, or the network of an IPv6 address, of which one client has many."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))


def displaced(pending: Iterable[Pending], client: str) -> Pending | None:
    """The scrape that gives its place to one of `client`: the newest of the client with the most; None if the places
    are shared fairly already. `pending` is in the order of the requests.
    """
    candidates = list(pending)
    counts = Counter(scrape.client for scrape in candidates)
    most = max(counts.values(), default=0)
    if most <= counts[client] + 1:
        return None
    waiting = [scrape for scrape in candidates if counts[scrape.client] == most and not scrape.has_begun]
    return waiting[-1] if waiting else None


class RegularChoices:
    """The choices of groups that are requested again and again, as by Prometheus: they are always accepted.

    At most `REGULAR_MAX`, those known for the longest time: later ones cannot crowd them out.
    """

    def __init__(self) -> None:
        # In the order of their first request; there are at most as many as combinations of groups.
        self._minutes: dict[Groups, int] = {}
        self._last: dict[Groups, float] = {}

    def requested(self, groups: Groups, now: float) -> None:
        """Record a request, accepted or not, at `now` (monotonic seconds)."""
        last = self._last.get(groups)
        if last is None or last // 60 != now // 60:
            self._forget(now)
            self._minutes[groups] = self._minutes.get(groups, 0) + 1
        self._last[groups] = now

    def include(self, groups: Groups) -> bool:
        """Whether `groups` is one of them."""
        if self._minutes.get(groups, 0) < REGULAR_AFTER:
            return False
        regular = [known for known, minutes in self._minutes.items() if minutes >= REGULAR_AFTER]
        return groups in regular[:REGULAR_MAX]

    def _forget(self, now: float) -> None:
        for known in [known for known, last in self._last.items() if now - last > FORGOTTEN_AFTER]:
            del self._minutes[known], self._last[known]
