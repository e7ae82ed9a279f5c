"""Decides about each request before any of its code runs: host, origin, session or token, scope, form token."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pyrotorque.hosts import address_of, host_of, is_own_host
from pyrotorque.settings.schema import PanelSettings
from pyrotorque.text import printable
from pyrotorque_panel.access import Access, PanelIdentity
from pyrotorque_panel.cookies import cookie_values

Kind = Literal["page", "api", "public"]
UNIX: Final = "unix"
PROXIED_SECONDS: Final = 600.0
"""Only the proxy knows when the session of its user has ended: a stream is requested again after this time."""
FORWARDED: Final = ("x-forwarded-for", "x-forwarded-proto")
"""Lists to which each proxy appends: only the last part is the word of the proxy that is trusted."""
_SAFE: Final = frozenset(("GET", "HEAD"))


@dataclass(frozen=True)
class RequestFacts:
    """What the gate needs of a request; header names are in lower case, `peer` is an address or `unix`."""

    method: str
    kind: Kind
    scope: Literal["none", "read", "act"]
    peer: str
    headers: Mapping[str, str]
    repeated: Sequence[str] = ()
    """Headers that arrived more than once."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is not served."""

    status: int
    text: str
    kind: str


@dataclass(frozen=True)
class Admission:
    """A request that may go on: `identity` is None for a route without login; `address` is the client's."""

    identity: PanelIdentity | None
    address: str
    is_https: bool


class Gate:
    """One decision for all routes; what no rule allows is refused."""

    def __init__(self, settings: PanelSettings, access: Access, cookie: str) -> None:
        self._settings = settings
        self._access = access
        self._cookie = cookie

    def admit(self, facts: RequestFacts, now: float) -> Admission | Refusal:
        if {"host", "authorization", "origin", "content-length"} & set(facts.repeated):
            return Refusal(400, "a header was sent twice", "bad_request")
        if {"content-length", "transfer-encoding"} <= set(facts.headers):
            return Refusal(400, "the length of the body was sent twice", "bad_request")
        if not is_own_host(facts.headers.get("host", ""), self._settings.hosts):
            host = host_of(facts.headers.get("host", "")) or "(none)"
            return Refusal(
                421, f"{host[:100]} is not a name of this panel: add it to panel.hosts in torque.ini", "host"
            )
        address, is_https = self._client(facts)
        admission = Admission(self._identity(facts, address, now), address, is_https)
        is_write = facts.method not in _SAFE
        # The API has no cookies that a page of another site could make a browser send.
        if is_write and facts.kind != "api" and not _is_same_origin(facts.headers):
            return Refusal(403, "the request came from another site", "origin")
        if facts.kind == "page" and not is_write and _is_embedded(facts.headers):
            return Refusal(403, "a page of another site may link to this one, and not load it", "embedded")
        if facts.kind == "public":
            return admission
        if admission.identity is None:
            return Refusal(401, "log in first, or send a valid token", "login")
        if facts.scope == "act":
            if not self._settings.actions:
                return Refusal(403, "panel.actions is False: this panel only shows", "actions")
            if admission.identity.scope != "act":
                return Refusal(403, f"{admission.identity.name} may only read", "scope")
        return admission

    def is_still_admitted(self, identity: PanelIdentity, seconds: float, now: float) -> bool:
        """Whether a stream that was admitted some seconds ago may go on; see `PROXIED_SECONDS`."""
        if not identity.session and not identity.token and seconds > PROXIED_SECONDS:
            return False
        return self._access.is_current(identity, now)

    def form_token(self, identity: PanelIdentity) -> str:
        """A secret that only pages of this panel have: another site cannot send it along."""
        who = identity.session or identity.name
        return hmac.new(self._access.form_secret, who.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    def is_form_token(self, identity: PanelIdentity, given: str) -> bool:
        return hmac.compare_digest(self.form_token(identity).encode(), given.encode("utf-8", "surrogatepass"))

    def _identity(self, facts: RequestFacts, address: str, now: float) -> PanelIdentity | None:
        given = facts.headers.get("authorization")
        if facts.kind == "api" and given is not None:
            word, _, secret = given.partition(" ")
            token = self._access.token(secret.strip(), now) if word.lower() == "bearer" else None
            return PanelIdentity(name=f"token {token.name}", scope=token.scope, token=token.key) if token else None
        if facts.kind == "api":
            return None  # never by cookie: a page of another site would send it along
        if self._settings.auth_header and self._is_trusted(facts.peer):
            name = facts.headers.get(self._settings.auth_header.lower(), "").strip(" \t")
            if name and self._settings.auth_header.lower() not in facts.repeated:
                return PanelIdentity(name=f"user {header_text(name)[:100]} ({address})", scope="act")
        session = self._access.session(cookie_values(facts.headers.get("cookie", ""), self._cookie), now)
        if session is None:
            return None
        return PanelIdentity(name=f"session {session.number} ({address})", scope="act", session=session.key)

    def _is_trusted(self, peer: str) -> bool:
        """The unix socket is reachable for those only whom its mode admits; loopback is every local user."""
        return peer == UNIX or address_of(peer) in self._settings.trusted_proxies

    def _client(self, facts: RequestFacts) -> tuple[str, bool]:
        if not self._is_trusted(facts.peer):
            return address_of(facts.peer) or facts.peer, False
        address, scheme = (facts.headers.get(name, "").rpartition(",")[2].strip() for name in FORWARDED)
        return address_of(address) or address_of(facts.peer) or facts.peer, scheme.lower() == "https"


def header_text(value: str) -> str:
    """The text of a header as people wrote it: its bytes are UTF-8 to browsers and proxies, Latin-1 to servers.

    `str.strip` would take parts of letters for spaces: the last byte of `à` is one in Latin-1.
    """
    return printable(value.encode("latin-1", "replace"))


def _is_same_origin(headers: Mapping[str, str]) -> bool:
    """Browsers send at least one of both headers with each POST; without them it is refused."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    scheme, separator, host = headers.get("origin", "").partition("://")
    return bool(separator) and scheme in ("http", "https") and host.lower() == headers.get("host", "").lower()


def _is_embedded(headers: Mapping[str, str]) -> bool:
    """Whether a page of another site loads ours as an image, a frame or by script: with our cookie, if it is on another
    port of the same host. It could read nothing, but have previews made and streams opened."""
    if headers.get("sec-fetch-site") not in ("same-site", "cross-site"):
        return False
    return headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest") != "document"
