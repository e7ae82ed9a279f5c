"""Asks all groups for items, for a user of this group, and answers the same request of other groups."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from pyrotorque.bus import PendingRequest
from pyrotorque.requests import Answer
from pyrotorque_fleet.exchange import LinkError
from pyrotorque_fleet.messages import BadValue, Question, decode_found, encode

log = logging.getLogger(__name__)

_ANSWERS_WITHIN: Final = 2.0
_ANSWERS_MAX: Final = 1000
_TEXT_MAX: Final = 256


class SearchLink(Protocol):
    """The part of the link that is needed here."""

    def ask_all(self, payload: bytes, timeout: float) -> Future[list[bytes]]: ...


@dataclass
class _Search:
    """A request of this group's user, and the answers of all groups, which arrive later."""

    request: PendingRequest
    answers: "Future[list[bytes]]"


@dataclass
class FleetSearches:
    """The searches that are not answered yet; `bad_value` counts answers that are not valid."""

    wake: Callable[[], None]
    bad_value: Callable[[], None]
    _searches: list[_Search] = field(default_factory=list["_Search"])

    def begin(self, pending: PendingRequest, text: str, link: SearchLink) -> None:
        """Ask all groups for items with this info-hash, or with this text in their name."""
        answers = link.ask_all(encode(Question(text=text[:_TEXT_MAX])), _ANSWERS_WITHIN)
        answers.add_done_callback(lambda _: self.wake())
        self._searches.append(_Search(pending, answers))

    def finish(self, present: Callable[[], list[str]]) -> None:
        """Answer those whose groups had their time; `present` returns the names of the groups that are there."""
        for search in [each for each in self._searches if each.answers.done()]:
            self._searches.remove(search)
            search.request.answer(self._answer(search, present))

    def _answer(self, search: _Search, present: Callable[[], list[str]]) -> Answer:
        try:
            bodies = search.answers.result()
        except LinkError as error:
            return Answer(ok=False, text=f"the fleet is unavailable: {error}")
        found: list[dict[str, Any]] = []
        for body in bodies[:_ANSWERS_MAX]:
            try:
                found.append(msgspec.to_builtins(decode_found(body)))
            except BadValue:
                self.bad_value()
        answered = {each["group"] for each in found}
        return Answer(ok=True, text="", data={"answers": found, "silent": sorted(set(present()) - answered)})
