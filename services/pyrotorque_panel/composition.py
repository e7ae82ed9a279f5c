"""Puts the panel together: gate, views, actions, pages and API of one group, as an ASGI application."""

import hashlib
import os
from dataclasses import dataclass
from importlib.metadata import version

from pyrotorque.layout import Layout
from pyrotorque.settings.schema import PanelSettings
from pyrotorque_panel.access import Access
from pyrotorque_panel.api import PanelApi
from pyrotorque_panel.app import PanelApp
from pyrotorque_panel.fleet_routes import has_fleet
from pyrotorque_panel.gate import Gate
from pyrotorque_panel.group_view import GroupView
from pyrotorque_panel.openapi import document
from pyrotorque_panel.pages import Pages
from pyrotorque_panel.panel_actions import PanelActions, Record
from pyrotorque_panel.recent_events import RecentEvents, Streams
from pyrotorque_panel.rendering import Templates
from pyrotorque_panel.transfer_ring import TransferRing


@dataclass(frozen=True)
class PanelParts:
    """What an application is made of; `secret` makes the tokens of forms."""

    settings: PanelSettings
    layout: Layout
    access: Access
    ring: TransferRing
    events: RecentEvents
    streams: Streams
    record: Record
    secret: bytes

    @property
    def name(self) -> str:
        """The name of the group in addresses."""
        return self.settings.name or group_name(str(self.layout.config_dir))

    @property
    def cookie(self) -> str:
        """Cookies are not separated by port: groups on one host have different names."""
        return f"pyrotorque_{hashlib.sha256(os.fsencode(self.layout.config_dir)).hexdigest()[:8]}"


def make_app(parts: PanelParts) -> PanelApp:
    """The application, with all of its routes behind one gate."""
    base, number = parts.settings.base_path.rstrip("/"), version("pyrotorque")
    gate = Gate(parts.settings, parts.access, parts.cookie, parts.secret)
    view = GroupView(parts.name, parts.layout, parts.ring, parts.events)
    actions = PanelActions(parts.layout, parts.record, view.forget)
    api = PanelApi(view, actions, lambda: document(app.routes, number, base))
    templates = Templates(
        base=base,
        home=f"{base}/g/{parts.name}",
        group=parts.name,
        version=number,
        has_fleet=has_fleet(parts.layout),
    )
    pages = Pages(view, actions, parts.access, gate, templates, base, parts.cookie, api.routes())
    app = PanelApp([*pages.routes(), *api.routes()], gate, base, parts.events, parts.streams, pages.error_page)
    return app


def group_name(config_dir: str) -> str:
    """`main` for ~/.pyroscope, `two` for ~/.pyroscope-two, else the name of the folder."""
    folder = config_dir.rstrip("/").rpartition("/")[2].lstrip(".")
    name = folder.removeprefix("pyroscope").removeprefix("-") or "main"
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in name)[:40] or "main"
