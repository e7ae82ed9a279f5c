"""Puts the panel together: gate, views, actions, pages and API of its groups, as an ASGI application."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from pyrotorque.settings.schema import PanelSettings
from pyrotorque_panel.access import Access
from pyrotorque_panel.account_pages import AccountPages
from pyrotorque_panel.api import PanelApi
from pyrotorque_panel.app import PanelApp
from pyrotorque_panel.gate import Gate
from pyrotorque_panel.group_choice import GroupChoice, ShownGroup
from pyrotorque_panel.group_view import GroupView
from pyrotorque_panel.openapi import document
from pyrotorque_panel.page_renderer import PageRenderer
from pyrotorque_panel.pages import Pages
from pyrotorque_panel.panel_actions import PanelActions, Record
from pyrotorque_panel.recent_events import Streams
from pyrotorque_panel.rendering import Templates
from pyrotorque_panel.watched_groups import WatchedGroup


@dataclass(frozen=True)
class PanelParts:
    """What an application is made of. The first group is the panel's own."""

    settings: PanelSettings
    groups: Sequence[WatchedGroup]
    access: Access
    streams: Streams
    record: Record

    @property
    def cookie(self) -> str:
        """Cookies are not separated by port: panels on one host have different names."""
        own = self.groups[0].layout.config_dir
        return f"pyrotorque_{hashlib.sha256(os.fsencode(own)).hexdigest()[:8]}"


def make_app(parts: PanelParts) -> PanelApp:
    """The application, with all of its routes behind one gate."""
    parts.access.on_change = parts.streams.look
    base, number = parts.settings.base_path.rstrip("/"), version("pyrotorque")
    gate = Gate(parts.settings, parts.access, parts.cookie)
    groups = GroupChoice([_shown(group, parts) for group in parts.groups])
    api = PanelApi(groups, lambda: document(app.routes, number, base))
    templates = Templates(base=base, version=number)
    renderer = PageRenderer(templates, gate, base, groups)
    account = AccountPages(renderer, parts.access, parts.cookie, groups.first.actions)
    pages = Pages(renderer, groups, api.routes())
    routes = [*pages.routes(), *account.routes(), *api.routes()]
    app = PanelApp(
        routes,
        gate,
        base,
        {group.name: group.events for group in parts.groups},
        groups.changed,
        parts.streams,
        renderer,
    )
    return app


def _shown(group: WatchedGroup, parts: PanelParts) -> ShownGroup:
    view = GroupView(group.name, group.layout, group.ring, group.events)
    view.answers.ready = partial(parts.streams.publish, group.name, {"id": 0, "type": "Answered"})
    record = parts.record
    # The services of another group store its events.
    return ShownGroup(view, PanelActions(group.layout, record if group.is_own else None, view.answers.forget))
