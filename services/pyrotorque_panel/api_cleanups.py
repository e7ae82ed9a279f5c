"""Calls of the API about clean-ups: their plans, approvals, and what they have moved to quarantine."""

from pyrotorque_panel.api_parameters import decoded
from pyrotorque_panel.api_routing import GROUP, ApiRouting
from pyrotorque_panel.api_types import Approval, CleanupList, QuarantineList
from pyrotorque_panel.exchange import PanelRequest, PanelRoute


def cleanup_routes(make: ApiRouting) -> list[PanelRoute]:
    """Previewed, approved, restored."""
    view, actions = make.view, make.actions

    def approve(request: PanelRequest) -> str:
        return actions(request).approve(request.who, request.params["job"], decoded(request, Approval).plan)

    return [
        make.get(
            f"{GROUP}/cleanups",
            lambda r: CleanupList(plans=view(r).cleanups()),
            "What each clean-up job would remove now",
            CleanupList,
        ),
        make.post(
            f"{GROUP}/cleanups/{{job}}/approve",
            approve,
            "Let a clean-up job carry out the plan that waits",
            Approval,
        ),
        make.get(
            f"{GROUP}/quarantine",
            lambda r: QuarantineList(entries=view(r).quarantine()),
            "What clean-up jobs have moved to quarantine",
            QuarantineList,
        ),
        make.post(
            f"{GROUP}/quarantine/{{entry}}/restore",
            lambda r: actions(r).restore(r.who, r.params["entry"]),
            "Restore an entry with its data",
        ),
    ]
