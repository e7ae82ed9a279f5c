"""The JSON API: `/api/v1`. Times are Unix seconds, sizes bytes, names as in docs/events.md."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyrotorque_panel.api_cleanups import cleanup_routes
from pyrotorque_panel.api_groups import group_routes, service_routes
from pyrotorque_panel.api_jobs import item_routes, job_routes
from pyrotorque_panel.api_metafiles import metafile_routes
from pyrotorque_panel.api_routing import GROUP, PREFIX, ApiRouting
from pyrotorque_panel.exchange import JSON, PanelRequest, PanelResponse, PanelRoute
from pyrotorque_panel.fleet_routes import fleet_api
from pyrotorque_panel.group_choice import GroupChoice


@dataclass(frozen=True)
class PanelApi:
    """All calls, by what they are about; each handler runs in a thread. `document` is their description."""

    groups: GroupChoice
    document: Callable[[], bytes]

    def routes(self) -> list[PanelRoute]:
        make = ApiRouting(self.groups)
        return [
            *group_routes(make),
            *job_routes(make),
            *item_routes(make),
            *metafile_routes(make),
            *cleanup_routes(make),
            *fleet_api(lambda request: make.view(request).fleet, GROUP, make.get),
            *service_routes(make),
            PanelRoute(
                "GET",
                f"{PREFIX}/openapi.json",
                "api",
                "read",
                self._openapi,
                summary="This document",
                answer=dict[str, Any],
            ),
        ]

    def _openapi(self, _: PanelRequest) -> PanelResponse:
        return PanelResponse(self.document(), content_type=JSON)
