"""The groups of a panel by the name in an address, each with what is shown of it and what can be done to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyrotorque_panel.exchange import NotFound, PanelRequest
from pyrotorque_panel.group_view import GroupView
from pyrotorque_panel.panel_actions import PanelActions


@dataclass(frozen=True)
class ShownGroup:
    """One group."""

    view: GroupView
    actions: PanelActions

    @property
    def name(self) -> str:
        return self.view.name


class GroupChoice:
    """At least one group; the first is the panel's own."""

    def __init__(self, groups: Sequence[ShownGroup]) -> None:
        self.first = groups[0]
        self.by_name: Mapping[str, ShownGroup] = {group.name: group for group in groups}

    def changed(self, name: str) -> None:
        """Ask the services of a group again when it is looked at."""
        self.by_name[name].view.answers.forget_soon()

    def of(self, request: PanelRequest) -> ShownGroup:
        """The group in the address of a request, else the first. Raises NotFound."""
        name = request.params.get("group", self.first.name)
        if name not in self.by_name:
            raise NotFound("there is no such group")
        return self.by_name[name]
