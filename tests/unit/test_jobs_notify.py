"""Notifications that people keep switched on: one message for each cause, its end, digests, quiet hours, privacy."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from pyrotorque.errors import UserError
from pyrotorque.events import (
    Durable,
    Event,
    JobFailed,
    JobRecovered,
    LoadFailed,
    ProblemEnded,
    ProblemReported,
    RTorrentLost,
    RTorrentReturned,
    ServiceStateChanged,
    TorrentCompleted,
)
from pyrotorque.jobs import JobConfig, context, notify
from pyrotorque.jobs.notify import Notify
from pyrotorque.jobs.notify_message import again, digest, message
from pyrotorque.jobs.notify_services import with_priority
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.schema import CustomSettings

Sent = list[tuple[str, str, str]]
AWAY = RTorrentLost(at=1.0, reason="Connection refused", seconds=31.0)
BACK = RTorrentReturned(at=1.0, seconds=240.0)
FAILED = JobFailed(at=1.0, job="mover", reason="no such folder", seconds=0.1)
RECOVERED = JobRecovered(at=1.0, job="mover", failures=13, seconds=720.0)
DONE = TorrentCompleted(at=1.0, info_hash="A" * 40, name="Some Item")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sent]:
    found: Sent = []

    def record(urls: list[str], title: str, body: str, kind: str, *, within: float) -> None:
        found.append((title, body, kind))

    monkeypatch.setattr(notify, "send", record)
    monkeypatch.setattr(notify, "require_apprise", str)
    before = context.current_context()
    context.set_context(context.JobContext(state_dir=tmp_path))
    yield found
    context.set_context(before)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def set_time(now: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now)

    return set_time


def job(**settings: Any) -> Notify:
    return Notify(JobConfig({"job_name": "x", "url": "ntfys://ntfy.example.org/topic", **settings}))


def test_a_failing_job_is_one_message_with_how_often_and_one_for_its_end(
    sent: Sent, at: Callable[[float], None]
) -> None:
    for number in range(13):
        at(1000.0 + 60 * number)
        job().run(FAILED)
    at(2000.0)
    job().run(RECOVERED)
    assert sent == [
        ("The job mover failed", "no such folder", "warning"),
        ("The job mover succeeded again", "after 12 min and 13 failed runs", "success"),
    ]


def test_a_problem_that_lasts_has_another_message_after_a_while(sent: Sent, at: Callable[[float], None]) -> None:
    for number in range(14):
        at(100_000.0 + 1800 * number)
        job().run(FAILED)
    assert len(sent) == 2
    assert "(again 12 times since " in sent[1][1]


@pytest.mark.parametrize("folder", ["/watch/a b", "/"])
@pytest.mark.parametrize("is_load_first", [False, True])
def test_a_bad_watch_ini_and_the_metafiles_below_it_are_one_message(
    sent: Sent, folder: str, is_load_first: bool
) -> None:
    file = f"{folder.rstrip('/')}/watch.ini"
    wrong = ProblemReported(
        at=1.0, service="watcher", problem="watch.ini wrong", subject=folder, text=f"w: {file}:1: x"
    )
    loads: list[Event] = [
        LoadFailed(at=1.0, metafile=f"{folder}/{name}.torrent", job="w", kind="template", reason=reason)
        for name, reason in (("one", f"{file}:1: key: x (and 1 more in it)"), ("two", f"{file} is not a regular file"))
    ]
    for event in [*loads, wrong] if is_load_first else [wrong, *loads]:
        job().run(event)
    job().run(ProblemEnded(at=2.0, service="watcher", problem="watch.ini wrong", subject=folder, text="valid"))
    assert [title for title, _, _ in sent] == [
        "A metafile was not loaded" if is_load_first else "A watch.ini has errors",
        "A watch.ini is valid again",
    ]
    other = LoadFailed(at=3.0, metafile="/b/x", job="w", kind="template", reason="/b/watch.ini:1: x")
    job().run(other)
    job().run(LoadFailed(at=3.0, metafile="/b/x", job="w", kind="template", reason="cmd.x: no /b/watch.ini: x"))
    assert len(sent) == 4


def test_an_end_without_a_reported_problem_is_no_message(sent: Sent) -> None:
    job().run(RECOVERED)
    job().run(BACK)
    assert sent == []


def test_an_outage_is_a_message_of_high_priority_and_its_end_too(sent: Sent) -> None:
    job().run(AWAY)
    job().run(BACK)
    assert [(title, kind) for title, _, kind in sent] == [
        ("rTorrent does not answer", "failure"),
        ("rTorrent answers again", "success"),
    ]


def test_completions_are_a_digest(sent: Sent, at: Callable[[float], None]) -> None:
    at(10_000.0)
    for number in range(40):
        job(every="15m").run(TorrentCompleted(at=1.0, info_hash="A" * 40, name=f"Item {number}"))
    job(every="15m").run(FAILED)
    assert [title for title, *_ in sent] == ["The job mover failed"]
    job(every="15m").run(None)
    assert sent[1][0] == "40 completed"
    assert sent[1][1] == "completed: Item 0, Item 1, Item 2, Item 3, Item 4, …"
    job(every="15m").run(DONE)
    at(10_000.0 + 800)
    job(every="15m").run(None)
    assert len(sent) == 2
    at(10_000.0 + 901)
    job(every="15m").run(None)
    assert sent[2][0] == "1 completed"
    job(every="15m").run(None)
    assert len(sent) == 3


def test_in_quiet_hours_only_what_is_urgent_is_sent(
    sent: Sent, at: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    night, morning = 23.5 * 3600, 31.5 * 3600
    quiet = {"quiet_hours": "23-7"}
    at(night)
    job(**quiet).run(FAILED)
    job(**quiet).run(DONE)
    job(**quiet).run(AWAY)
    job(**quiet).run(None)
    assert [title for title, *_ in sent] == ["rTorrent does not answer"]
    at(morning)
    job(**quiet).run(None)
    assert sent[1][0] == "1 failures of jobs, 1 completed"


def test_private_messages_name_nothing(sent: Sent) -> None:
    failed = LoadFailed(at=1.0, metafile="/home/me/Secret.torrent", job="w", kind="io", reason="cannot read Secret")
    for event in (DONE, failed, FAILED, AWAY):
        job(private=True, title="{{type}} {{name}}", text="{{message}} {{metafile}}{{reason}}").run(event)
    text = json.dumps(sent)
    assert len(sent) == 4
    assert not any(word in text for word in ("Some Item", "Secret", "/home", "no such folder", "refused"))


def test_every_event_has_a_private_message_without_names() -> None:
    names = (
        "name",
        "metafile",
        "reason",
        "text",
        "old_path",
        "new_path",
        "target",
        "quarantine",
        "mountpoint",
        "subject",
    )
    samples: dict[str, Any] = dict.fromkeys(names, "/SECRET")
    plain: dict[str, Any] = {"info_hash": "A" * 40, "seconds": 1.0, "data": "keep", "state": "FATAL", "ok": True}
    plain |= dict.fromkeys(("job", "mode", "kind", "service", "before", "by", "action", "problem", "group"), "x")
    plain |= dict.fromkeys(("files", "size", "freed", "kept_files", "failures", "free", "slots"), 1)
    for kind in get_args(Durable):
        values = {name: {**plain, **samples}[name] for name in kind.__struct_fields__ if name in {**plain, **samples}}
        if kind.__name__ == "JobReported":
            values["data"] = {}
        event: Event = kind(at=1.0, **values)
        sent = message(event, private=True)
        hidden = repr((sent.title, sent.text, sent.subject))
        assert "SECRET" not in hidden or kind.__name__ == "ServiceStateChanged", kind
        assert message(event).title, kind


def test_the_priority_of_an_event_can_be_set(sent: Sent) -> None:
    job(**{"priority.JobFailed": "high"}).run(FAILED)
    assert sent[0][2] == "failure"
    with pytest.raises(UserError, match="expected one of low, normal, high"):
        job(**{"priority.JobFailed": "loud"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ntfys://h/t", "ntfys://h/t?priority=high"),
        ("ntfy://h/t?tags=x", "ntfy://h/t?tags=x&priority=high"),
        ("ntfys://h/t?priority=low", "ntfys://h/t?priority=low"),
        ("discord://a/b", "discord://a/b"),
    ],
)
def test_services_with_priorities_get_one(url: str, shown: str) -> None:
    assert with_priority(url, "high") == shown


def test_each_event_is_sent_where_folding_is_off(sent: Sent) -> None:
    for _ in range(3):
        job(fold=False).run(FAILED)
    assert len(sent) == 3


def test_a_run_without_an_event_is_a_test(sent: Sent) -> None:
    job().run(None)
    assert sent == [("Test", "A test message of pyrotorque.", "info")]


def test_templates_have_the_message_and_its_count(sent: Sent, at: Callable[[float], None]) -> None:
    templates = {"title": "{{priority}} {{type}}", "text": "{{job}}: {{reason}}", "repeat": "1m"}
    for number in range(3):
        at(1000.0 + 40 * number)
        job(**templates).run(FAILED)
    assert sent[0][:2] == ("normal JobFailed", "mover: no such folder")
    assert sent[1][1].startswith("mover: no such folder")


def test_a_template_with_the_message_has_its_count_once(sent: Sent) -> None:
    for _ in range(3):
        job(text="{{message}}").run(FAILED)
    job(text="{{message}}").run(RECOVERED)
    assert sent[1][1].count("13 failed runs") == 1


def test_a_digest_for_a_webhook_has_lines(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[object] = []

    def record(request: urllib.request.Request, *, within: float) -> None:
        requests.append(request.data)

    monkeypatch.setattr(notify, "post", record)
    made = Notify(JobConfig({"job_name": "x", "url": "http://127.0.0.1:1/", "text": "{{message}}", "every": "1m"}))
    made.run(DONE)
    made.run(None)
    assert requests == [b"1 completed\ncompleted: Some Item"]
    assert sent == []


def test_a_dry_run_sends_and_stores_nothing(sent: Sent, tmp_path: Path) -> None:
    job(dry_run=True).run(FAILED)
    assert sent == []
    assert list(tmp_path.rglob("notify.json")) == []


def test_on_a_full_disk_a_cause_is_still_one_message(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_folder: Path, _state: object) -> None:
        raise OSError(28, "No space left on device")

    made = job()
    with monkeypatch.context() as patched:
        patched.setattr(notify, "write_state", full)
        for _ in range(5):
            made.run(FAILED)
    made.run(FAILED)
    job().run(RECOVERED)
    assert [kind for *_, kind in sent] == ["warning", "success"]
    assert "13 failed runs" in sent[1][1]


def test_a_broken_state_file_costs_a_message_at_most(sent: Sent, tmp_path: Path) -> None:
    job().run(FAILED)
    (state,) = tmp_path.rglob("notify.json")
    state.write_bytes(b"{")
    job().run(FAILED)
    assert len(sent) == 2


@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/passwd", "/path", "ntfys://a https://b", "scgi://x"])
def test_an_address_that_is_none_is_refused(sent: Sent, url: str) -> None:
    with pytest.raises(UserError, match="expected http"):
        job(url=url)


def loaded(tmp_path: Path, *lines: str) -> CustomSettings:
    text = "[TORQUE]\njob.n.handler = pyrotorque.jobs.notify:Notify\n" + "".join(f"job.n.{line}\n" for line in lines)
    (tmp_path / "torque.ini").write_text(text)
    (found,) = [one for one in load(tmp_path, Options()).settings.jobs if one.name == "n"]
    assert isinstance(found, CustomSettings)
    return found


def test_without_events_what_needs_the_owner_is_sent(tmp_path: Path, sent: Sent) -> None:
    found = loaded(tmp_path, "url = ntfys://h/t")
    assert "JobFailed" in found.on
    assert "TorrentCompleted" not in found.on
    assert found.schedule == ""
    made = Notify(JobConfig({"job_name": "n", **found.params}))
    made.run(LoadFailed(at=1.0, metafile="/a", job="w", kind="duplicate", reason="there"))
    made.run(ServiceStateChanged(at=1.0, service="watcher", state="STARTING", before="STOPPED"))
    made.run(ServiceStateChanged(at=1.0, service="watcher", state="RUNNING", before="STARTING"))
    assert sent == []
    made.run(ServiceStateChanged(at=1.0, service="watcher", state="FATAL", before="BACKOFF"))
    made.run(ServiceStateChanged(at=1.0, service="watcher", state="RUNNING", before="STARTING"))
    assert [kind for *_, kind in sent] == ["failure", "success"]


def test_digests_and_quiet_hours_have_a_schedule(tmp_path: Path) -> None:
    assert loaded(tmp_path, "url = ntfys://h/t", "every = 15m").schedule == "second=*/30"
    assert loaded(tmp_path, "url = ntfys://h/t", "quiet_hours = 23-7", "schedule = minute=*").schedule == "minute=*"


def test_wordings() -> None:
    assert again("x", 0, 0.0, 0.0) == "x"
    assert "again once since" in again("x", 1, 0.0, 100.0)
    assert digest([("TorrentCompleted", "a"), ("TorrentRemoved", "b"), ("TorrentCompleted", "c")]) == (
        "2 completed, 1 removed",
        "completed: a, c\nremoved: b",
    )


def test_a_problem_whose_message_was_not_sent_is_not_forgotten(
    sent: Sent, at: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise UserError("the phone is off")

    for follows, expected in (
        (AWAY, "rTorrent does not answer"),
        (BACK, "rTorrent answers again"),
    ):
        sent.clear()
        at(1_700_000_000.0)
        made = job()
        with monkeypatch.context() as patched:
            patched.setattr(made, "_deliver", refused)
            with pytest.raises(UserError, match="the phone is off"):
                made.run(AWAY)
        at(1_700_000_060.0)
        job().run(follows)
        assert [title for title, *_ in sent] == [expected]
        job().run(BACK)
