"""The pages for people: they work without script, every button is a form, and every answer a page."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Final

from pyrotorque.actions import watched_folders
from pyrotorque.errors import PyrotorqueError, UserError
from pyrotorque_panel import page_texts
from pyrotorque_panel.access import Access, Scope
from pyrotorque_panel.exchange import NotFound, PanelRequest, PanelResponse, PanelRoute, redirect
from pyrotorque_panel.fleet_routes import fleet_pages
from pyrotorque_panel.gate import Gate
from pyrotorque_panel.group_view import GroupView
from pyrotorque_panel.panel_actions import PanelActions, outcome
from pyrotorque_panel.rendering import Templates, static_files

GROUP: Final = "/g/{group}"
_LATELY: Final = 5
_EVENTS: Final = 200
_HOUR: Final = 3600.0
_PARKED: Final = 3600.0
_NOTICES_MAX: Final = 500
_THEME: Final = "pyrotorque_theme"
FORM_MAX: Final = 64 << 10
UPLOAD_MAX: Final = 17 << 20
_BACK: Final = ("/", "/queue", "/metafiles", "/jobs", "/cleanup", "/settings")


@dataclass
class Pages:
    """The handlers; a sentence about the last action of a person is shown on the next page."""

    view: GroupView
    actions: PanelActions
    access: Access
    gate: Gate
    templates: Templates
    base: str
    cookie: str
    api_routes: Sequence[PanelRoute] = ()
    _notices: dict[str, tuple[bool, str]] = field(default_factory=dict[str, tuple[bool, str]])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _static: dict[str, tuple[bytes, str]] = field(default_factory=static_files)

    def routes(self) -> list[PanelRoute]:
        job, item, act = f"{GROUP}/jobs/{{job}}", f"{GROUP}/items/{{info_hash}}", self.actions
        page, form = self._page, self._form
        return [
            PanelRoute("GET", "/-/healthy", "public", "none", _healthy),
            PanelRoute("GET", "/static/{name}", "public", "none", self._static_file),
            PanelRoute("GET", "/login", "public", "none", self._login_page),
            PanelRoute("POST", "/login", "public", "none", self._login),
            page("/", lambda _: redirect(f"{self._home}/")),
            page(f"{GROUP}/", self._overview),
            page(f"{GROUP}/queue", self._queue),
            page(f"{GROUP}/items", self._item),
            page(f"{GROUP}/metafiles", self._metafiles),
            page(f"{GROUP}/metafiles/add", self._add),
            form(
                f"{GROUP}/metafiles/add",
                lambda r: act.add(r.who, [file.content for file in r.files], r.value("magnet"), r.value("folder")),
                UPLOAD_MAX,
            ),
            page(f"{GROUP}/cleanup", self._cleanup),
            form(f"{GROUP}/cleanup/{{job}}/approve", lambda r: act.approve(r.who, r.params["job"], r.value("plan"))),
            form(f"{GROUP}/quarantine/restore", lambda r: act.restore(r.who, r.value("entry"))),
            page(f"{GROUP}/jobs", self._jobs),
            page(f"{GROUP}/events", self._events),
            *fleet_pages(self.view.fleet, GROUP, page, self._show),
            page(f"{GROUP}/live", lambda _: PanelResponse(stream="live")),
            page("/api", self._api),
            form(f"{job}/pause", lambda r: act.pause(r.who, r.params["job"])),
            form(f"{job}/resume", lambda r: act.resume(r.who, r.params["job"])),
            form(f"{job}/run", lambda r: act.run(r.who, r.params["job"])),
            form(f"{item}/start", lambda r: act.start(r.who, r.params["info_hash"])),
            form(f"{item}/stop", lambda r: act.stop(r.who, r.params["info_hash"])),
            form(f"{item}/park", lambda r: act.park(r.who, r.params["info_hash"], _PARKED)),
            form(f"{GROUP}/metafiles/retry", lambda r: act.retry(r.who, r.form.get("path", ()))),
            form(f"{GROUP}/metafiles/forget", lambda r: act.forget(r.who, r.form.get("path", ()))),
            form(f"{GROUP}/services/{{service}}/restart", lambda r: act.restart(r.who, r.params["service"])),
            PanelRoute("POST", "/logout", "page", "read", self._logout),
            page("/settings", self._settings),
            PanelRoute("POST", "/settings/theme", "page", "read", self._set_theme),
            PanelRoute("POST", "/settings/tokens", "page", "act", self._make_token),
            form("/settings/tokens/remove", self._remove_token),
            form("/settings/sessions/end", self._end_session),
        ]

    @property
    def _home(self) -> str:
        return f"{self.base}/g/{self.view.name}"

    def _page(self, path: str, handler: Callable[[PanelRequest], PanelResponse]) -> PanelRoute:
        return PanelRoute("GET", path, "page", "read", self._in_group(handler))

    def _form(self, path: str, action: Callable[[PanelRequest], str], body_max: int = FORM_MAX) -> PanelRoute:
        """A form carries out its action, and shows the page it is on with a sentence about it."""

        def respond(request: PanelRequest) -> PanelResponse:
            self._notify(request, outcome(lambda: action(request)))
            back = request.value("back")
            known = back if back in _BACK else "/"
            return redirect(f"{self.base}/settings" if known == "/settings" else f"{self._home}{known}")

        return PanelRoute("POST", path, "page", "act", self._in_group(respond), body_max=body_max)

    def _in_group(self, handler: Callable[[PanelRequest], PanelResponse]) -> Callable[[PanelRequest], PanelResponse]:
        def respond(request: PanelRequest) -> PanelResponse:
            if request.params.get("group", self.view.name) != self.view.name:
                raise NotFound("there is no such group")
            return handler(request)

        return respond

    # -- pages

    def _overview(self, request: PanelRequest) -> PanelResponse:
        now = time.time()
        found = self.view.overview(now)
        events = [page_texts.event_row(event) for event in self.view.events.newest(_LATELY)]
        chart = page_texts.chart(self.view.ring.since_time(now - _HOUR), now - _HOUR, now)
        sentence = page_texts.verdict(found["needs"])
        return self._show(
            request, "overview.html", "Overview", title=sentence, verdict=sentence, found=found, events=events,
            chart=chart, back="/", live=True,
        )  # fmt: skip

    def _queue(self, request: PanelRequest) -> PanelResponse:
        return self._show(request, "queue.html", "Queue", queues=self.view.queues(), back="/queue", live=True)

    def _item(self, request: PanelRequest) -> PanelResponse:
        item = request.query.get("item", "").strip()
        queues: list[Any] = []
        problem = ""
        if item:
            answer = self.view.explain(item)
            queues, problem = (list(answer.data or []), "") if answer.ok else ([], answer.text)
        return self._show(request, "item.html", "Queue", title="Why not?", item=item, queues=queues, problem=problem)

    def _metafiles(self, request: PanelRequest) -> PanelResponse:
        after, state = request.query.get("after", "0"), request.query.get("state", "")
        number = int(after) if after.isdecimal() and len(after) < 18 else 0
        found: dict[str, Any] = {"metafiles": [], "next": None}
        counts, problem = {}, ""
        try:
            counts = self.view.watcher().get("metafiles", {})
            found = self.view.metafiles(state, number)
        except PyrotorqueError as error:
            problem = str(error)
        return self._show(
            request, "metafiles.html", "Metafiles", rows=found["metafiles"], next=found["next"], counts=counts,
            state=state, problem=problem, back="/metafiles", live=not number,
        )  # fmt: skip

    def _add(self, request: PanelRequest) -> PanelResponse:
        folders = watched_folders(self.view.layout)
        return self._show(request, "add.html", "Metafiles", title="Add a metafile", folders=folders)

    def _cleanup(self, request: PanelRequest) -> PanelResponse:
        plans: list[Any] = []
        problem = ""
        try:
            plans = self.view.cleanups()
        except PyrotorqueError as error:
            problem = str(error)
        try:
            entries = self.view.quarantine()
        except PyrotorqueError:
            entries = []
        return self._show(request, "cleanup.html", "Clean-up", plans=plans, problem=problem, entries=entries)

    def _jobs(self, request: PanelRequest) -> PanelResponse:
        return self._show(request, "jobs.html", "Jobs", jobs=self.view.jobs(), live=True)

    def _events(self, request: PanelRequest) -> PanelResponse:
        events = [page_texts.event_row(event) for event in self.view.events.newest(_EVENTS)]
        return self._show(request, "events.html", "Events", events=events, live=True)

    def _api(self, request: PanelRequest) -> PanelResponse:
        return self._show(request, "api.html", "API", routes=self.api_routes)

    # -- login, sessions, tokens

    def _login_page(self, request: PanelRequest, problem: str = "", status: int = 200) -> PanelResponse:
        made = self._show(
            request, "login.html", "Log in", link=request.query.get("link", "") if not problem else "",
            problem=problem, has_password=self.access.has_password,
        )  # fmt: skip
        return PanelResponse(made.body, status)

    def _login(self, request: PanelRequest) -> PanelResponse:
        now, browser = time.time(), request.headers.get("user-agent", "")
        if not self.access.take_attempt(request.address, now):
            return self._login_page(request, "Too many failed logins: try again in a minute.", 429)
        if link := request.value("link"):
            secret = self.access.login_by_link(link, request.address, browser, now)
        else:
            secret = self.access.login_by_password(request.value("password"), request.address, browser, now)
        if secret is None:
            # The same sentence whatever is wrong.
            return self._login_page(request, "That did not log you in.", 403)
        return redirect(f"{self.base}/", **{"Set-Cookie": self._set_cookie(self.cookie, secret, request)})

    def _logout(self, request: PanelRequest) -> PanelResponse:
        session = next((s for s in self.access.sessions(time.time()) if s.key == request.who.session), None)
        if session is not None:
            self.access.end_session(session.number)
        return redirect(f"{self.base}/login", **{"Set-Cookie": self._set_cookie(self.cookie, "", request, seconds=0)})

    def _settings(self, request: PanelRequest, secret: str = "") -> PanelResponse:
        return self._show(
            request, "settings.html", "Settings", secret=secret, tokens=self.access.tokens(),
            sessions=self.access.sessions(time.time()), current_key=request.who.session or "-",
        )  # fmt: skip

    def _make_token(self, request: PanelRequest) -> PanelResponse:
        scope: Scope = "act" if request.value("scope") == "act" else "read"
        name = request.value("name").strip()
        try:
            secret = self.access.make_token(name, scope, time.time())
        except ValueError as error:
            self._notify(request, (False, str(error)))
            return redirect(f"{self.base}/settings")
        self.actions.record(f"panel, {request.who.name}", "token", name, True, f"made token {name} ({scope})")
        return self._settings(request, secret)

    def _remove_token(self, request: PanelRequest) -> str:
        name = request.value("name")
        if not self.access.remove_token(name):
            raise UserError("there is no such token")
        self.actions.record(f"panel, {request.who.name}", "token-remove", name, True, f"removed token {name}")
        return f"PanelToken {name} is removed."

    def _end_session(self, request: PanelRequest) -> str:
        number = request.value("number")
        if not number.isdecimal() or not self.access.end_session(int(number[:18])):
            raise UserError("there is no such session")
        return f"PanelSession {number} has ended."

    def _set_theme(self, request: PanelRequest) -> PanelResponse:
        theme = request.value("theme") if request.value("theme") in ("light", "dark") else ""
        cookie = self._set_cookie(_THEME, theme, request, seconds=365 * 86_400 if theme else 0)
        return redirect(f"{self.base}/settings", **{"Set-Cookie": cookie})

    def _set_cookie(self, name: str, value: str, request: PanelRequest, seconds: int = 90 * 86_400) -> str:
        secure = "; Secure" if request.is_https else ""
        return f"{name}={value}; Path={self.base or '/'}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"

    # -- rendering

    def error_page(self, status: int, text: str) -> bytes:
        return self.templates.render(
            "error.html", title=text, status=status, text=text, who=None, theme="", notice=None, current="",
            live=False, form_token="", back="/",
        )  # fmt: skip

    def _show(self, request: PanelRequest, name: str, current: str, **values: Any) -> PanelResponse:
        who = request.identity
        common: dict[str, Any] = {
            "title": current, "current": current, "who": who, "live": False, "back": "/",
            "form_token": self.gate.form_token(who) if who else "",
            "theme": _theme(request.headers.get("cookie", "")),
            "notice": self._take_notice(request) if who else None,
        }  # fmt: skip
        return PanelResponse(self.templates.render(name, **(common | values)))

    def _notify(self, request: PanelRequest, notice: tuple[bool, str]) -> None:
        with self._lock:
            while len(self._notices) >= _NOTICES_MAX:
                del self._notices[next(iter(self._notices))]
            self._notices[request.who.session or request.who.name] = notice

    def _take_notice(self, request: PanelRequest) -> tuple[bool, str] | None:
        with self._lock:
            return self._notices.pop(request.who.session or request.who.name, None)

    def _static_file(self, request: PanelRequest) -> PanelResponse:
        if request.params["name"] not in self._static:
            raise NotFound("there is no such file")
        content, kind = self._static[request.params["name"]]
        return PanelResponse(content, content_type=kind, headers={"Cache-Control": "no-cache"})


def _healthy(_: PanelRequest) -> PanelResponse:
    return PanelResponse(b"healthy\n", content_type="text/plain; charset=utf-8")


def _theme(header: str) -> str:
    value = SimpleCookie(header).get(_THEME) if _THEME in header and len(header) < 4096 else None
    return value.value if value is not None and value.value in ("light", "dark") else ""
