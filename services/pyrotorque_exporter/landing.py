"""The landing page on `/`: what listens here, and where the metrics and the panel are."""

from html import escape
from importlib.metadata import version
from typing import Final

from pyrotorque.settings.schema import PanelSettings

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>pyrotorque exporter</title></head>
<body><main><h1>pyrotorque exporter</h1>
<p>Version {version}. <a href="metrics">Metrics</a> for Prometheus, <a href="-/healthy">health check</a>.</p>
<p>{panel}</p></main></body></html>
"""


def landing_page(panel: PanelSettings) -> bytes:
    """It contains nothing about torrents: every local user can read it."""
    if not panel.active:
        text = "Pages for people are in the panel: set <code>panel.active = True</code> in torque.ini."
    elif panel.port:
        where = escape(panel.url)
        text = f'Pages for people are in the panel: <a href="{where}">{where}</a>.'
    else:
        text = "Pages for people are in the panel, on its unix socket."
    return _PAGE.format(version=escape(version("pyrotorque")), panel=text).encode()
