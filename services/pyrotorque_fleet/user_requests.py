"""Answers the requests of this group's user: find, claims, why, release, events; answers of the fleet arrive later."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyrotorque.bus import PendingRequest
from pyrotorque.fleet_requests import FindInFleet, ListClaims, ListFleetEvents, ReleaseClaim, WhyClaim
from pyrotorque.requests import Answer
from pyrotorque.text import counted
from pyrotorque_fleet.availability import FleetAvailability
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim
from pyrotorque_fleet.exchange import LinkError, StoredEvent
from pyrotorque_fleet.link import Link
from pyrotorque_fleet.messages import BadValue, Question, decode_found, decode_refusal, encode
from pyrotorque_fleet.placement import Placement

_ANSWERS_WITHIN: Final = 2.0
_ANSWERS_MAX: Final = 1000
_TEXT_MAX: Final = 256
_CLAIMS_MAX: Final = 500
_EVENTS_MAX: Final = 200
_PENDING_MAX: Final = 100


@dataclass
class _Pending:
    """A request of this group's user, and what the fleet answers."""

    request: PendingRequest
    answers: "Future[Any]"
    finish: Callable[[Any], Answer]


@dataclass
class UserRequests:
    """`bad_value` counts answers that are not valid."""

    wake: Callable[[], None]
    bad_value: Callable[[], None]
    table: ClaimTable
    _pending: list[_Pending] = field(default_factory=list["_Pending"])
    _present: Callable[[], list[str]] = field(default=list)

    def answer(
        self,
        pending: PendingRequest,
        link: Link | None,
        placement: Placement | None,
        nats: FleetAvailability,
        now: float,
    ) -> None:
        """Answer now, or when the fleet has answered. `now` is CLOCK_MONOTONIC."""
        request = pending.request
        if isinstance(request, ListClaims):
            pending.answer(self._claims(request))
            return
        if link is None or placement is None or not nats.server:
            pending.answer(Answer(ok=False, text=f"the fleet is unavailable: {nats.reason or 'not connected'}"))
            return
        match request:
            case FindInFleet(text=text):
                question = encode(Question(text=text[:_TEXT_MAX]))
                self._wait(pending, link.ask_all(question, _ANSWERS_WITHIN), self._found)
            case WhyClaim(info_hash=info_hash):
                known = self.table.get(info_hash.upper())
                question = encode(Question(kind="why", text=info_hash[:40].upper()))
                expected = len(self._present())
                self._wait(
                    pending, link.ask_all(question, _ANSWERS_WITHIN, expected), lambda bodies: self._why(known, bodies)
                )
            case ListFleetEvents(after=after, limit=limit):
                count = max(1, min(limit, _EVENTS_MAX))
                self._wait(pending, link.events_after(max(after, -count), count), _events)
            case ReleaseClaim(info_hash=info_hash):
                placement.release(info_hash.upper(), pending.answer, now)
            case _:
                pending.answer(Answer(ok=False, text="the fleet process does not support this request"))

    def _wait(self, pending: PendingRequest, answers: "Future[Any]", finish: Callable[[Any], Answer]) -> None:
        if len(self._pending) >= _PENDING_MAX:
            pending.answer(Answer(ok=False, text="too many requests wait for the fleet"))
            return
        answers.add_done_callback(lambda _: self.wake())
        self._pending.append(_Pending(pending, answers, finish))

    def finish(self, present: Callable[[], list[str]]) -> None:
        """Answer what the fleet has answered; `present` returns the names of the groups that are there."""
        self._present = present
        for each in [each for each in self._pending if each.answers.done()]:
            self._pending.remove(each)
            try:
                answer = each.finish(each.answers.result())
            except LinkError as error:
                answer = Answer(ok=False, text=f"the fleet is unavailable: {error}")
            except Exception as error:
                answer = Answer(ok=False, text=f"the fleet did not answer: {type(error).__name__}")
            each.request.answer(answer)

    def _found(self, bodies: list[bytes]) -> Answer:
        found: list[dict[str, Any]] = []
        for body in bodies[:_ANSWERS_MAX]:
            try:
                found.append(msgspec.to_builtins(decode_found(body)))
            except BadValue:
                self.bad_value()
        answered = {each["group"] for each in found}
        return Answer(ok=True, text="", data={"answers": found, "silent": sorted(set(self._present()) - answered)})

    def _why(self, known: tuple[int, Claim] | None, bodies: list[bytes]) -> Answer:
        reasons: dict[str, str] = {}
        for body in bodies[:_ANSWERS_MAX]:
            try:
                refusal = decode_refusal(body)
            except BadValue:
                self.bad_value()
                continue
            reasons[refusal.group] = refusal.reason
        claim = None if known is None else msgspec.to_builtins(known[1])
        silent = sorted(set(self._present()) - reasons.keys())
        return Answer(ok=True, text="", data={"claim": claim, "reasons": reasons, "silent": silent})

    def _claims(self, request: ListClaims) -> Answer:
        limit = max(1, min(request.limit, _CLAIMS_MAX))
        found = [msgspec.to_builtins(claim) for _, claim in self.table.newest(request.state, limit)]
        return Answer(ok=True, text=counted(len(found), "claim"), data={"claims": found, "counts": self.table.counts()})


def _events(found: list[StoredEvent]) -> Answer:
    """Each with the name of its group; what is not JSON is left out."""
    events: list[dict[str, Any]] = []
    for each in found:
        try:
            event = json.loads(each.body)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            # REALM.events.GROUP.SERVICE: the servers let no group write under the name of another one.
            events.append({**event, "from": each.subject.split(".")[-2] if each.subject.count(".") >= 2 else ""})
    last = found[-1].sequence if found else None
    return Answer(ok=True, text="", data={"events": events, "last": last})
