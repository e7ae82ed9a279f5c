"""Login, sessions, tokens and colours: the pages of the panel itself, whatever its groups."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import UserError
from pyrotorque_panel.access import Access, PanelIdentity, Scope
from pyrotorque_panel.cookies import cookie_values
from pyrotorque_panel.exchange import PanelRequest, PanelResponse, PanelRoute, redirect
from pyrotorque_panel.gate import header_text
from pyrotorque_panel.logins import TooManyFailures, digest
from pyrotorque_panel.page_renderer import THEME, PageRenderer
from pyrotorque_panel.panel_actions import PanelActions, outcome

_YEAR: Final = 365 * 86_400


@dataclass(frozen=True)
class AccountPages:
    """`actions` store the events of what is done here."""

    renderer: PageRenderer
    access: Access
    cookie: str
    actions: PanelActions

    def routes(self) -> list[PanelRoute]:
        return [
            PanelRoute("GET", "/login", "public", "none", self._login_page),
            PanelRoute("POST", "/login", "public", "none", self._login),
            PanelRoute("POST", "/logout", "page", "read", self._logout),
            PanelRoute("GET", "/settings", "page", "read", self._settings),
            PanelRoute("POST", "/settings/theme", "page", "read", self._set_theme),
            PanelRoute("POST", "/settings/tokens", "page", "act", self._make_token),
            self._form("/settings/tokens/remove", self._remove_token),
            self._form("/settings/sessions/end", self._end_session),
        ]

    def _form(self, path: str, action: Callable[[PanelRequest], str]) -> PanelRoute:
        def respond(request: PanelRequest) -> PanelResponse:
            return self.renderer.done(request, lambda: outcome(lambda: action(request)))

        return PanelRoute("POST", path, "page", "act", respond)

    def _login_page(self, request: PanelRequest, problem: str = "", status: int = 200) -> PanelResponse:
        made = self.renderer.show(
            request, "login.html", "Log in", link=request.query.get("link", "") if not problem else "",
            problem=problem, has_password=self.access.has_password,
        )  # fmt: skip
        return PanelResponse(made.body, status)

    def _login(self, request: PanelRequest) -> PanelResponse:
        now, browser = time.time(), header_text(request.headers.get("user-agent", ""))
        if link := request.value("link"):
            secret = self.access.login_by_link(link, request.address, browser, now)
        else:
            cookies = cookie_values(request.headers.get("cookie", ""), self.cookie)
            try:
                secret = self.access.login_by_password(
                    request.value("password"), request.address, browser, now, cookies
                )
            except TooManyFailures as error:
                if error.is_first:
                    who = PanelIdentity(name=f"someone ({request.address})", scope="read")
                    self.actions.note(who, "login", "", f"{error} with a password", ok=False)
                text = (
                    "Too many failed logins: try again in a minute, or log in with the link that `pyrotorque panel` "
                    "prints."
                )
                return self._login_page(request, text, 429)
        if secret is None:
            # The same sentence whatever is wrong.
            return self._login_page(request, "That did not log you in.", 403)
        if begun := self.access.session([secret], now):
            who = PanelIdentity(name=f"session {begun.number} ({request.address})", scope="act", session=begun.key)
            self.actions.note(who, "login", "", f"logged in with a {'link' if link else 'password'}")
        return redirect(f"{self.renderer.base}/", **{"Set-Cookie": self._set_cookie(self.cookie, secret, request)})

    def _logout(self, request: PanelRequest) -> PanelResponse:
        if request.who.session:
            self.access.log_out(request.who.session)
        # The cookie stays, and opens nothing: it makes this browser known at its next login. That it is set again lets
        # browsers forget the pages that "back" would show.
        sent = cookie_values(request.headers.get("cookie", ""), self.cookie)
        kept = [value for value in sent if digest(value) == request.who.session]
        again = {"Set-Cookie": self._set_cookie(self.cookie, kept[0], request)} if kept else {}
        return redirect(f"{self.renderer.base}/login", **again)

    def _settings(self, request: PanelRequest, secret: str = "") -> PanelResponse:
        return self.renderer.show(
            request, "settings.html", "Settings", secret=secret, tokens=self.access.tokens(),
            sessions=self.access.sessions(time.time()), current_key=request.who.session or "-",
        )  # fmt: skip

    def _make_token(self, request: PanelRequest) -> PanelResponse:
        scope: Scope = "act" if request.value("scope") == "act" else "read"
        name = request.value("name").strip()
        try:
            secret = self.access.make_token(name, scope, time.time())
        except ValueError as error:
            self.renderer.notify(request, False, str(error))
            return redirect(f"{self.renderer.base}/settings")
        self.actions.note(request.who, "token", name, f"made token {name} ({scope})")
        return self._settings(request, secret)

    def _remove_token(self, request: PanelRequest) -> str:
        name = request.value("name")
        if not self.access.remove_token(name):
            raise UserError("there is no such token")
        self.actions.note(request.who, "token-remove", name, f"removed token {name}")
        return f"Token {name} is removed."

    def _end_session(self, request: PanelRequest) -> str:
        number = request.value("number")
        if not number.isdecimal() or not self.access.end_session(int(number[:18])):
            raise UserError("there is no such session")
        self.actions.note(request.who, "session-end", number, f"ended session {number}")
        return f"Session {number} has ended."

    def _set_theme(self, request: PanelRequest) -> PanelResponse:
        theme = request.value("theme") if request.value("theme") in ("light", "dark") else ""
        cookie = self._set_cookie(THEME, theme, request, seconds=_YEAR if theme else 0)
        return redirect(f"{self.renderer.base}/settings", **{"Set-Cookie": cookie})

    def _set_cookie(self, name: str, value: str, request: PanelRequest, seconds: int = 90 * 86_400) -> str:
        secure = "; Secure" if request.is_https else ""
        return f"{name}={value}; Path={self.renderer.base or '/'}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
