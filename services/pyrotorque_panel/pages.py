"""The pages of a group: they work without script, every button is a form, and every answer a page."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyrotorque.actions import folder_labels
from pyrotorque.errors import PyrotorqueError, ServiceUnreachable, StateError
from pyrotorque_panel import page_texts
from pyrotorque_panel.cleaning import cleaned_text
from pyrotorque_panel.exchange import NotFound, PanelRequest, PanelResponse, PanelRoute, redirect
from pyrotorque_panel.fleet_routes import fleet_pages
from pyrotorque_panel.group_choice import GroupChoice
from pyrotorque_panel.group_view import NEEDS_MAX
from pyrotorque_panel.page_renderer import PageRenderer
from pyrotorque_panel.panel_actions import PanelActions, outcome
from pyrotorque_panel.rendering import static_files
from pyrotorque_panel.transfer_chart import chart

GROUP: Final = "/g/{group}"
_LATELY: Final = 5
_BRIEF: Final = 6
"""Jobs, and items of a queue, on the first page."""
_EVENTS: Final = 200
_CURVE: Final = 3 * 3600.0
_PARKED: Final = 3600.0
_QUEUES_WITHIN: Final = 0.08
"""Seconds that the first page waits for the explanation of the queues; a script shows it when it is there."""
FORM_MAX: Final = 64 << 10
UPLOAD_MAX: Final = 17 << 20

Action = Callable[[PanelRequest, PanelActions], str]


@dataclass(frozen=True)
class Pages:
    """The handlers; each is called in a thread."""

    renderer: PageRenderer
    groups: GroupChoice
    api_routes: Sequence[PanelRoute] = ()
    _static: dict[str, tuple[bytes, str]] = field(default_factory=static_files)

    def routes(self) -> list[PanelRoute]:
        job, item = f"{GROUP}/jobs/{{job}}", f"{GROUP}/items/{{info_hash}}"
        page, form = self._page, self._form
        return [
            PanelRoute("GET", "/-/healthy", "public", "none", _healthy),
            PanelRoute("GET", "/static/{name}", "public", "none", self._static_file),
            page("/", lambda r: redirect(f"{self.renderer.home(r)}/")),
            page(f"{GROUP}/", self._overview),
            page(f"{GROUP}/queue", self._queue, "Queue", live=True),
            page(f"{GROUP}/items", self._item),
            page(f"{GROUP}/metafiles", self._metafiles),
            page(f"{GROUP}/metafiles/add", self._add),
            form(
                f"{GROUP}/metafiles/add",
                lambda r, act: act.add(r.who, r.files, r.value("magnet"), r.value("folder")),
                UPLOAD_MAX,
            ),
            page(f"{GROUP}/cleanup", self._cleanup),
            form(
                f"{GROUP}/cleanup/{{job}}/approve",
                lambda r, act: act.approve(r.who, r.params["job"], r.value("plan")),
            ),
            form(f"{GROUP}/quarantine/restore", lambda r, act: act.restore(r.who, r.value("entry"))),
            page(f"{GROUP}/jobs", self._jobs, "Jobs", live=True),
            page(f"{GROUP}/events", self._events),
            *fleet_pages(lambda r: self.groups.of(r).view.fleet, GROUP, page, self.renderer.show),
            page(f"{GROUP}/live", lambda _: PanelResponse(stream="live")),
            page("/api", self._api),
            form(f"{job}/pause", lambda r, act: act.pause(r.who, r.params["job"])),
            form(f"{job}/resume", lambda r, act: act.resume(r.who, r.params["job"])),
            form(f"{job}/run", lambda r, act: act.run(r.who, r.params["job"])),
            form(f"{item}/start", lambda r, act: act.start(r.who, r.params["info_hash"])),
            form(f"{item}/stop", lambda r, act: act.stop(r.who, r.params["info_hash"])),
            form(f"{item}/park", lambda r, act: act.park(r.who, r.params["info_hash"], _PARKED)),
            form(f"{GROUP}/metafiles/retry", lambda r, act: act.retry(r.who, r.form.get("path", ()))),
            form(f"{GROUP}/metafiles/forget", lambda r, act: act.forget(r.who, r.form.get("path", ()))),
            form(f"{GROUP}/services/{{service}}/restart", lambda r, act: act.restart(r.who, r.params["service"])),
        ]

    def _page(
        self, path: str, handler: Callable[[PanelRequest], PanelResponse], name: str = "Overview", *, live: bool = False
    ) -> PanelRoute:
        """While what it shows is away, the reason is in its place, with tabs, sentence of an action, and stream.

        Its status is 200: a script replaces no page by an answer of 500 or more, which would leave the old one there.
        """

        def respond(request: PanelRequest) -> PanelResponse:
            self.groups.of(request)
            try:
                return handler(request)
            except (ServiceUnreachable, StateError) as error:
                problem = cleaned_text(str(error))
                return self.renderer.show(request, "away.html", name, problem=problem, live=live)

        return PanelRoute("GET", path, "page", "read", respond)

    def _form(self, path: str, action: Action, body_max: int = FORM_MAX) -> PanelRoute:
        def respond(request: PanelRequest) -> PanelResponse:
            actions = self.groups.of(request).actions
            return self.renderer.done(request, lambda: outcome(lambda: action(request, actions)))

        return PanelRoute("POST", path, "page", "act", respond, body_max=body_max)

    def _overview(self, request: PanelRequest) -> PanelResponse:
        now, view = time.time(), self.groups.of(request).view
        found = view.overview(now, queues_within=_QUEUES_WITHIN)
        events = [page_texts.event_row(event) for event in view.events.newest(_LATELY)]
        curve = chart(view.ring.since_time(now - _CURVE), now - _CURVE, now)
        sentence = page_texts.verdict(found["needs"])
        return self.renderer.show(
            request, "overview.html", "Overview", title=sentence, verdict=sentence, found=found, events=events,
            chart=curve, folders=view.ring.folders, brief=_BRIEF, needs_max=NEEDS_MAX, back="/", live=True,
        )  # fmt: skip

    def _queue(self, request: PanelRequest) -> PanelResponse:
        queues = self.groups.of(request).view.queues()
        return self.renderer.show(request, "queue.html", "Queue", queues=queues, back="/queue", live=True)

    def _item(self, request: PanelRequest) -> PanelResponse:
        view = self.groups.of(request).view
        item = request.query.get("item", "").strip()
        queues: list[Any] = []
        problem = ""
        if item:
            try:
                answer = view.explain(item)
                queues, problem = (list(answer.data or []), "") if answer.ok else ([], answer.text)
            except ServiceUnreachable as error:
                problem = str(error)
        return self.renderer.show(
            request, "item.html", "Queue", title="Why not?", item=item, queues=queues, problem=problem
        )

    def _metafiles(self, request: PanelRequest) -> PanelResponse:
        view = self.groups.of(request).view
        after, state = request.query.get("after", "0"), request.query.get("state", "")
        number = int(after) if after.isdecimal() and len(after) < 18 else 0
        found: dict[str, Any] = {"metafiles": [], "next": None}
        counts, problem = {}, ""
        try:
            counts = view.watcher().get("metafiles", {})
            found = view.metafiles(state, number)
        except PyrotorqueError as error:
            problem = str(error)
        return self.renderer.show(
            request, "metafiles.html", "Metafiles", rows=found["metafiles"], next=found["next"], counts=counts,
            state=state, problem=problem, back="/metafiles", live=not number,
        )  # fmt: skip

    def _add(self, request: PanelRequest) -> PanelResponse:
        folders = folder_labels(self.groups.of(request).view.layout)
        return self.renderer.show(request, "add.html", "Metafiles", title="Add a metafile", folders=folders)

    def _cleanup(self, request: PanelRequest) -> PanelResponse:
        view = self.groups.of(request).view
        plans, problem = _known(view.cleanups)
        entries, _ = _known(view.quarantine)
        jobs, _ = _known(view.jobs)
        paused = {job["job"] for job in jobs if job.get("paused")}
        return self.renderer.show(
            request, "cleanup.html", "Clean-up", plans=plans, problem=problem, entries=entries, paused=paused,
            running={job["job"] for job in jobs} - paused,
        )  # fmt: skip

    def _jobs(self, request: PanelRequest) -> PanelResponse:
        return self.renderer.show(request, "jobs.html", "Jobs", jobs=self.groups.of(request).view.jobs(), live=True)

    def _events(self, request: PanelRequest) -> PanelResponse:
        events = [page_texts.event_row(event) for event in self.groups.of(request).view.events.newest(_EVENTS)]
        return self.renderer.show(request, "events.html", "Events", events=events, live=True)

    def _api(self, request: PanelRequest) -> PanelResponse:
        return self.renderer.show(request, "api.html", "API", routes=self.api_routes)

    def _static_file(self, request: PanelRequest) -> PanelResponse:
        if request.params["name"] not in self._static:
            raise NotFound("there is no such file")
        content, kind = self._static[request.params["name"]]
        return PanelResponse(content, content_type=kind, headers={"Cache-Control": "no-cache"})


def _known(ask: Callable[[], list[dict[str, Any]]]) -> tuple[list[dict[str, Any]], str]:
    """What there is to show, or why it is not known."""
    try:
        return ask(), ""
    except PyrotorqueError as error:
        return [], str(error)


def _healthy(_: PanelRequest) -> PanelResponse:
    return PanelResponse(b"healthy\n", content_type="text/plain; charset=utf-8")
