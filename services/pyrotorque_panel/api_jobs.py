"""Calls of the API about jobs, queues and items."""

from typing import Any

from pyrotorque_panel.api_parameters import decoded, hash_of, named
from pyrotorque_panel.api_routing import GROUP, ApiRouting
from pyrotorque_panel.api_types import Explanation, ItemName, JobList, ParkingTime, QueueList
from pyrotorque_panel.exchange import NotFound, PanelRequest, PanelRoute, QueryParameter
from pyrotorque_panel.group_view import GroupView


def job_routes(make: ApiRouting) -> list[PanelRoute]:
    """Jobs, and those of them that are queues."""
    job = f"{GROUP}/jobs/{{job}}"
    view, actions = make.view, make.actions
    return [
        make.get(
            f"{GROUP}/jobs",
            lambda r: JobList(jobs=view(r).jobs()),
            "All jobs, with the end of the last run and the next one",
            JobList,
        ),
        make.get(job, lambda r: named(view(r).jobs(), r.params["job"], "job"), "One job", dict[str, Any]),
        make.post(f"{job}/pause", lambda r: actions(r).pause(r.who, r.params["job"]), "Pause a job"),
        make.post(f"{job}/resume", lambda r: actions(r).resume(r.who, r.params["job"]), "Resume a job"),
        make.post(f"{job}/run", lambda r: actions(r).run(r.who, r.params["job"]), "Run a job now"),
        make.get(
            f"{GROUP}/queues",
            lambda r: QueueList(queues=view(r).queues()),
            "Slots, hold, running and next items of each queue",
            QueueList,
        ),
        make.get(
            f"{GROUP}/queues/{{job}}",
            lambda r: named(view(r).queues(), r.params["job"], "queue"),
            "One queue",
            dict[str, Any],
        ),
    ]


def item_routes(make: ApiRouting) -> list[PanelRoute]:
    """Why an item is started or not, and what can be done with it."""
    item = f"{GROUP}/items/{{info_hash}}"
    view, actions = make.view, make.actions

    def park(request: PanelRequest) -> str:
        return actions(request).park(request.who, hash_of(request), decoded(request, ParkingTime).seconds)

    return [
        make.get(
            f"{GROUP}/items",
            lambda r: _explained(view(r), r.query["name"]),
            "Why the item with this name is started or not",
            Explanation,
            query=[QueryParameter("name", "its name, a part of it, or its info-hash", ItemName, required=True)],
        ),
        make.get(item, lambda r: _explained(view(r), hash_of(r)), "Why an item is started or not", Explanation),
        make.post(f"{item}/start", lambda r: actions(r).start(r.who, hash_of(r)), "Start an item now"),
        make.post(f"{item}/stop", lambda r: actions(r).stop(r.who, hash_of(r)), "Stop an item"),
        make.post(f"{item}/park", park, "Stop an item for some time", ParkingTime),
    ]


def _explained(view: GroupView, item: str) -> Explanation:
    answer = view.explain(item)
    if not answer.ok:
        raise NotFound(answer.text)
    return Explanation(text=answer.text, queues=list(answer.data or []))
