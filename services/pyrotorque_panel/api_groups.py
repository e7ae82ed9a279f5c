"""Calls of the API about a group: its tile, needs, disks, events, curve and services."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pyrotorque_panel.api_parameters import thinned
from pyrotorque_panel.api_routing import GROUP, PREFIX, ApiRouting
from pyrotorque_panel.api_types import (
    DiskList,
    EventPage,
    GroupList,
    GroupTile,
    Hours,
    NeedList,
    Series,
    ServiceList,
    UnixTime,
    Words,
)
from pyrotorque_panel.exchange import PanelRequest, PanelResponse, PanelRoute, QueryParameter
from pyrotorque_panel.group_view import GroupView

_EVENTS_MAX: Final = 200


def group_routes(make: ApiRouting) -> list[PanelRoute]:
    """What a group is like, and what happens and happened in it."""

    def groups(_: PanelRequest) -> GroupList:
        return GroupList(groups=[tile_of(group.view) for group in make.groups.by_name.values()])

    def needs(request: PanelRequest) -> NeedList:
        return NeedList(needs=make.view(request).overview(time.time())["needs"])

    return [
        make.get(f"{PREFIX}/groups", groups, "All groups of this panel", GroupList),
        make.get(GROUP, lambda r: tile_of(make.view(r)), "One group in a few values, for tiles and sensors", GroupTile),
        make.get(f"{GROUP}/needs", needs, "What needs a person, the worst first", NeedList),
        make.get(
            f"{GROUP}/disks",
            lambda r: DiskList(disks=make.view(r).disks()),
            "Room on the disks of items and watched folders",
            DiskList,
        ),
        make.get(
            f"{GROUP}/events",
            lambda r: _events(make.view(r), r),
            "The newest events first; with `Accept: text/event-stream` new ones as they happen",
            EventPage,
            query=[
                QueryParameter("since", "Unix seconds: those from then on, oldest first", UnixTime),
                QueryParameter("type", "types, separated by commas", Words),
            ],
        ),
        make.get(
            f"{GROUP}/series",
            lambda r: _series(make.view(r), float(r.query.get("hours", "1"))),
            "Speeds and counts of rTorrent over time",
            Series,
            query=[QueryParameter("hours", "how far back", Hours)],
        ),
    ]


def service_routes(make: ApiRouting) -> list[PanelRoute]:
    """The processes of a group."""
    return [
        make.get(
            f"{GROUP}/services",
            lambda r: ServiceList(services=make.view(r).processes()),
            "The processes of the group",
            ServiceList,
        ),
        make.post(
            f"{GROUP}/services/{{service}}/restart",
            lambda r: make.actions(r).restart(r.who, r.params["service"]),
            "Restart a service",
        ),
    ]


def tile_of(view: GroupView) -> GroupTile:
    """A group in a few values."""
    found = view.overview(time.time())
    needs: Sequence[Mapping[str, Any]] = found["needs"]
    first = f"{needs[0]['subject']}: {needs[0]['reason']}" if needs else ""
    values = {name: found[name] for name in GroupTile.__struct_fields__ if name in found and name != "needs"}
    return GroupTile(**values, needs=sum(need["count"] for need in needs), first_need=first)


def _events(view: GroupView, request: PanelRequest) -> EventPage | PanelResponse:
    types = tuple(each for each in request.query.get("type", "").split(",") if each)
    if "text/event-stream" in request.headers.get("accept", ""):
        last = request.headers.get("last-event-id", "")
        since = int(last) if last.isdecimal() and len(last) < 18 else 0
        return PanelResponse(stream="events", since=since, types=types)
    if "since" in request.query:
        return EventPage(events=view.events.since(float(request.query["since"]), _EVENTS_MAX, types))
    return EventPage(events=view.events.newest(_EVENTS_MAX, types))


def _series(view: GroupView, hours: float) -> Series:
    samples = view.ring.since_time(time.time() - hours * 3600)
    return Series(points=thinned([msgspec.to_builtins(each) for each in samples]))
