"""Renders pages for a person: with their colours, form token, groups, and a sentence about their last action."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from pyrotorque_panel.cookies import cookie_values
from pyrotorque_panel.exchange import PanelRequest, PanelResponse, redirect
from pyrotorque_panel.gate import Gate
from pyrotorque_panel.group_choice import GroupChoice
from pyrotorque_panel.rendering import Templates

THEME: Final = "pyrotorque_theme"
_NOTICES_MAX: Final = 500
_NOTICE_SECONDS: Final = 8.0
"""Seconds that refreshes show a sentence after the page that showed it first."""
_NOTICE_WAITS: Final = 150.0
"""Seconds until that page is rendered: the one of clean-ups runs two commands, which may take a minute each."""
_REFRESH: Final = "div#stream"
"""What htmx names as the source of a refresh (`refresh` in panel.js)."""
_BACK: Final = ("/", "/queue", "/metafiles", "/jobs", "/cleanup", "/settings")


@dataclass(frozen=True)
class PageNotice:
    """A sentence about the last action of a person; `shown` is when the page after its form was rendered, 0 before.

    Both times are in seconds of a monotonic clock.
    """

    at: float
    ok: bool
    text: str
    shown: float = 0.0


class PageRenderer:
    """Shared by all pages."""

    def __init__(self, templates: Templates, gate: Gate, base: str, groups: GroupChoice) -> None:
        self._templates, self._gate, self._groups = templates, gate, groups
        self.base = base
        self._notices: dict[str, PageNotice] = {}
        self._lock = threading.Lock()

    def home(self, request: PanelRequest) -> str:
        """The first page of the group in the address."""
        return f"{self.base}/g/{self._groups.of(request).name}"

    def show(self, request: PanelRequest, name: str, current: str, **values: Any) -> PanelResponse:
        """The page of a template; `current` is its tab."""
        who = request.identity
        common: dict[str, Any] = {
            "title": current, "current": current, "who": who, "live": False, "back": "/",
            "form_token": self._gate.form_token(who) if who else "",
            "theme": _theme(request.headers.get("cookie", "")),
            "notice": self._notice(request) if who else None,
            "group": self._groups.of(request).name, "home": self.home(request),
            "panel_groups": self._states() if who else [], "has_fleet": self._groups.of(request).view.has_fleet,
        }  # fmt: skip
        return PanelResponse(self._templates.render(name, **(common | values)))

    def error_page(self, status: int, text: str) -> bytes:
        """For people who may not be logged in."""
        return self._templates.render(
            "error.html", title=text, status=status, text=text, who=None, theme="", notice=None, current="",
            live=False, form_token="", back="/", group=self._groups.first.name,
            home=f"{self.base}/g/{self._groups.first.name}", panel_groups=[], has_fleet=False,
        )  # fmt: skip

    def done(self, request: PanelRequest, action: Callable[[], tuple[bool, str]]) -> PanelResponse:
        """Carry out an action, and show the page that its form is on with a sentence about it."""
        self.notify(request, *action())
        back = request.value("back")
        known = back if back in _BACK else "/"
        return redirect(f"{self.base}/settings" if known == "/settings" else f"{self.home(request)}{known}")

    def notify(self, request: PanelRequest, ok: bool, text: str) -> None:
        """Show a sentence on the next page of this caller."""
        with self._lock:
            while len(self._notices) >= _NOTICES_MAX:
                del self._notices[next(iter(self._notices))]
            self._notices[_caller(request)] = PageNotice(time.monotonic(), ok, text)

    def _notice(self, request: PanelRequest) -> tuple[bool, str] | None:
        """On the page after a form, and for some seconds on refreshes of it; never on the page after it."""
        is_by_script = "hx-request" in request.headers
        is_refresh = is_by_script and request.headers.get("hx-source") == _REFRESH
        now = time.monotonic()
        with self._lock:
            found = self._notices.get(_caller(request))
            if found is None:
                return None
            if found.shown:
                is_over = not is_by_script or now - found.shown > _NOTICE_SECONDS
            else:
                is_over = now - found.at > _NOTICE_WAITS
            if is_over:
                del self._notices[_caller(request)]
                return None
            if not (found.shown or is_refresh):  # a refresh of the page that the form was on does not use it up
                self._notices[_caller(request)] = replace(found, shown=now)
            return found.ok, found.text

    def _states(self) -> list[dict[str, Any]]:
        if len(self._groups.by_name) < 2:
            return []
        return [{"name": name, "away": group.view.is_away()} for name, group in self._groups.by_name.items()]


def _caller(request: PanelRequest) -> str:
    return request.who.session or request.who.name


def _theme(header: str) -> str:
    return next((value for value in cookie_values(header, THEME) if value in ("light", "dark")), "")
