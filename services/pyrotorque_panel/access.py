"""Sessions, tokens, the password and login links: who a request is from. Only hashes of secrets are kept."""

import hashlib
import hmac
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from pyrotorque.passwords import password_matches

Scope = Literal["read", "act"]

SESSION_IDLE: Final = 14 * 86_400.0
SESSION_MAX: Final = 90 * 86_400.0
LINK_SECONDS: Final = 600.0
SESSIONS_MAX: Final = 200
TOKENS_MAX: Final = 100
FAILURES_PER_ADDRESS: Final = 5
FAILURES_IN_ALL: Final = 20
_WINDOW: Final = 60.0
_LINKS_MAX: Final = 20
_ADDRESSES_MAX: Final = 1000
PASSWORD_MAX: Final = 1024


class PanelSession(msgspec.Struct, kw_only=True):
    """A login of a browser; `key` is the SHA-256 of the secret in its cookie."""

    key: str
    number: int
    created: float
    used: float
    address: str
    browser: str


class PanelToken(msgspec.Struct, kw_only=True):
    """A key of a program; `key` is the SHA-256 of its secret."""

    key: str
    name: str
    scope: Scope
    created: float
    used: float = 0.0


class AccessState(msgspec.Struct, kw_only=True):
    """What survives a restart."""

    password: str = ""
    """`salt$hash` in hexadecimal digits; empty: login by links only."""
    next_number: int = 1
    sessions: list[PanelSession] = []
    tokens: list[PanelToken] = []


class PanelIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a request is from, for audit events, and what it may do."""

    name: str
    scope: Scope
    session: str = ""
    """The key of the session; empty for a token or a user that a proxy has named."""
    token: str = ""
    """The key of the token; empty for the others."""


class Access:
    """Used by the threads of the web server and by the loop.

    `save` has the loop store a `snapshot` durably, before the caller gets a secret. It waits for the loop, so it is
    never called while the lock is held.
    """

    def __init__(self, state: AccessState, save: Callable[[], None]) -> None:
        self._state = state
        self._save = save
        self._lock = threading.RLock()
        self._links: dict[str, float] = {}
        self._failures: dict[str, deque[float]] = {}
        self._all_failures: deque[float] = deque(maxlen=FAILURES_IN_ALL)
        self._checking = threading.Lock()
        self.changed = False
        """Only times of use have changed since the last save."""

    # -- sessions

    def session(self, secrets: Sequence[str], now: float) -> PanelSession | None:
        """The session of a cookie, of which a browser may send several; None if it has ended, or never was."""
        keys = {_digest(secret) for secret in secrets}
        with self._lock:
            # Keys are hashes of random secrets: the time of a comparison reveals nothing.
            found = next((each for each in self._state.sessions if each.key in keys and not _is_over(each, now)), None)
            if found is None:
                return None
            if now - found.used > 60.0:
                found.used, self.changed = now, True
            return found

    def is_current(self, identity: PanelIdentity, now: float) -> bool:
        """Whether the session or token of an identity has not ended; a proxy answers for its users."""
        with self._lock:
            if identity.session:
                return any(each.key == identity.session and not _is_over(each, now) for each in self._state.sessions)
            return not identity.token or any(each.key == identity.token for each in self._state.tokens)

    def sessions(self, now: float) -> list[PanelSession]:
        with self._lock:
            return [msgspec.structs.replace(each) for each in self._state.sessions if not _is_over(each, now)]

    def end_session(self, number: int) -> bool:
        with self._lock:
            kept = [each for each in self._state.sessions if each.number != number]
            is_known = len(kept) < len(self._state.sessions)
            self._state.sessions = kept
        self._save()
        return is_known

    def _begin_session(self, address: str, browser: str, now: float) -> str:
        secret = secrets.token_urlsafe(32)
        state = self._state
        session = PanelSession(
            key=_digest(secret), number=state.next_number, created=now, used=now, address=address, browser=browser[:200]
        )
        live = [each for each in state.sessions if not _is_over(each, now)]
        state.sessions = [*sorted(live, key=lambda each: each.used)[-SESSIONS_MAX + 1 :], session]
        state.next_number += 1
        return secret

    # -- logins

    def make_link(self, now: float) -> str:
        """The secret of a link that works once within ten minutes."""
        with self._lock:
            self._links = {key: until for key, until in self._links.items() if until > now}
            while len(self._links) >= _LINKS_MAX:
                del self._links[next(iter(self._links))]
            secret = secrets.token_urlsafe(24)
            self._links[_digest(secret)] = now + LINK_SECONDS
            return secret

    def login_by_link(self, secret: str, address: str, browser: str, now: float) -> str | None:
        """The secret of a new session; None if the link is used up, too old, or never was."""
        with self._lock:
            # A clock that was set back makes no link older than it is.
            if not 0 < self._links.pop(_digest(secret), 0.0) - now <= LINK_SECONDS:
                return None
            session = self._begin_session(address, browser, now)
        self._save()
        return session

    def login_by_password(self, password: str, address: str, browser: str, now: float) -> str | None:
        """The secret of a new session; None for a wrong password, or without one."""
        with self._lock:
            stored = self._state.password
        # One at a time: a check needs 32 MiB.
        with self._checking:
            is_right = password_matches(password[:PASSWORD_MAX], stored) and bool(stored)
        with self._lock:
            if not is_right or stored != self._state.password:
                return None
            self._succeeded(address)
            session = self._begin_session(address, browser, now)
        self._save()
        return session

    def take_attempt(self, address: str, now: float) -> bool:
        """Count a try with a password; False after five that failed in a minute from its address, or twenty in all.

        Counted before it is checked: many at once must not pass together. An address that has a session is not locked
        out by others. A link is a secret of 192 bits: attempts with one are not limited, so that it always works.
        """
        with self._lock:
            recent = [at for at in self._failures.get(address, ()) if 0 <= now - at < _WINDOW]
            everyone = [at for at in self._all_failures if 0 <= now - at < _WINDOW]
            is_known = any(each.address == address and not _is_over(each, now) for each in self._state.sessions)
            if len(recent) >= FAILURES_PER_ADDRESS or (len(everyone) >= FAILURES_IN_ALL and not is_known):
                return False
            if len(self._failures) >= _ADDRESSES_MAX:
                del self._failures[next(iter(self._failures))]
            self._failures.setdefault(address, deque(maxlen=FAILURES_PER_ADDRESS)).append(now)
            self._all_failures.append(now)
            return True

    def _succeeded(self, address: str) -> None:
        """The newest attempt from this address was no failure."""
        for attempts in (self._failures.get(address), self._all_failures):
            if attempts:
                attempts.pop()

    @property
    def is_unused(self) -> bool:
        """Whether no one has logged in, and there is no password."""
        return self._state.next_number == 1 and not self._state.password

    @property
    def has_password(self) -> bool:
        return bool(self._state.password)

    def set_password(self, stored: str) -> None:
        """`stored` is from `password_hash`; empty removes it. All sessions end."""
        with self._lock:
            self._state.password, self._state.sessions = stored, []
            self._links.clear()
        self._save()

    def end_all(self) -> int:
        """End all sessions, and links that were not used; the number of sessions."""
        with self._lock:
            count, self._state.sessions = len(self._state.sessions), []
            self._links.clear()
        self._save()
        return count

    # -- tokens

    def token(self, secret: str, now: float) -> PanelToken | None:
        with self._lock:
            key = _digest(secret)
            found = next((each for each in self._state.tokens if hmac.compare_digest(each.key, key)), None)
            if found is not None and now - found.used > 60.0:
                found.used, self.changed = now, True
            return found

    def tokens(self) -> list[PanelToken]:
        with self._lock:
            return [msgspec.structs.replace(each) for each in self._state.tokens]

    def make_token(self, name: str, scope: Scope, now: float) -> str:
        """The secret of a new token, which replaces one of this name. Raises ValueError."""
        if not name.isprintable() or not 0 < len(name) <= 40:
            raise ValueError("the name of a token has 1 to 40 printable characters")
        with self._lock:
            others = [each for each in self._state.tokens if each.name != name]
            if len(others) >= TOKENS_MAX:
                raise ValueError(f"there are {TOKENS_MAX} tokens already: remove one first")
            secret = f"pyrotorque_{secrets.token_urlsafe(32)}"
            self._state.tokens = [*others, PanelToken(key=_digest(secret), name=name, scope=scope, created=now)]
        self._save()
        return secret

    def remove_token(self, name: str) -> bool:
        with self._lock:
            kept = [each for each in self._state.tokens if each.name != name]
            is_known = len(kept) < len(self._state.tokens)
            self._state.tokens = kept
        self._save()
        return is_known

    def snapshot(self) -> bytes:
        """What is to be stored."""
        with self._lock:
            self.changed = False
            return msgspec.json.encode(self._state)


def _is_over(session: PanelSession, now: float) -> bool:
    # A clock that was set back makes no session younger than it is.
    return now - session.used > SESSION_IDLE or now - session.created > SESSION_MAX


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
