"""What a login is tried with: links that work once, and the limit of failed passwords. Nothing here is stored."""

import hashlib
import ipaddress
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from pyrotorque.errors import PyrotorqueError

LINK_SECONDS: Final = 600.0
FAILURES_PER_CALLER: Final = 5
FAILURES_OF_UNKNOWN: Final = 20
_WINDOW: Final = 60.0
_LINKS_MAX: Final = 20
_CALLERS_MAX: Final = 1000

Clock = Callable[[], float]


class TooManyFailures(PyrotorqueError):
    """A password is not checked now: too many wrong ones were given by this caller, or by all unknown ones.

    `is_first` for one in a minute, which is worth a line of a log.
    """

    def __init__(self, is_first: bool) -> None:
        super().__init__("too many failed logins")
        self.is_first = is_first


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class LoginLinks:
    """`clock` is monotonic: a clock that is set makes no link work longer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def make(self) -> str:
        """The secret of a link that works once within ten minutes."""
        secret, now = secrets.token_urlsafe(24), self._clock()
        with self._lock:
            self._until = {key: until for key, until in self._until.items() if until > now}
            while len(self._until) >= _LINKS_MAX:
                del self._until[next(iter(self._until))]
            self._until[digest(secret)] = now + LINK_SECONDS
        return secret

    def use(self, secret: str) -> bool:
        """Whether it works; only once. Without a limit: 192 random bits are not guessed."""
        with self._lock:
            until = self._until.pop(digest(secret), None)
        return until is not None and self._clock() < until

    def end_all(self) -> None:
        with self._lock:
            self._until.clear()


class LoginLimit:
    """Five failures a minute of each caller, and twenty of all from networks without a session.

    A caller is a browser that has logged in before, else a network. Known browsers are counted apart, so others
    who try passwords, also from an address of this machine, do not lock out its owner.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}
        self._of_unknown: deque[float] = deque(maxlen=FAILURES_OF_UNKNOWN)
        self._reported = float("-inf")
        self._lock = threading.Lock()

    def take(self, address: str, known: str, networks: Collection[str] = ()) -> Callable[[], None]:
        """Count an attempt as a failure; the result takes that back. `known` is the key of a browser, or empty.

        `networks` are those with a session.

        Counted before it is checked: many at once must not pass together. Raises TooManyFailures.
        """
        now = self._clock()
        network = network_of(address)
        caller = f"browser {known}" if known else network
        with self._lock:
            own = self._failures.setdefault(caller, deque(maxlen=FAILURES_PER_CALLER))
            counts = [own] if known or network in networks else [own, self._of_unknown]
            if any(len(count) == count.maxlen and now - count[0] < _WINDOW for count in counts):
                is_first = now - self._reported >= _WINDOW
                self._reported = now if is_first else self._reported
                raise TooManyFailures(is_first)
            for count in counts:
                count.append(now)
            while len(self._failures) > _CALLERS_MAX:
                del self._failures[next(iter(self._failures))]

        def succeeded() -> None:
            with self._lock:
                for count in counts:
                    if now in count:
                        count.remove(now)

        return succeeded


def network_of(address: str) -> str:
    """Addresses that one caller has as many of as it likes are one: those of loopback, and a /64 of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return "loopback" if found.is_loopback else str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
        found = found.ipv4_mapped
    return "loopback" if found.is_loopback else str(found)
