"""Answers the requests of `pyrotorque panel` and `status`: login links, password, tokens, sessions."""

import time
from dataclasses import dataclass

from pyrotorque.requests import (
    Answer,
    DescribeService,
    EndPanelSessions,
    MakeLoginLink,
    MakePanelToken,
    RemovePanelToken,
    Request,
    SetPanelPassword,
    wrong,
)
from pyrotorque.settings.schema import PanelSettings
from pyrotorque.text import printable
from pyrotorque_panel.access import Access
from pyrotorque_panel.port import PanelPort


@dataclass(frozen=True)
class PanelRequests:
    """Only the owner reaches the socket of these requests."""

    access: Access
    port: PanelPort

    def answer(self, request: Request, settings: PanelSettings) -> Answer:
        now, url = time.time(), settings.url
        match request:
            case MakeLoginLink():
                if not self.port.is_open:
                    why = self.port.problem or "panel.active is not set in torque.ini"
                    return Answer(ok=False, text=f"the panel does not listen: {why}")
                link = f"{url}/login?link={self.access.make_link()}"
                return Answer(ok=True, text="made a login link for ten minutes", data={"link": link, "url": url})
            case SetPanelPassword(stored=stored):
                self.access.set_password(stored)
                return Answer(ok=True, text="the password is set; all sessions have ended" if stored else "no password")
            case MakePanelToken(name=name, scope=scope):
                try:
                    secret = self.access.make_token(name, scope, now)
                except ValueError as error:
                    return wrong(str(error))
                return Answer(ok=True, text=f"made token {name} ({scope})", data={"token": secret})
            case RemovePanelToken(name=name):
                found = self.access.remove_token(name)
                if not found:
                    return wrong(f"there is no token {printable(name)}")
                return Answer(ok=True, text=f"removed token {printable(name)}")
            case EndPanelSessions():
                return Answer(ok=True, text=f"{self.access.end_all_sessions()} sessions have ended")
            case DescribeService():
                return self._described(settings)
            case _:
                return Answer(ok=False, text="the panel does not support this request")

    def _described(self, settings: PanelSettings) -> Answer:
        if not settings.active:
            return Answer(ok=True, text="idle: panel.active is not set")
        url = settings.url
        where = url if self.port.is_open else f"port not open: {self.port.problem}"
        data = {
            "url": url,
            "open": self.port.is_open,
            "streams": self.port.streams.count,
            "unused": self.access.is_unused,
        }
        return Answer(ok=True, text=where, data=data)
