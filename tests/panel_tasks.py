"""Every action of the panel's pages: how it is arranged, carried out by a person or a program, and what it changes."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from demo.metafiles import info_hash, make_metafile
from tests.browser import Visitor
from tests.live_panel import LivePanel
from tests.waiting import eventually

Target: TypeAlias = dict[str, Any]
"""What an action is about, by name."""


@dataclass(frozen=True)
class PanelTask:
    """`route` is the form's path in the panel's table of routes; `call` the path and body of the API's call."""

    route: str
    prepare: Callable[[LivePanel, str], Target]
    page: str
    steps: Callable[[Visitor, Target], object]
    done: Callable[[LivePanel, Target], object]
    call: Callable[[Target], tuple[str, Any]] | None = None
    answer: str = ".notice"
    """What the page shows when it is done."""


def _job(panel: LivePanel, _: str) -> Target:
    panel.act("/jobs/queue/resume")
    run = panel.job("queue").get("last_run") or {}
    return {"at": run.get("at", 0.0)}


def _paused_job(panel: LivePanel, _: str) -> Target:
    panel.act("/jobs/queue/pause")
    return {}


def _item(panel: LivePanel, way: str) -> Target:
    name = f"Item of {way} {len(list(panel.watch.iterdir()))}"
    return {"item": panel.item(name), "name": name}


def _running_item(panel: LivePanel, way: str) -> Target:
    target = _item(panel, way)
    panel.act(f"/items/{target['item']}/start")
    eventually(lambda: panel.is_active(target["item"]), 60, why="it is active")
    return target


def _failed(panel: LivePanel, _: str) -> Target:
    return {"path": panel.failed()}


def _metafile(panel: LivePanel, way: str) -> Target:
    content = make_metafile(f"Uploaded by {way}")
    return {"content": content, "item": info_hash(content), "folder": str(panel.watch)}


def _magnet(panel: LivePanel, way: str) -> Target:
    item = info_hash(make_metafile(f"Magnet of {way}"))
    # Without DHT, 0.9 takes none that names no tracker.
    magnet = f"magnet:?xt=urn:btih:{item}&dn=Magnet&tr=http%3A%2F%2F127.0.0.1%3A9%2Fannounce"
    return {"item": item, "magnet": magnet, "folder": str(panel.watch)}


def _has_magnet(panel: LivePanel, target: Target) -> bool:
    """Then it is erased: while its files are not known, no clean-up removes anything."""
    found = panel.has(target["item"])
    if found:
        panel.client.call("d.erase", target["item"])
    return found


def _held_plan(panel: LivePanel, way: str) -> Target:
    items = [panel.seeding(f"Held {way} {number}") for number in range(6)]
    # A run that did not find all of them yet would remove the others: up to five need no approval.
    eventually(lambda: len(panel.plan("held")["removals"]) == len(items), 60, why="all of them are in the plan")
    before = panel.job("held").get("last_run")
    panel.api("POST", "/jobs/held/run")
    # Until then the page changes, and what has the focus may be replaced.
    eventually(lambda: panel.job("held").get("last_run") != before, 60, why="its run has ended")
    return {"plan": eventually(lambda: panel.plan("held")["held"] and panel.plan("held")["plan"], 60), "item": items[5]}


def _has_cleaned(panel: LivePanel, target: Target) -> bool:
    panel.api("POST", "/jobs/held/run")
    return target["item"] in panel.quarantined()


def _quarantined(panel: LivePanel, way: str) -> Target:
    name = f"Tidy {way}"
    item = panel.seeding(name)
    panel.act("/jobs/tidy/run")
    entry = eventually(lambda: panel.quarantined().get(item), 60, why="it is in quarantine")
    eventually(lambda: not panel.has(item), 60, why="it is erased")
    return {"item": item, "name": name, "entry": entry}


def _service(panel: LivePanel, _: str) -> Target:
    return {"pid": eventually(lambda: panel.pid("exporter"), 60)}


def _other_session(panel: LivePanel, _: str) -> Target:
    panel.cookie()
    return {"number": max(panel.sessions())}


def _token(panel: LivePanel, way: str) -> Target:
    return {"name": f"made by {way}"[:40]}


def _other_token(panel: LivePanel, way: str) -> Target:
    panel.token("read")
    panel.tokens.clear()
    return {"name": "test read"}


def _new_token(visitor: Visitor, target: Target) -> None:
    visitor.fill("Name", target["name"])
    visitor.choose("May", "read and act")
    visitor.press("New token")


def _add_file(visitor: Visitor, target: Target) -> None:
    visitor.attach("Metafiles", "one.torrent", target["content"])
    visitor.press("Add")


def _add_magnet(visitor: Visitor, target: Target) -> None:
    visitor.fill("or a magnet link", target["magnet"])
    visitor.press("Add")


_JOBS: Final = "/g/{group}/jobs/{job}"
_ITEMS: Final = "/g/{group}/items/{info_hash}"
_WHY: Final = "/g/main/items?item={item}"

TASKS: Final[dict[str, PanelTask]] = {
    "pause": PanelTask(
        f"{_JOBS}/pause", _job, "/g/main/jobs", lambda v, _: v.press("Pause: queue"),
        lambda panel, _: panel.job("queue")["paused"], lambda _: ("/jobs/queue/pause", None),
    ),
    "resume": PanelTask(
        f"{_JOBS}/resume", _paused_job, "/g/main/jobs", lambda v, _: v.press("Resume: queue"),
        lambda panel, _: not panel.job("queue")["paused"], lambda _: ("/jobs/queue/resume", None),
    ),
    "run": PanelTask(
        f"{_JOBS}/run", _job, "/g/main/jobs", lambda v, _: v.press("Run now: queue"),
        lambda panel, target: panel.job("queue")["last_run"]["at"] > target["at"],
        lambda _: ("/jobs/queue/run", None),
    ),
    "start": PanelTask(
        f"{_ITEMS}/start", _item, _WHY, lambda v, target: v.press(f"Start now: {target['name']}"),
        lambda panel, target: panel.is_active(target["item"]),
        lambda target: (f"/items/{target['item']}/start", None),
    ),
    "stop": PanelTask(
        f"{_ITEMS}/stop", _running_item, _WHY, lambda v, target: v.press(f"Stop: {target['name']}"),
        lambda panel, target: not panel.is_active(target["item"]),
        lambda target: (f"/items/{target['item']}/stop", None),
    ),
    "park": PanelTask(
        f"{_ITEMS}/park", _running_item, _WHY, lambda v, target: v.press(f"Park: {target['name']}, for one hour"),
        lambda panel, target: not panel.is_active(target["item"]),
        lambda target: (f"/items/{target['item']}/park", {"seconds": 60}),
    ),
    "retry": PanelTask(
        "/g/{group}/metafiles/retry", _failed, "/g/main/metafiles?state=failed",
        lambda v, target: v.press(f"Try again: {target['path']}"),
        lambda panel, target: target["path"] in panel.failures(),
        lambda target: ("/metafiles/retry", {"paths": [target["path"]]}),
    ),
    "forget": PanelTask(
        "/g/{group}/metafiles/forget", _failed, "/g/main/metafiles?state=failed",
        lambda v, target: v.press(f"Forget: {target['path']}"),
        lambda panel, target: target["path"] not in panel.failures(),
        lambda target: ("/metafiles/forget", {"paths": [target["path"]]}),
    ),
    "add a metafile": PanelTask(
        "/g/{group}/metafiles/add", _metafile, "/g/main/metafiles/add", _add_file,
        lambda panel, target: panel.has(target["item"]),
        lambda target: ("/metafiles", {"metafile": b64encode(target["content"]).decode()}),
    ),
    "add a magnet link": PanelTask(
        "/g/{group}/metafiles/add", _magnet, "/g/main/metafiles/add", _add_magnet,
        _has_magnet,
        lambda target: ("/magnets", {"magnet": target["magnet"]}),
    ),
    "approve": PanelTask(
        "/g/{group}/cleanup/{job}/approve", _held_plan, "/g/main/cleanup",
        lambda v, _: v.press("Approve this plan: held"),
        _has_cleaned, lambda target: ("/cleanups/held/approve", {"plan": target["plan"]}),
    ),
    "restore": PanelTask(
        "/g/{group}/quarantine/restore", _quarantined, "/g/main/cleanup",
        lambda v, target: v.press(f"Restore: {target['name']}"),
        lambda panel, target: panel.has(target["item"]),
        lambda target: (f"/quarantine/{target['entry']}/restore", None),
    ),
    "restart": PanelTask(
        "/g/{group}/services/{service}/restart", _service, "/g/main/", lambda v, _: v.press("Restart: exporter"),
        lambda panel, target: panel.pid("exporter") not in (0, target["pid"]),
        lambda _: ("/services/exporter/restart", None),
    ),
    "end a session": PanelTask(
        "/settings/sessions/end", _other_session, "/settings",
        lambda v, target: v.press(f"End: session {target['number']}"),
        lambda panel, target: target["number"] not in panel.sessions(),
    ),
    "make a token": PanelTask(
        "/settings/tokens", _token, "/settings", _new_token,
        lambda panel, target: f"Remove: token {target['name']}" in panel.page("/settings"),
    ),
    "remove a token": PanelTask(
        "/settings/tokens/remove", _other_token, "/settings",
        lambda v, target: v.press(f"Remove: token {target['name']}"),
        lambda panel, target: f"Remove: token {target['name']}" not in panel.page("/settings"),
    ),
    "choose colours": PanelTask(
        "/settings/theme", lambda panel, _: {}, "/settings", lambda v, _: v.press("Dark"), lambda panel, _: True,
        answer="html[data-theme=dark]",
    ),
}  # fmt: skip
"""Log in and log out are tested by themselves."""
