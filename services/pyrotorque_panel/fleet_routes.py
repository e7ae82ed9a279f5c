"""The fleet in the panel: the page with its groups and a search in all of them, and the same as JSON."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pyrotorque.errors import PyrotorqueError, ServiceUnreachable
from pyrotorque.fleet_requests import FindInFleet, ListClaims
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, DescribeService, Request
from pyrotorque.stored_configuration import last_good
from pyrotorque_panel.api_types import ItemName, Word
from pyrotorque_panel.cleaning import cleaned
from pyrotorque_panel.exchange import NotFound, PanelRequest, PanelResponse, PanelRoute, QueryParameter

_TIMEOUT: Final = 3.0
_SEARCH_TIMEOUT: Final = 6.0
"""Seconds; groups have two to answer."""
_TEXT_MAX: Final = 256
CLAIM_STATES: Final = ("offered", "assigned", "granted", "done", "failed", "withdrawn")
_CLAIMS_SHOWN: Final = 50
_CLAIMS_MAX: Final = 500


class FleetGroups(msgspec.Struct, frozen=True, kw_only=True):
    """All groups, this one first, as they were last seen; `reason` is why NATS is not reached, else empty."""

    connected: bool
    reason: str
    groups: list[dict[str, Any]]


class FleetItems(msgspec.Struct, frozen=True, kw_only=True):
    """What each group found, and the groups that did not answer."""

    answers: list[dict[str, Any]]
    silent: list[str]


class FleetClaims(msgspec.Struct, frozen=True, kw_only=True):
    """Which group has which metafile, the newest change first, and the number of claims in each state."""

    claims: list[dict[str, Any]]
    counts: dict[str, int]


Ask = Callable[[Layout, str, Request, float], Answer]


def has_fleet(layout: Layout) -> bool:
    """Whether the group belongs to a fleet, by the configuration in force."""
    settings = last_good(layout)
    return settings is not None and bool(settings.fleet.servers)


class FleetView:
    """Asks the fleet process of this group.

    Each call raises NotFound in a group without a fleet, and ServiceUnreachable while the process does not answer.
    """

    def __init__(self, layout: Layout, ask: Ask) -> None:
        self._layout, self._ask = layout, ask

    def groups(self) -> FleetGroups:
        found = self._answer(DescribeService(), _TIMEOUT)
        return FleetGroups(
            connected=bool(found.get("connected")), reason=str(found.get("reason", "")), groups=found.get("groups", [])
        )

    def find(self, text: str) -> FleetItems:
        """Items with this info-hash, or with this text in their name."""
        found = self._answer(FindInFleet(text=text[:_TEXT_MAX]), _SEARCH_TIMEOUT)
        answers = sorted(found.get("answers", []), key=lambda each: str(each.get("group")))
        return FleetItems(answers=answers, silent=found.get("silent", []))

    def claims(self, state: str, limit: int) -> FleetClaims:
        """Those in `state`; all for an empty one."""
        found = self._answer(ListClaims(state=state, limit=limit), _TIMEOUT)
        return FleetClaims(claims=found.get("claims", []), counts=found.get("counts", {}))

    def _answer(self, request: Request, timeout: float) -> Mapping[str, Any]:
        if not has_fleet(self._layout):
            raise NotFound("this group belongs to no fleet: see fleet.servers")
        answer = self._ask(self._layout, "fleet", request, timeout)
        if not answer.ok:
            raise ServiceUnreachable(str(cleaned(answer.text)))
        data: Any = cleaned(answer.data)
        return data if isinstance(data, dict) else {}


ViewOf = Callable[[PanelRequest], FleetView]
"""The fleet of the group in the address of a request."""
Show = Callable[..., PanelResponse]
"""Renders a template: the request, its name, the title of the page, values."""
MakePage = Callable[[str, Callable[[PanelRequest], PanelResponse]], PanelRoute]
MakeCall = Callable[[str, Callable[[PanelRequest], Any], str, Any, Sequence[QueryParameter]], PanelRoute]


def fleet_pages(view_of: ViewOf, group: str, page: MakePage, show: Show) -> list[PanelRoute]:
    """The page, below the path of the group."""

    def respond(request: PanelRequest) -> PanelResponse:
        view, text = view_of(request), request.query.get("find", "").strip()
        groups = FleetGroups(connected=False, reason="", groups=[])
        found = FleetItems(answers=[], silent=[])
        claims = FleetClaims(claims=[], counts={})
        state = request.query.get("state", "")
        problem = ""
        try:
            groups = view.groups()
            claims = view.claims(state if state in CLAIM_STATES else "", _CLAIMS_SHOWN)
            if not groups.connected:
                problem = f"The fleet is unavailable: {groups.reason or 'connecting'}"
            elif text:
                found = view.find(text)
        except PyrotorqueError as error:
            problem = str(error)
        return show(
            request, "fleet.html", "Fleet", groups=groups.groups, problem=problem, text=text, found=found,
            claims=claims,
            live=not text,
        )  # fmt: skip

    return [page(f"{group}/fleet", respond)]


def fleet_api(view_of: ViewOf, group: str, call: MakeCall) -> list[PanelRoute]:
    """The same as JSON."""
    name = QueryParameter("name", "its name, a part of it, or its info-hash", ItemName, required=True)
    return [
        call(f"{group}/fleet", lambda request: view_of(request).groups(), "The groups of the fleet", FleetGroups, ()),
        call(
            f"{group}/fleet/items",
            lambda request: view_of(request).find(request.query["name"]),
            "Items of all groups of the fleet",
            FleetItems,
            [name],
        ),
        call(
            f"{group}/fleet/claims",
            lambda request: view_of(request).claims(request.query.get("state", ""), _CLAIMS_MAX),
            "Which group has which metafile of the fleet, the newest change first",
            FleetClaims,
            [QueryParameter("state", "only in this state, such as `offered`", Word)],
        ),
    ]
