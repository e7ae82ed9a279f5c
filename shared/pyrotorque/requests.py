"""Requests to a service: structs in the imperative, answered over its request socket.

A request is one JSON object tagged by `type`, an answer is an `Answer`; both travel over the service's ROUTER
(`Layout.requests_endpoint`). Its first frame distinguishes replays (`replay`) from requests (`ask`): see
`pyrotorque.bus.wire`.
"""

from typing import Any, ClassVar, Final, Literal, get_args

import msgspec

from pyrotorque.fleet_requests import (
    DiscardLoads,
    FindInFleet,
    ListClaims,
    ListFleetEvents,
    PermitLoads,
    ReleaseClaim,
    SettleOffers,
    WhyClaim,
)
from pyrotorque.json_input import JsonDecoder
from pyrotorque.request_base import ActionRequest, PathText, RequestBase, RowNumber
from pyrotorque.text import encode_json


class PauseJob(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: do not run this job until it is resumed; kept over restarts."""

    word: ClassVar[str] = "pause"
    job: str

    @property
    def target(self) -> str:
        return self.job


class ResumeJob(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: resume a paused job."""

    word: ClassVar[str] = "resume"
    job: str

    @property
    def target(self) -> str:
        return self.job


class RunJob(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: run this job now, once."""

    word: ClassVar[str] = "run"
    job: str

    @property
    def target(self) -> str:
        return self.job


class StartTorrent(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: start this item now, regardless of the queue's limits."""

    word: ClassVar[str] = "start"
    info_hash: str

    @property
    def target(self) -> str:
        return self.info_hash


class StopTorrent(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: stop and close this item; no queue starts it again before its owner does."""

    word: ClassVar[str] = "stop"
    info_hash: str
    job: str | None = None
    """The queue that would start it again; by default the one that started it, else the first."""

    @property
    def target(self) -> str:
        return self.info_hash


class ParkTorrent(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: stop and close this item; its queue may start it again after `seconds`."""

    word: ClassVar[str] = "park"
    info_hash: str
    seconds: float
    job: str | None = None

    @property
    def target(self) -> str:
        return self.info_hash


class ExplainQueue(RequestBase, frozen=True, kw_only=True, tag=True):
    """Scheduler: explain the queue's decisions, or those about `item` (info-hash or name)."""

    job: str | None = None
    item: str | None = None
    history: bool = False


class AcceptRTorrent(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: the rTorrent that answers now is the right one, although it is not the known one."""

    word: ClassVar[str] = "accept-rtorrent"


class RetryMetafiles(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Watcher: load these failed or baseline metafiles; no paths means all of them."""

    word: ClassVar[str] = "retry"
    paths: tuple[PathText, ...] = ()

    @property
    def target(self) -> str:
        return ", ".join(self.paths) or "all"


class ForgetMetafiles(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Watcher: these failed metafiles count as known, and are loaded only when they change or are retried."""

    word: ClassVar[str] = "forget"
    paths: tuple[PathText, ...]

    @property
    def target(self) -> str:
        return ", ".join(self.paths)


class ListMetafiles(RequestBase, frozen=True, kw_only=True, tag=True):
    """Watcher: the metafiles in its ledger, in the order in which they were seen, those after `after` first."""

    state: str = ""
    after: RowNumber = 0
    limit: int = 200
    newest: bool = False
    """The newest first, those before `after` if it is given."""


class RecordAction(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: store the event of an action that the sender has carried out."""

    word: ClassVar[str] = "record"
    done: str
    about: str
    ok: bool
    text: str

    @property
    def action(self) -> str:
        return self.done

    @property
    def target(self) -> str:
        return self.about


class MakeLoginLink(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: a link that logs in a browser, once within ten minutes."""

    word: ClassVar[str] = "login-link"


class SetPanelPassword(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: the hash of a new password, empty for none; all sessions end."""

    word: ClassVar[str] = "password"
    stored: str


class MakePanelToken(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: a new token of the API, instead of an earlier one of this name."""

    word: ClassVar[str] = "token"
    name: str
    scope: Literal["read", "act"]

    @property
    def target(self) -> str:
        return self.name


class RemovePanelToken(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: this token is no longer valid."""

    word: ClassVar[str] = "token-remove"
    name: str

    @property
    def target(self) -> str:
        return self.name


class EndPanelSessions(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: log out all browsers."""

    word: ClassVar[str] = "end-sessions"


class DescribeService(RequestBase, frozen=True, kw_only=True, tag=True):
    """Any service: its current state, as a mapping for `pyrotorque status`."""


Request = (
    PauseJob
    | ResumeJob
    | RunJob
    | StartTorrent
    | StopTorrent
    | ParkTorrent
    | ExplainQueue
    | AcceptRTorrent
    | RetryMetafiles
    | ForgetMetafiles
    | ListMetafiles
    | RecordAction
    | MakeLoginLink
    | SetPanelPassword
    | MakePanelToken
    | RemovePanelToken
    | EndPanelSessions
    | SettleOffers
    | PermitLoads
    | DiscardLoads
    | FindInFleet
    | ListClaims
    | WhyClaim
    | ListFleetEvents
    | ReleaseClaim
    | DescribeService
)

ACTIONS: Final[dict[type[ActionRequest], str]] = {
    kind: kind.word for kind in get_args(Request) if issubclass(kind, ActionRequest)
}
"""All requests that change something, with the name of the action."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`ok`: whether it was done; `text`: one line about what happened; `data`: details as plain JSON values.

    `wrong`: it was refused because it names something that does not exist, or has a value that is never accepted.
    """

    ok: bool
    text: str = ""
    data: Any = None
    wrong: bool = False


def wrong(text: str, data: Any = None) -> Answer:
    """The answer to a request that would be refused at any time."""
    return Answer(ok=False, text=text, data=data, wrong=True)


_request_decoder: JsonDecoder[Request] = JsonDecoder(Request)
_answer_decoder = JsonDecoder(Answer)


def encode(message: Request | Answer) -> bytes:
    """The JSON of a request or an answer; lone surrogates in texts are escaped, not an error."""
    return encode_json(message)


def decode_request(body: bytes) -> Request:
    """Raises msgspec.DecodeError on anything that is not a request."""
    return _request_decoder.decode(body)


def decode_answer(body: bytes) -> Answer:
    """Raises msgspec.DecodeError on anything that is not an answer."""
    return _answer_decoder.decode(body)
