"""Sessions, tokens, the password and login links: who a request is from. Only hashes of secrets are kept."""

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from pyrotorque.passwords import password_matches
from pyrotorque_panel.logins import Clock, LoginLimit, LoginLinks, digest, network_of

Scope = Literal["read", "act"]

SESSION_IDLE: Final = 14 * 86_400.0
SESSION_MAX: Final = 90 * 86_400.0
SESSIONS_MAX: Final = 200
TOKENS_MAX: Final = 100
PASSWORD_MAX: Final = 1024
CLOCK_SET: Final = 1_767_225_600.0
"""2026-01-01: a clock that shows an earlier time was not set since the machine started."""


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
    ended: list[str] = []
    """The newest keys of sessions that have ended by themselves: their browsers are known."""
    tokens: list[PanelToken] = []
    form_secret: str = ""
    """Makes the tokens of forms, together with a session: an open page outlives the process that made it."""


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

    def __init__(self, state: AccessState, save: Callable[[], None], clock: Clock = time.monotonic) -> None:
        self._state = state
        self._save = save
        self._lock = threading.RLock()
        self._links, self._limit = LoginLinks(clock), LoginLimit(clock)
        self._checking = threading.Lock()
        self.changed = not state.form_secret
        """Nothing has changed since the last save but times of use, or the secret of forms was made."""
        state.form_secret = state.form_secret or secrets.token_hex(32)
        self.on_change: Callable[[], None] = lambda: None
        """Called when sessions or tokens may have ended."""

    @property
    def form_secret(self) -> bytes:
        """The same for as long as sessions are."""
        return self._state.form_secret.encode()

    # -- sessions

    def session(self, secrets: Sequence[str], now: float) -> PanelSession | None:
        """The session of a cookie, of which a browser may send several; None if it has ended, or never was."""
        keys = {digest(secret) for secret in secrets}
        with self._lock:
            # Keys are hashes of random secrets: the time of a comparison reveals nothing.
            found = next((each for each in self._state.sessions if each.key in keys and not _is_over(each, now)), None)
            if found is None:
                return None
            if now < CLOCK_SET:
                return found
            # It began, or was used, while the clock was ahead: it becomes no older than others by that.
            found.created = min(_known(found.created, now), now)
            if abs(now - found.used) > 60.0:
                found.used, self.changed = now, True
            return found

    def sessions(self, now: float) -> list[PanelSession]:
        with self._lock:
            return [msgspec.structs.replace(each) for each in self._state.sessions if not _is_over(each, now)]

    def end_session(self, number: int) -> bool:
        with self._lock:
            kept = [each for each in self._state.sessions if each.number != number]
            is_known = len(kept) < len(self._state.sessions)
            self._state.sessions = kept
        self._changed()
        return is_known

    def log_out(self, key: str) -> None:
        """End a session in its own name: its browser stays known."""
        with self._lock:
            self._state.sessions = [each for each in self._state.sessions if each.key != key]
            self._keep_ended([key])
        self._changed()

    def end_all_sessions(self) -> int:
        """End all sessions, and login links that another person may have seen; the number of sessions."""
        with self._lock:
            count = len(self._state.sessions)
            self._state.sessions, self._state.ended = [], []
            self._state.form_secret = secrets.token_hex(32)
            self._links.end_all()
        self._changed()
        return count

    def is_current(self, identity: PanelIdentity, now: float) -> bool:
        """Whether the session or token of an identity has not ended since it was admitted."""
        with self._lock:
            if identity.session:
                return any(each.key == identity.session and not _is_over(each, now) for each in self._state.sessions)
            return not identity.token or any(each.key == identity.token for each in self._state.tokens)

    def _changed(self) -> None:
        """After each change of sessions and tokens: end what has lost its permission, and store the change."""
        self.on_change()
        self._save()

    def _keep_ended(self, keys: Sequence[str]) -> None:
        self._state.ended = [*self._state.ended, *keys][-SESSIONS_MAX:]

    def _begin_session(self, address: str, browser: str, now: float) -> str:
        secret = secrets.token_urlsafe(32)
        state = self._state
        session = PanelSession(
            key=digest(secret), number=state.next_number, created=now, used=now, address=address, browser=browser[:200]
        )
        live = [each for each in state.sessions if not _is_over(each, now)]
        kept = sorted(live, key=lambda each: each.used)[-SESSIONS_MAX + 1 :]
        self._keep_ended([each.key for each in state.sessions if each not in kept])
        state.sessions = [*kept, session]
        state.next_number += 1
        return secret

    # -- logins

    def make_link(self) -> str:
        """The secret of a link that works once within ten minutes."""
        return self._links.make()

    def login_by_link(self, secret: str, address: str, browser: str, now: float) -> str | None:
        """The secret of a new session; None if the link is used up, too old, or never was."""
        if not self._links.use(secret):
            return None
        with self._lock:
            session = self._begin_session(address, browser, now)
        self._changed()
        return session

    def login_by_password(
        self, password: str, address: str, browser: str, now: float, cookies: Sequence[str] = ()
    ) -> str | None:
        """The secret of a new session; None for a wrong password, or without one. Raises TooManyFailures.

        `cookies` are those of earlier sessions: a browser that has logged in before has a limit of its own.
        """
        with self._lock:
            stored, known = self._state.password, self._known_browser(cookies)
            networks = {network_of(each.address) for each in self._state.sessions if not _is_over(each, now)}
        succeeded = self._limit.take(address, known, networks)
        # One at a time: a check needs 32 MiB.
        with self._checking:
            is_right = password_matches(password[:PASSWORD_MAX], stored) and bool(stored)
        with self._lock:
            if not is_right or stored != self._state.password:
                return None
            session = self._begin_session(address, browser, now)
        succeeded()
        self._changed()
        return session

    def _known_browser(self, cookies: Sequence[str]) -> str:
        """The key of a session that one of these cookies is of, or was until it ended by itself; else empty."""
        keys = {digest(secret) for secret in cookies}
        known = (*(each.key for each in self._state.sessions), *self._state.ended)
        return next((key for key in known if key in keys), "")

    @property
    def is_unused(self) -> bool:
        """Whether no one has logged in, and there is no password."""
        return self._state.next_number == 1 and not self._state.password

    @property
    def has_password(self) -> bool:
        return bool(self._state.password)

    def set_password(self, stored: str) -> None:
        """`stored` is from `password_hash`; empty removes it. All sessions and login links end."""
        with self._lock:
            self._state.password = stored
        self.end_all_sessions()

    # -- tokens

    def token(self, secret: str, now: float) -> PanelToken | None:
        with self._lock:
            key = digest(secret)
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
            self._state.tokens = [*others, PanelToken(key=digest(secret), name=name, scope=scope, created=now)]
        self._changed()
        return secret

    def remove_token(self, name: str) -> bool:
        with self._lock:
            kept = [each for each in self._state.tokens if each.name != name]
            is_known = len(kept) < len(self._state.tokens)
            self._state.tokens = kept
        self._changed()
        return is_known

    def snapshot(self) -> bytes:
        """What is to be stored."""
        with self._lock:
            self.changed = False
            return msgspec.json.encode(self._state)


def _is_over(session: PanelSession, now: float) -> bool:
    # A clock that was set back makes no session younger than it is.
    idle, age = now - _known(session.used, now), now - _known(session.created, now)
    return idle > SESSION_IDLE or age > SESSION_MAX


def _known(at: float, now: float) -> float:
    """`at`, or `now` if the clock was not set at that time."""
    return at if at >= CLOCK_SET else now
