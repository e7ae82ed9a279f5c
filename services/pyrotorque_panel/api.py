"""The JSON API: `/api/v1`. Times are Unix seconds, sizes bytes, names as in docs/events.md."""

import time
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyrotorque.actions import watched_folders
from pyrotorque_panel.api_parameters import decoded, hash_of, named, require_query, thinned
from pyrotorque_panel.api_types import (
    BODY_MAX,
    UPLOAD_MAX,
    Approval,
    CleanupList,
    Done,
    EventPage,
    Explanation,
    FolderList,
    GroupList,
    GroupTile,
    Hours,
    ItemName,
    JobList,
    MagnetAddition,
    MetafileAddition,
    MetafilePage,
    NeedList,
    Number,
    ParkingTime,
    Paths,
    QuarantineList,
    QueueList,
    Series,
    ServiceList,
    UnixTime,
    Word,
    Words,
)
from pyrotorque_panel.exchange import JSON, NotFound, PanelRequest, PanelResponse, PanelRoute, QueryParameter
from pyrotorque_panel.fleet_routes import fleet_api
from pyrotorque_panel.group_choice import GroupChoice
from pyrotorque_panel.group_view import GroupView
from pyrotorque_panel.panel_actions import PanelActions

PREFIX: Final = "/api/v1"
_EVENTS_MAX: Final = 200


@dataclass(frozen=True)
class PanelApi:
    """The handlers; each is called in a thread."""

    groups: GroupChoice
    document: Callable[[], bytes]

    def routes(self) -> list[PanelRoute]:
        group, jobs, items = f"{PREFIX}/groups/{{group}}", "jobs/{job}", "items/{info_hash}"
        get, post = self._get, self._post
        return [
            get(f"{PREFIX}/groups", self._groups, "All groups of this panel", GroupList),
            get(group, self._tile, "One group in a few values, for tiles and sensors", GroupTile),
            get(f"{group}/needs", self._needs, "What needs a person, the worst first", NeedList),
            get(f"{group}/jobs", self._jobs, "All jobs, with the end of the last run and the next one", JobList),
            get(f"{group}/{jobs}", self._job, "One job", dict[str, Any]),
            post(f"{group}/{jobs}/pause", lambda r: self._actions(r).pause(r.who, r.params["job"]), "Pause a job"),
            post(f"{group}/{jobs}/resume", lambda r: self._actions(r).resume(r.who, r.params["job"]), "Resume a job"),
            post(f"{group}/{jobs}/run", lambda r: self._actions(r).run(r.who, r.params["job"]), "Run a job now"),
            get(f"{group}/queues", self._queues, "Slots, hold, running and next items of each queue", QueueList),
            get(f"{group}/queues/{{job}}", self._queue, "One queue", dict[str, Any]),
            get(
                f"{group}/items",
                self._explain_name,
                "Why the item with this name is started or not",
                Explanation,
                query=[QueryParameter("name", "its name, a part of it, or its info-hash", ItemName, required=True)],
            ),
            get(f"{group}/{items}", self._explain_hash, "Why an item is started or not", Explanation),
            post(f"{group}/{items}/start", lambda r: self._actions(r).start(r.who, hash_of(r)), "Start an item now"),
            post(f"{group}/{items}/stop", lambda r: self._actions(r).stop(r.who, hash_of(r)), "Stop an item"),
            post(
                f"{group}/{items}/park",
                lambda r: self._actions(r).park(r.who, hash_of(r), decoded(r, ParkingTime).seconds),
                "Stop an item for some time",
                ParkingTime,
            ),
            get(
                f"{group}/metafiles",
                self._metafiles,
                "Metafiles, newest first, 200 a page",
                MetafilePage,
                query=[
                    QueryParameter("state", "only in this state, such as `failed`", Word),
                    QueryParameter("after", "`next` of the page before", Number),
                ],
            ),
            post(
                f"{group}/metafiles",
                self._add,
                "Add a metafile, as base64, to a watched folder, by default the first root",
                MetafileAddition,
                body_max=UPLOAD_MAX,
            ),
            post(f"{group}/magnets", self._add_magnet, "Add a magnet link to a watched folder", MagnetAddition),
            get(f"{group}/folders", self._folders, "The watched folders, where metafiles can be added", FolderList),
            post(
                f"{group}/metafiles/retry",
                lambda r: self._actions(r).retry(r.who, decoded(r, Paths).paths),
                "Load metafiles again",
                Paths,
            ),
            post(
                f"{group}/metafiles/forget",
                lambda r: self._actions(r).forget(r.who, decoded(r, Paths).paths),
                "No longer list metafiles as failed",
                Paths,
            ),
            get(
                f"{group}/events",
                self._events,
                "The newest events first; with `Accept: text/event-stream` new ones as they happen",
                EventPage,
                query=[
                    QueryParameter("since", "Unix seconds: those from then on, oldest first", UnixTime),
                    QueryParameter("type", "types, separated by commas", Words),
                ],
            ),
            get(
                f"{group}/series",
                self._series,
                "Speeds and counts of rTorrent over time",
                Series,
                query=[QueryParameter("hours", "how far back", Hours)],
            ),
            get(f"{group}/cleanups", self._cleanups, "What each clean-up job would remove now", CleanupList),
            post(
                f"{group}/cleanups/{{job}}/approve",
                lambda r: self._actions(r).approve(r.who, r.params["job"], decoded(r, Approval).plan),
                "Let a clean-up job carry out the plan that waits",
                Approval,
            ),
            get(f"{group}/quarantine", self._quarantine, "What clean-up jobs have moved to quarantine", QuarantineList),
            post(
                f"{group}/quarantine/{{entry}}/restore",
                lambda r: self._actions(r).restore(r.who, r.params["entry"]),
                "Restore an entry with its data",
            ),
            *fleet_api(lambda r: self._view(r).fleet, group, get),
            get(f"{group}/services", self._services, "The processes of the group", ServiceList),
            post(
                f"{group}/services/{{service}}/restart",
                lambda r: self._actions(r).restart(r.who, r.params["service"]),
                "Restart a service",
            ),
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

    def _get(
        self,
        path: str,
        handler: Callable[[PanelRequest], Any],
        summary: str,
        answer: Any,
        query: Sequence[QueryParameter] = (),
    ) -> PanelRoute:
        checked = self._checked(handler, query)
        return PanelRoute("GET", path, "api", "read", checked, summary=summary, answer=answer, query=query)

    def _post(
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
        """The handler, for a group that this panel has, with checked parameters."""

        def respond(request: PanelRequest) -> PanelResponse:
            self.groups.of(request)
            for each in query:
                require_query(request, each)
            made = handler(request)
            if isinstance(made, PanelResponse):
                return made
            return PanelResponse(msgspec.json.encode(made), content_type=JSON)

        return respond

    def _view(self, request: PanelRequest) -> GroupView:
        return self.groups.of(request).view

    def _actions(self, request: PanelRequest) -> PanelActions:
        return self.groups.of(request).actions

    def _groups(self, _: PanelRequest) -> GroupList:
        return GroupList(groups=[tile_of(group.view) for group in self.groups.by_name.values()])

    def _tile(self, request: PanelRequest) -> GroupTile:
        return tile_of(self._view(request))

    def _needs(self, request: PanelRequest) -> NeedList:
        return NeedList(needs=self._view(request).overview(time.time())["needs"])

    def _jobs(self, request: PanelRequest) -> JobList:
        return JobList(jobs=self._view(request).jobs())

    def _job(self, request: PanelRequest) -> dict[str, Any]:
        return named(self._view(request).jobs(), request.params["job"], "job")

    def _queues(self, request: PanelRequest) -> QueueList:
        return QueueList(queues=self._view(request).queues())

    def _queue(self, request: PanelRequest) -> dict[str, Any]:
        return named(self._view(request).queues(), request.params["job"], "queue")

    def _explain_name(self, request: PanelRequest) -> Explanation:
        return self._explained(request, request.query["name"])

    def _explain_hash(self, request: PanelRequest) -> Explanation:
        return self._explained(request, hash_of(request))

    def _explained(self, request: PanelRequest, item: str) -> Explanation:
        answer = self._view(request).explain(item)
        if not answer.ok:
            raise NotFound(answer.text)
        return Explanation(text=answer.text, queues=list(answer.data or []))

    def _metafiles(self, request: PanelRequest) -> MetafilePage:
        after = int(request.query.get("after", "0"))
        found = self._view(request).metafiles(request.query.get("state", ""), after)
        return MetafilePage(metafiles=found["metafiles"], next=found["next"])

    def _add(self, request: PanelRequest) -> str:
        wanted: MetafileAddition = decoded(request, MetafileAddition)
        return self._actions(request).add(request.who, [b64decode(wanted.metafile)], "", wanted.folder)

    def _add_magnet(self, request: PanelRequest) -> str:
        wanted: MagnetAddition = decoded(request, MagnetAddition)
        return self._actions(request).add(request.who, [], wanted.magnet, wanted.folder)

    def _folders(self, request: PanelRequest) -> FolderList:
        return FolderList(folders=watched_folders(self._view(request).layout))

    def _events(self, request: PanelRequest) -> EventPage | PanelResponse:
        types = tuple(each for each in request.query.get("type", "").split(",") if each)
        if "text/event-stream" in request.headers.get("accept", ""):
            last = request.headers.get("last-event-id", "")
            since = int(last) if last.isdecimal() and len(last) < 18 else 0
            return PanelResponse(stream="events", since=since, types=types)
        if "since" in request.query:
            return EventPage(events=self._view(request).events.since(float(request.query["since"]), _EVENTS_MAX, types))
        return EventPage(events=self._view(request).events.newest(_EVENTS_MAX, types))

    def _series(self, request: PanelRequest) -> Series:
        hours = float(request.query.get("hours", "1"))
        return Series(
            points=thinned(
                [msgspec.to_builtins(each) for each in self._view(request).ring.since_time(time.time() - hours * 3600)]
            )
        )

    def _services(self, request: PanelRequest) -> ServiceList:
        return ServiceList(services=self._view(request).processes())

    def _cleanups(self, request: PanelRequest) -> CleanupList:
        return CleanupList(plans=self._view(request).cleanups())

    def _quarantine(self, request: PanelRequest) -> QuarantineList:
        return QuarantineList(entries=self._view(request).quarantine())

    def _openapi(self, _: PanelRequest) -> PanelResponse:
        return PanelResponse(self.document(), content_type=JSON)


def tile_of(view: GroupView) -> GroupTile:
    """A group in a few values."""
    found = view.overview(time.time())
    needs: Sequence[Mapping[str, Any]] = found["needs"]
    first = f"{needs[0]['subject']}: {needs[0]['reason']}" if needs else ""
    values = {name: found[name] for name in GroupTile.__struct_fields__ if name in found and name != "needs"}
    return GroupTile(**values, needs=len(needs), first_need=first)
