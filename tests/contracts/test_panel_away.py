"""While something is away, each page stays the page, with the reason; what is unknown is not shown as empty."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from pyrotorque.errors import ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, DescribeService, ExplainQueue, PauseJob, Request
from pyrotorque.rtorrent import ExchangeFailed, RTorrent
from pyrotorque_panel.group_view import GroupView
from pyrotorque_panel.transfer_ring import TransferRing
from tests.panel_scene import PanelScene, panel_scene
from tests.panel_states import GroupState, panel_in, well
from tests.waiting import eventually

AWAY = "no process listens at scgi:///run/rtorrent/rpc.socket: rTorrent is not running"


@dataclass
class Services(GroupState):
    """`explained` is why the scheduler explains no queue; `asked` are the requests to explain one."""

    explained: str = ""
    has_queue: bool = True
    asked: list[ExplainQueue] = field(default_factory=list[ExplainQueue])

    def ask(self, layout: Layout, service: str, request: Request, timeout: float = 5.0) -> Answer:
        if isinstance(request, ExplainQueue):
            self.asked.append(request)
            if self.explained:
                return Answer(ok=False, text=self.explained)
        answer = super().ask(layout, service, request, timeout)
        if isinstance(request, DescribeService) and service == "scheduler" and self.has_queue:
            jobs: list[Any] = [{**each, "kind": "queue"} for each in answer.data["jobs"]]
            return Answer(ok=True, text="", data={**answer.data, "jobs": jobs})
        return answer


@pytest.fixture
def services(layout: Layout) -> Services:
    layout.prepare()
    found = well()
    return Services(queues=found.queues, jobs=found.jobs, loaded=found.loaded, counts=found.counts, rates=found.rates)


@pytest.fixture
def nothing(layout: Layout) -> Iterator[PanelScene]:
    """A panel without any other service."""
    layout.prepare()
    with panel_scene(layout) as scene:
        yield scene


def pages_of(scene: PanelScene) -> list[str]:
    """The addresses of all pages that people see."""
    found = [each.path for each in scene.app.routes if each.kind == "page" and each.method == "GET"]
    paths = [path.replace("{group}", "main") for path in found if not path.endswith("/live") and path != "/"]
    return [f"{path}?item=Fedora" if path.endswith("/items") else path for path in paths]


def test_every_page_is_there_while_all_services_are_away(nothing: PanelScene) -> None:
    cookie = {"Cookie": nothing.login()}
    assert {"/g/main/queue", "/g/main/jobs", "/g/main/items?item=Fedora", "/settings"} <= set(pages_of(nothing))
    for path in pages_of(nothing):
        if path.endswith("/fleet"):
            continue  # there is none
        page = nothing.request("GET", path, cookie)
        assert page.status == 200, path
        assert '<nav class="tabs"' in page.text, path
    for path, heading in (("queue", "Queue"), ("jobs", "Jobs")):
        page = nothing.request("GET", f"/g/main/{path}", cookie)
        assert f"<h1>{heading}</h1>" in page.text
        assert "scheduler is unreachable" in page.text
        assert 'id="stream"' in page.text, "it follows: it shows the answer when there is one"


def test_an_action_that_fails_is_answered_on_a_page_whose_service_is_away(nothing: PanelScene) -> None:
    cookie = nothing.login()
    fields = {"token": nothing.form_token(cookie), "back": "/jobs"}
    with patch("pyrotorque.actions.pause_job", side_effect=ServiceUnreachable("no one answers PauseJob")):
        assert nothing.form("/g/main/jobs/queue/pause", fields, cookie).headers["location"] == "/g/main/jobs"
    page = nothing.request("GET", "/g/main/jobs", {"Cookie": cookie, "HX-Request": "true"})
    assert (page.status, f"no one answers {PauseJob.__name__}" in page.text) == (200, True)


def test_queues_are_unknown_while_rtorrent_is_away(services: Services, layout: Layout) -> None:
    services.explained = AWAY
    with panel_in(services, layout) as scene:
        cookie, token = {"Cookie": scene.login()}, scene.token("read")
        page = scene.request("GET", "/g/main/queue", cookie).text
        assert AWAY in page
        assert "No queue is active" not in page
        assert f"Unknown: {AWAY}" in scene.request("GET", "/g/main/", cookie).text
        assert scene.request("GET", "/api/v1/groups/main", token).json["waiting"] is None
        reply = scene.request("GET", "/api/v1/groups/main/queues", token)
        assert (reply.status, reply.json["error"]) == (503, AWAY)
        assert AWAY in scene.request("GET", "/g/main/items?item=Fedora", cookie).text
        services.explained = ""
        eventually(lambda: scene.request("GET", "/api/v1/groups/main", token).json["waiting"] == 17)


def test_a_group_without_a_queue_has_none(services: Services, layout: Layout) -> None:
    services.explained, services.has_queue = "no queue job is active: set job.queue.active", False
    with panel_in(services, layout) as scene:
        assert "No queue is active" in scene.request("GET", "/g/main/queue", {"Cookie": scene.login()}).text
        reply = scene.request("GET", "/api/v1/groups/main/queues", scene.token("read"))
        assert (reply.status, reply.json) == (200, {"queues": []})


def test_the_scheduler_gets_no_question_for_rtorrent_while_that_hangs(services: Services, layout: Layout) -> None:
    services.problem = "rTorrent at scgi:///run/rtorrent/rpc.socket did not answer within 10 s: it is busy or hangs"
    with panel_in(services, layout) as scene:
        ring = scene.parts.groups[0].ring
        ring.hangs = True
        cookie = {"Cookie": scene.login()}
        for path in ("", "queue", "items?item=Fedora"):
            assert services.problem in scene.request("GET", f"/g/main/{path}", cookie).text
        assert services.asked == []
        assert "ratio_report" in scene.request("GET", "/g/main/jobs", cookie).text
        ring.hangs = False
        assert services.problem not in scene.request("GET", "/g/main/items?item=Fedora", cookie).text
        assert services.asked


@pytest.mark.parametrize("hangs", [True, False])
@pytest.mark.parametrize(
    ("text", "is_named"), [("did not answer within 3 s", False), ("is unreachable: is it running?", True)]
)
def test_what_only_waits_for_an_rtorrent_that_hangs_is_not_named(
    services: Services, layout: Layout, hangs: bool, text: str, is_named: bool
) -> None:
    services.problem = "rTorrent did not answer within 10 s: it is busy or hangs"
    error = ServiceUnreachable(f"a service {text}")
    with panel_in(services, layout) as scene:
        scene.parts.groups[0].ring.hangs = hangs
        with (
            patch.object(GroupView, "scheduler", side_effect=error),
            patch.object(GroupView, "watcher", side_effect=error),
        ):
            page = scene.request("GET", "/g/main/", {"Cookie": scene.login()}).text
        needs = page.partition('class="needs"')[2].partition("</ul>")[0]
        assert services.problem in needs
        for name in ("scheduler", "watcher"):
            assert (f"Restart: {name}" in needs) == (is_named or not hangs), name


@pytest.mark.parametrize(("reason", "hangs"), [("timeout", True), ("connect", False), ("reset", False)])
def test_only_an_rtorrent_that_gives_no_answer_hangs(tmp_path: Path, reason: Any, hangs: bool) -> None:
    ring, client = TransferRing(24), RTorrent(f"scgi://{tmp_path}/none")
    with patch.object(RTorrent, "multicall", side_effect=ExchangeFailed(f"{reason}!", reason)):
        ring.sample(client, 1_800_000_000.0)
    assert (ring.problem, ring.hangs) == (f"{reason}!", hangs)
    with patch.object(RTorrent, "multicall", return_value=[0, 0, 0, 0, 0, "0.16.17", str(tmp_path), []]):
        ring.sample(client, 1_800_000_010.0)
    assert (ring.problem, ring.hangs) == ("", False)
