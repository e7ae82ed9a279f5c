"""Makes the routes of the JSON API: each belongs to a group that this panel has, and has checked parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyrotorque_panel.api_parameters import require_query
from pyrotorque_panel.api_types import BODY_MAX, Done
from pyrotorque_panel.exchange import JSON, PanelRequest, PanelResponse, PanelRoute, QueryParameter
from pyrotorque_panel.group_choice import GroupChoice
from pyrotorque_panel.group_view import GroupView
from pyrotorque_panel.panel_actions import PanelActions

PREFIX: Final = "/api/v1"
GROUP: Final = f"{PREFIX}/groups/{{group}}"


@dataclass(frozen=True)
class ApiRouting:
    """`get` answers what its handler returns, `post` the sentence of an action."""

    groups: GroupChoice

    def view(self, request: PanelRequest) -> GroupView:
        return self.groups.of(request).view

    def actions(self, request: PanelRequest) -> PanelActions:
        return self.groups.of(request).actions

    def get(
        self,
        path: str,
        handler: Callable[[PanelRequest], Any],
        summary: str,
        answer: Any,
        query: Sequence[QueryParameter] = (),
    ) -> PanelRoute:
        checked = self._checked(handler, query)
        return PanelRoute("GET", path, "api", "read", checked, summary=summary, answer=answer, query=query)

    def post(
        self,
        path: str,
        action: Callable[[PanelRequest], str],
        summary: str,
        body: Any = None,
        body_max: int = BODY_MAX,
    ) -> PanelRoute:
        checked = self._checked(lambda request: Done(text=action(request)))
        return PanelRoute(
            "POST", path, "api", "act", checked, summary=summary, answer=Done, body=body, body_max=body_max
        )

    def _checked(
        self, handler: Callable[[PanelRequest], Any], query: Sequence[QueryParameter] = ()
    ) -> Callable[[PanelRequest], PanelResponse]:
        def respond(request: PanelRequest) -> PanelResponse:
            self.groups.of(request)
            for each in query:
                require_query(request, each)
            made = handler(request)
            if isinstance(made, PanelResponse):
                return made
            return PanelResponse(msgspec.json.encode(made), content_type=JSON)

        return respond
