"""`status` and `retry`: results of jobs, failing ones first; the progress of many loads; the address of the page."""

import json
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.layout import Layout
from pyrotorque.settings.handlers import NEEDS_OWNER
from pyrotorque.settings.schema import AnyJob, CustomSettings, QueueSettings, RTorrentSettings, Settings, StatsSettings
from pyrotorque.settings.serialization import to_json
from pyrotorque.store import open_store
from pyrotorque.stored_configuration import stored_file
from pyrotorque_control import load_progress, progress
from pyrotorque_control.commands.status import activity_lines, shown
from pyrotorque_control.job_rows import job_rows
from pyrotorque_control.load_progress import Progress, follow, progress_line
from pyrotorque_control.overview import Overview, ServiceView
from pyrotorque_control.stored_jobs import stored_jobs
from pyrotorque_control.terminal import console
from pyrotorque_panel.page_texts import job_runs
from pyrotorque_scheduler.state import MIGRATIONS, DecisionHistory, DecisionRecord, EndedRun, JobStates, LastRuns
from pyrotorque_watcher.progress import SHOWN_FROM, LoadProgress

NOW = 10_000.0


def ran(job: str, *, ok: bool = True, at: float = NOW - 65, reason: str = "", **more: Any) -> dict[str, Any]:
    return {"job": job, "last_run": {"at": at, "seconds": 0.2, "ok": ok, "reason": reason}, **more}


def rows(*jobs: dict[str, Any]) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in job_rows(jobs, NOW)]


def test_failing_jobs_are_first_with_their_reason() -> None:
    found = rows(
        ran("a", next_fire=NOW + 15), ran("z", ok=False, reason="no such\nhost", on=["TorrentCompleted"], events=2)
    )
    assert found == [
        ("z", "failed: no such\\nhost", "1 min 5 s ago", "on TorrentCompleted; 2 events queued"),
        ("a", "ok, 200 ms", "1 min 5 s ago", "in 15 s"),
    ]


def test_what_a_notification_runs_on_is_one_word() -> None:
    found = rows(ran("phone", on=[*NEEDS_OWNER, "TorrentCompleted"]))
    assert found[0][3] == "on problems, TorrentCompleted"


def test_a_job_that_has_not_run_or_is_paused() -> None:
    assert rows({"job": "new", "last_run": None, "paused": True}) == [("new", "has not run", "", "paused")]


def test_the_runs_of_a_scheduler_of_1_0_0_are_not_known() -> None:
    earlier = {"job": "a", "kind": "custom", "paused": False, "next_fire": NOW + 15, "last": None}
    assert rows(earlier) == [("a", "not known", "", "in 15 s")]
    assert job_runs(earlier).startswith("last run not known; next ")
    assert job_runs({"job": "a", "last_run": None}) == "has not run yet"


def test_a_long_reason_is_cut() -> None:
    assert len(rows(ran("a", ok=False, reason="x" * 10_000))[0][1]) < 140


def overview(*services: ServiceView, stored_jobs: Sequence[dict[str, Any]] = ()) -> str:
    out = console()
    found = Overview(
        config_dir="/c", running=True, pid=5, since=900.0, services=services, stored_jobs=list(stored_jobs)
    )
    with out.capture() as captured:
        out.print(shown(found, NOW))
    return captured.get()


def test_status_shows_jobs_and_the_address_of_the_page() -> None:
    text = overview(
        ServiceView(
            name="scheduler", state="RUNNING", pid=1, since=1.0, data={"jobs": [ran("good"), ran("bad", ok=False)]}
        ),
        ServiceView(
            name="exporter",
            state="RUNNING",
            pid=1,
            since=1.0,
            data={"e": {"address": "::", "port": 9135, "open": True}},
        ),
        ServiceView(
            name="panel", state="RUNNING", pid=1, since=1.0, data={"open": True, "url": "http://127.0.0.1:9180"}
        ),
    )
    table = text[text.index("last result") :]
    assert table.index("bad") < table.index("good")
    assert "metrics: http://[::1]:9135/metrics" in text
    assert "panel: http://127.0.0.1:9180/" in text


def test_while_the_scheduler_is_busy_the_stored_jobs_are_shown(layout: Layout) -> None:
    settings: list[AnyJob] = [
        QueueSettings(name="queue", handler="q", active=True, schedule="minute=*/5"),
        QueueSettings(name="idle", handler="q", active=True, schedule="minute=*/5"),
        StatsSettings(name="stats", handler="s", active=True, schedule="minute=*"),
        CustomSettings(name="report", handler="r", schedule="hour=*"),
        CustomSettings(name="phone", handler="n", schedule="", on=("TorrentCompleted",)),
        CustomSettings(name="off", handler="r", schedule="hour=*", active=False),
    ]
    configuration = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=tuple(settings))
    stored_file(layout).write_bytes(to_json(configuration))
    with closing(open_store(layout.database("scheduler"), MIGRATIONS)) as store:
        with store.transaction() as db:
            db.execute("INSERT INTO event_runs (job, body, event) VALUES ('phone', '{}', 1), ('phone', '{}', 2)")
        LastRuns(store).store("report", EndedRun(at=time.time() - 65, seconds=0.2, ok=False, reason="no such host"))
        JobStates(store).pause("stats", time.time())
        history = DecisionHistory(store)
        history.record(DecisionRecord(at=1.0, job="queue", verdict="no_item", text="no item is startable"))
        history.record(
            DecisionRecord(
                at=time.time() - 5, job="queue", verdict="started", text="started", info_hash="A" * 40, name="x\n"
            )
        )
        # The service has its file open.
        found = [tuple(map(str, row)) for row in job_rows(stored_jobs(layout), time.time())]
    assert [row[:2] for row in found] == [
        ("report", "failed: no such host"),
        ("idle", "not known"),
        ("phone", "has not run"),
        ("queue", "started (x\\n)"),
        ("stats", "not known"),
    ]
    assert {row[0]: row[2] for row in found} | {"queue": ""} == {
        "report": "1 min 5 s ago", "idle": "", "phone": "", "queue": "", "stats": "",
    }  # fmt: skip
    next_runs = {row[0]: row[3] for row in found}
    assert next_runs["phone"] == "on TorrentCompleted; 2 events queued"
    assert next_runs["stats"] == "paused"
    assert next_runs["queue"].startswith("in ")


def test_without_a_stored_configuration_there_are_no_jobs(layout: Layout) -> None:
    assert stored_jobs(layout) == []


def test_status_shows_stored_jobs_while_the_scheduler_is_busy() -> None:
    busy = ServiceView(name="scheduler", state="RUNNING", pid=1, since=1.0, says="is busy: job queue, for 12 s")
    text = overview(busy, stored_jobs=[ran("good"), {"job": "queue", "last_run": None, "last_decision": None}])
    assert "is busy: job queue, for 12 s" in text
    assert "does not answer: stored results" in text
    assert "not known" in text[text.index("last result") :]


def test_a_port_that_is_not_open_has_no_address() -> None:
    data = {"e": {"address": "127.0.0.1", "port": 9135, "open": False}}
    assert "http://" not in overview(ServiceView(name="exporter", state="RUNNING", pid=1, since=1.0, data=data))


def test_the_progress_of_a_burst_is_counted_from_its_beginning() -> None:
    progress = LoadProgress()
    progress.update(3, 100.0, 1.0)
    assert progress.data() is None
    progress.update(SHOWN_FROM, 100.0, 2.0)
    assert progress.data() == {"done": 0, "total": SHOWN_FROM, "began": 2.0}
    progress.update(4000, 1100.0, 5.0)
    assert progress.data() == {"done": 1000, "total": 5000, "began": 2.0}
    progress.update(0, 5100.0, 9.0)
    assert progress.data() is None


def test_the_watcher_shows_its_progress_in_status() -> None:
    data = {"jobs": {}, "metafiles": {"seen": 4}, "progress": {"done": 1, "total": 5, "began": 0.0}}
    lines = activity_lines(ServiceView(name="watcher", state="RUNNING", pid=1, since=1.0, data=data))
    assert any(line.startswith("loading 1 of 5 metafiles (20 %)") for line in lines)


def test_a_line_of_progress_has_the_time_that_is_left() -> None:
    assert progress_line({"done": 1000, "total": 5000, "began": 90.0}, 100.0) == (
        "loading 1,000 of 5,000 metafiles (20 %), about 40 s left"
    )
    assert progress_line({"done": 0, "total": 60, "began": 99.9}, 100.0) == "loading 0 of 60 metafiles (0 %)"


def test_in_a_pipe_progress_is_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_progress, "_POLL", 0.0)
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.0)
    steps: list[Progress | None] = [
        None,
        {"done": 10, "total": 100, "began": 0.0},
        {"done": 60, "total": 100, "began": 0.0},
        None,
    ]
    follow(Layout.below(tmp_path), read=lambda _: steps.pop(0))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" metafiles")[0] for line in lines] == [
        "loading 10 of 100",
        "loading 60 of 100",
        "finished 100",
    ]


def test_nothing_to_do_shows_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_progress, "_POLL", 0.0)
    monkeypatch.setattr(load_progress, "_APPEARS_WITHIN", 0.05)
    follow(Layout.below(tmp_path), read=lambda _: None)
    assert capsys.readouterr().out == ""


def test_the_data_is_plain_json() -> None:
    progress = LoadProgress()
    progress.update(SHOWN_FROM, 7.0, 2.0)
    assert json.loads(json.dumps(progress.data()))["total"] == SHOWN_FROM
