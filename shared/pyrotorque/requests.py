"""Requests to a service: structs in the imperative, answered over its request socket.

A request is one JSON object tagged by `type`, an answer is an `Answer`; both travel over the service's ROUTER
(`Layout.requests_endpoint`). Its first frame distinguishes replays (`replay`) from requests (`ask`): see
`pyrotorque.bus.wire`.
"""

from typing import Any, Literal

import msgspec

from pyrotorque.text import encode_json


class RequestBase(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all requests."""


class ActionRequest(RequestBase, frozen=True, kw_only=True, tag=True):
    """Base of the requests that change something: `by` is who sent it, for the event `ActionTaken`."""

    by: str = ""

    @property
    def action(self) -> str:
        """The word for it in the event."""
        return ACTIONS[type(self)]

    @property
    def target(self) -> str:
        """What it is about: a job, an info-hash, or paths."""
        return ""


class PauseJob(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: do not run this job until it is resumed; kept over restarts."""

    job: str

    @property
    def target(self) -> str:
        return self.job


class ResumeJob(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: resume a paused job."""

    job: str

    @property
    def target(self) -> str:
        return self.job


class RunJob(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: run this job now, once."""

    job: str

    @property
    def target(self) -> str:
        return self.job


class StartTorrent(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: start this item now, regardless of the queue's limits."""

    info_hash: str

    @property
    def target(self) -> str:
        return self.info_hash


class StopTorrent(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: stop and close this item; no queue starts it again before its owner does."""

    info_hash: str
    job: str | None = None
    """The queue that would start it again; by default the one that started it, else the first."""

    @property
    def target(self) -> str:
        return self.info_hash


class ParkTorrent(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: stop and close this item; its queue may start it again after `seconds`."""

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


class RetryMetafiles(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Watcher: load these failed or baseline metafiles; no paths means all of them."""

    paths: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return ", ".join(self.paths) or "all"


class ForgetMetafiles(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Watcher: these failed metafiles count as known, and are loaded only when they change or are retried."""

    paths: tuple[str, ...]

    @property
    def target(self) -> str:
        return ", ".join(self.paths)


class ListMetafiles(RequestBase, frozen=True, kw_only=True, tag=True):
    """Watcher: the metafiles in its ledger, in the order in which they were seen, those after `after` first."""

    state: str = ""
    after: int = 0
    limit: int = 200
    newest: bool = False
    """The newest first, those before `after` if it is given."""


class RecordAction(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Scheduler: store the event of an action that the sender has carried out."""

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


class SetPanelPassword(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: the hash of a new password, empty for none; all sessions end."""

    stored: str


class MakePanelToken(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: a new token of the API, instead of an earlier one of this name."""

    name: str
    scope: Literal["read", "act"]

    @property
    def target(self) -> str:
        return self.name


class RemovePanelToken(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: this token is no longer valid."""

    name: str

    @property
    def target(self) -> str:
        return self.name


class EndPanelSessions(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Panel: log out all browsers."""


class SettledOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a metafile that was offered to the fleet, named by its row in the ledger."""

    turn: int
    token: str
    state: Literal["placed", "duplicate", "failed"]
    group: str = ""
    reason: str = ""


class SettleOffers(RequestBase, frozen=True, kw_only=True, tag=True):
    """Watcher: record what became of these; the answer has in `settled` how many were offers."""

    offers: tuple[SettledOffer, ...]


class PermitLoads(RequestBase, frozen=True, kw_only=True, tag=True):
    """Watcher: the fleet gave these items of the inbox to this group; the answer has the info-hashes without a row."""

    info_hashes: tuple[str, ...]


class DiscardLoads(RequestBase, frozen=True, kw_only=True, tag=True):
    """Watcher: erase these items of the inbox if they are still held; the answer has, by info-hash, why one is not."""

    info_hashes: tuple[str, ...]


class FindInFleet(RequestBase, frozen=True, kw_only=True, tag=True):
    """Fleet: ask all groups of the fleet for items with this info-hash, or this text in their name."""

    text: str


class ListClaims(RequestBase, frozen=True, kw_only=True, tag=True):
    """Fleet: the claims on metafiles, the newest change first; those in `state`, if it is not empty."""

    state: str = ""
    limit: int = 100


class WhyClaim(RequestBase, frozen=True, kw_only=True, tag=True):
    """Fleet: ask all groups why they do not take the metafile with this info-hash."""

    info_hash: str


class ListFleetEvents(RequestBase, frozen=True, kw_only=True, tag=True):
    """Fleet: events of all groups after this number of the stream; negative: so many of the newest."""

    after: int = -20
    limit: int = 100


class ReleaseClaim(ActionRequest, frozen=True, kw_only=True, tag=True):
    """Fleet: take the metafile with this info-hash from its group, although that may have started it."""

    info_hash: str

    @property
    def target(self) -> str:
        return self.info_hash


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

ACTIONS: dict[type[ActionRequest], str] = {
    PauseJob: "pause",
    ResumeJob: "resume",
    RunJob: "run",
    StartTorrent: "start",
    AcceptRTorrent: "accept-rtorrent",
    RetryMetafiles: "retry",
    StopTorrent: "stop",
    ParkTorrent: "park",
    ForgetMetafiles: "forget",
    RecordAction: "record",
    ReleaseClaim: "fleet-release",
    MakeLoginLink: "login-link",
    SetPanelPassword: "password",
    MakePanelToken: "token",
    RemovePanelToken: "token-remove",
    EndPanelSessions: "end-sessions",
}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`ok`: whether it was done; `text`: one line about what happened; `data`: details as plain JSON values."""

    ok: bool
    text: str = ""
    data: Any = None


_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_answer_decoder = msgspec.json.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    """The JSON of a request or an answer; lone surrogates in texts are escaped, not an error."""
    return encode_json(message)


def decode_request(body: bytes) -> Request:
    """Raises msgspec.DecodeError on anything that is not a request."""
    return _request_decoder.decode(body)


def decode_answer(body: bytes) -> Answer:
    """Raises msgspec.DecodeError on anything that is not an answer."""
    return _answer_decoder.decode(body)
