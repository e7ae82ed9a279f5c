"""A request as handlers get it, after the gate, and what they return."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pyrotorque_panel.access import PanelIdentity
from pyrotorque_panel.gate import Kind

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"


@dataclass(frozen=True)
class Upload:
    """A file of a form."""

    name: str
    content: bytes


@dataclass(frozen=True)
class PanelRequest:
    """An admitted request; `body` is the decoded JSON of an API call."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    identity: PanelIdentity | None
    address: str
    is_https: bool
    form: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    body: Any = None
    files: Sequence[Upload] = ()

    @property
    def who(self) -> PanelIdentity:
        """The identity of a route that needs one."""
        assert self.identity is not None
        return self.identity

    def value(self, name: str) -> str:
        """The first value of a field of the form; empty without one."""
        return next(iter(self.form.get(name, ())), "")


@dataclass(frozen=True)
class PanelResponse:
    """A complete response; `stream` names a live stream instead of a body."""

    body: bytes = b""
    status: int = 200
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    stream: Literal["", "events", "live"] = ""
    since: int = 0
    types: Sequence[str] = ()


Handler = Callable[[PanelRequest], PanelResponse]


@dataclass(frozen=True)
class PanelRoute:
    """One method of one path: who may call it, and its entry in the OpenAPI document."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    kind: Kind
    scope: Literal["none", "read", "act"]
    handler: Handler
    body_max: int = 64 << 10
    summary: str = ""
    answer: Any = None
    body: Any = None
    query: Sequence["QueryParameter"] = ()


@dataclass(frozen=True)
class QueryParameter:
    """A parameter of a query: `kind` is a type with its limits."""

    name: str
    text: str
    kind: Any
    required: bool = False


class NotFound(Exception):
    """There is no such thing; the message is for people."""


def redirect(target: str, **headers: str) -> PanelResponse:
    """Show another page, which is fetched with GET."""
    return PanelResponse(status=303, headers={"Location": target, **headers})
