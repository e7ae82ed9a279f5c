"""Actions of people over real sockets: each is carried out by its service, and recorded with who, what and outcome."""

import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager

import msgspec
import pytest

from pyrotorque import actions
from pyrotorque.actions import Actor
from pyrotorque.bus import Bus, ask
from pyrotorque.errors import ActionRefused, ServiceUnreachable, UserError
from pyrotorque.events import ActionTaken, decode
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox, stored_events
from pyrotorque.request_base import ActionRequest
from pyrotorque.requests import ACTIONS, Answer, DescribeService, PauseJob, Request
from pyrotorque.store import open_store
from tests.waiting import bound

HASH = "0123456789abcdef0123456789ABCDEF01234567"

CASES: dict[str, tuple[str, Callable[[Actor], Answer], str, str]] = {
    "pause": ("scheduler", lambda actor: actions.pause_job(actor, "queue"), "pause", "queue"),
    "resume": ("scheduler", lambda actor: actions.resume_job(actor, "queue"), "resume", "queue"),
    "run": ("scheduler", lambda actor: actions.run_job(actor, "queue"), "run", "queue"),
    "start": ("scheduler", lambda actor: actions.start_item(actor, HASH), "start", HASH.upper()),
    "stop": ("scheduler", lambda actor: actions.stop_item(actor, HASH), "stop", HASH.upper()),
    "park": ("scheduler", lambda actor: actions.park_item(actor, HASH, 60.0), "park", HASH.upper()),
    "forget": ("watcher", lambda actor: actions.forget_metafiles(actor, ["/w/a.torrent"]), "forget", "/w/a.torrent"),
    "accept": ("scheduler", actions.accept_rtorrent, "accept-rtorrent", ""),
    "retry": ("watcher", lambda actor: actions.retry_metafiles(actor, ["/w/a.torrent"]), "retry", "/w/a.torrent"),
    "release": ("fleet", lambda actor: actions.release_claim(actor, HASH), "fleet-release", HASH.upper()),
    "retry all": ("watcher", actions.retry_all_metafiles, "retry", "all"),
}

# Tested with the panel: tests/processes/test_panel.py.
OF_THE_PANEL = {"record", "login-link", "password", "token", "token-remove", "end-sessions"}


@contextmanager
def answering(layout: Layout, service: str, answer: Answer) -> Generator[list[Request]]:
    """A service that gives the same answer to each request; yields the requests."""
    received: list[Request] = []
    serving, stopped = threading.Event(), threading.Event()

    def serve() -> None:
        with (
            closing(open_store(layout.database(service), [])) as store,
            Bus(layout, service, Outbox(store, service)) as bus,
        ):
            serving.set()
            while not stopped.is_set():
                for pending in bus.wait(0.05).requests:
                    received.append(pending.request)
                    pending.answer(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert serving.wait(bound(20))
        yield received
    finally:
        stopped.set()
        thread.join()


def events(layout: Layout, service: str) -> list[ActionTaken]:
    found = [decode(body).event for body in stored_events(layout.database(service), 0.0)]
    return [event for event in found if isinstance(event, ActionTaken)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ok", [True, False], ids=["carried out", "refused"])
def test_an_action_is_recorded_with_who_what_and_outcome(layout: Layout, case: str, ok: bool) -> None:
    service, action, word, target = CASES[case]
    actor = Actor(layout, "command line (ann)", starting=0.0)
    with answering(layout, service, Answer(ok=ok, text="the answer")):
        if ok:
            assert action(actor).text == "the answer"
        else:
            with pytest.raises(ActionRefused, match="the answer"):
                action(actor)
    (event,) = events(layout, service)
    assert (event.by, event.action, event.target, event.ok, event.text) == (
        "command line (ann)",
        word,
        target,
        ok,
        "the answer",
    )


def test_the_cases_above_cover_each_action() -> None:
    def below(kind: type[ActionRequest]) -> set[type[ActionRequest]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    assert set(ACTIONS) == below(ActionRequest) - {ActionRequest}
    assert set(ACTIONS.values()) - OF_THE_PANEL == {word for _, _, word, _ in CASES.values()}


@pytest.mark.parametrize("request_", [PauseJob(job="queue"), DescribeService()], ids=["of a 1.0.0 command", "question"])
def test_a_request_without_an_actor_is_answered_and_not_recorded(layout: Layout, request_: Request) -> None:
    with answering(layout, "scheduler", Answer(ok=True)):
        assert ask(layout, "scheduler", request_, timeout=bound(20)).ok
    assert events(layout, "scheduler") == []


def test_a_service_of_version_1_0_0_reads_a_request_with_an_actor() -> None:
    class Released(msgspec.Struct, tag="PauseJob"):
        job: str

    body = msgspec.json.encode(PauseJob(job="queue", by="ann"))
    assert msgspec.json.decode(body, type=Released).job == "queue"


@pytest.mark.parametrize("paths", [[], ["relative.torrent"], ["/w/a.torrent", ""]])
def test_retrying_no_path_never_means_all(layout: Layout, paths: list[str]) -> None:
    for action in (actions.retry_metafiles, actions.forget_metafiles):
        refused = pytest.raises(UserError, match="absolute paths")
        with answering(layout, "watcher", Answer(ok=True)) as received, refused:
            action(Actor(layout, "ann", starting=0.0), paths)
        assert received == []


@pytest.mark.parametrize("text", ["", "abc", HASH + "0", "g" * 40, "٠" * 40, HASH[:39] + "\n"])
def test_what_is_no_info_hash_reaches_no_service(layout: Layout, text: str) -> None:
    with answering(layout, "scheduler", Answer(ok=True)) as received, pytest.raises(UserError, match="info-hash"):
        actions.start_item(Actor(layout, "ann", starting=0.0), text)
    assert received == []


def test_without_a_running_service_the_error_names_it(layout: Layout) -> None:
    layout.prepare()
    with pytest.raises(ServiceUnreachable, match="scheduler is unreachable"):
        actions.pause_job(Actor(layout, "ann", starting=0.0), "queue")


def test_control_characters_of_a_name_are_escaped_in_the_event(layout: Layout) -> None:
    with answering(layout, "scheduler", Answer(ok=True, text="started a\x1b[2Jb")):
        actions.start_item(Actor(layout, "ann", starting=0.0), HASH)
    assert "\x1b" not in events(layout, "scheduler")[0].text
