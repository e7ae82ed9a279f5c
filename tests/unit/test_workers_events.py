"""A job runs once for each event that it is on, whichever process is killed in between."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.events import JobFailed, JobReported, TorrentCompleted, TorrentErased
from pyrotorque.job_order import EventOrder
from pyrotorque.outbox import Outbox
from pyrotorque.store import open_store
from pyrotorque.workers.messages import CreateJob, StartRun
from pyrotorque.workers.process import JobProcess
from pyrotorque_scheduler.state import MIGRATIONS
from pyrotorque_scheduler.workers import pool
from pyrotorque_scheduler.workers.event_runs import EventRuns
from tests.waiting import eventually
from tests.worker_bench import Bench, appending, bench, custom, lines_in, write_job


def erased(*names: str) -> list[TorrentErased]:
    return [TorrentErased(at=time.time(), info_hash="A" * 40, name=name) for name in names]


def test_a_job_is_run_once_for_each_event_that_it_is_on(tmp_path: Path) -> None:
    write_job(tmp_path, "note", appending(tmp_path / "out"))
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        made.publish(*erased(*(f"n{number}" for number in range(50))))
        made.publish(TorrentCompleted(at=time.time(), info_hash="B" * 40, name="other"))
        made.until(lambda: made.waiting() == 0)
    assert lines_in(tmp_path / "out") == [f"n{number}" for number in range(50)]


def test_an_event_outlives_the_scheduler_and_the_worker(tmp_path: Path) -> None:
    write_job(tmp_path, "note", appending(tmp_path / "out"))
    job = custom("note", on=("TorrentErased",))
    with bench(tmp_path, job) as made:
        made.publish(*erased("a", "b"))
        assert made.waiting() == 2
    with bench(tmp_path, job) as made:
        made.until(lambda: made.waiting() == 0)
        os.kill(made.workers.pids()["note"], signal.SIGKILL)
        made.publish(*erased("c"))
        made.until(lambda: made.waiting() == 0)
    assert lines_in(tmp_path / "out") == ["a", "b", "c"]


def test_a_run_killed_from_outside_is_repeated_three_attempts_in_total(tmp_path: Path) -> None:
    write_job(tmp_path, "note", appending(tmp_path / "out", "__import__('os').kill(__import__('os').getpid(), 9)"))
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        made.publish(*erased("a"))
        made.until(lambda: made.waiting() == 0, 30)
        assert lines_in(tmp_path / "out") == ["a", "a", "a"]
        assert "interrupted three times" in made.failures()[-1]


def serve_until_begun(made: Bench, out: Path, runs: int) -> None:
    """Until so many runs have begun, or none is left."""
    made.until(lambda: made.waiting() == 0 or len(lines_in(out)) >= runs)


UNTIL_ALLOWED = "__import__('time').sleep(0 if __import__('os').path.exists({allowed!r}) else 60)"


@pytest.mark.parametrize(("own_stop", "expected"), [(0.0, 5 * ["a"]), (60.0, 3 * ["a"])], ids=["later", "at once"])
def test_a_run_that_is_stopped_with_the_scheduler_is_repeated_unless_it_may_have_caused_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_stop: float, expected: list[str]
) -> None:
    """Its owner may restart the group as often as they like while a job works for hours."""
    monkeypatch.setattr(pool, "OWN_STOP", own_stop)
    out, allowed = tmp_path / "out", tmp_path / "allowed"
    write_job(tmp_path, "note", appending(out, UNTIL_ALLOWED.format(allowed=str(allowed))))
    job = custom("note", on=("TorrentErased",))
    for before in range(4):
        with bench(tmp_path, job) as made:
            if not before:
                made.publish(*erased("a"))
            serve_until_begun(made, out, before + 1)
    allowed.touch()
    with bench(tmp_path, job) as made:
        made.until(lambda: made.waiting() == 0)
    assert lines_in(out) == expected


def test_a_run_that_ended_while_a_new_configuration_stopped_its_job_is_not_repeated(tmp_path: Path) -> None:
    write_job(tmp_path, "note", appending(tmp_path / "out"))
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        assert made.run("note").ok
        made.publish(*erased("a"))
        made.workers.step()
        mark = tmp_path / "state/marks/note"
        eventually(lambda: mark.exists() and mark.read_text().split()[1:] == ["1", "1"])
        write_job(tmp_path, "note", appending(tmp_path / "out", "'another text'"))
        made.workers.configure(made.job_table, made.router, made.live.append)
        assert made.waiting() == 0
        made.publish(*erased("b"))
        made.until(lambda: made.waiting() == 0)
    assert lines_in(tmp_path / "out") == ["tick", "a", "b"]


@pytest.mark.parametrize("fault", ["raise ValueError('no')", "__import__('os')._exit(3)"])
def test_a_run_that_failed_by_itself_is_not_run_again(tmp_path: Path, fault: str) -> None:
    write_job(tmp_path, "note", appending(tmp_path / "out", fault))
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        made.publish(*erased("a", "b"))
        made.until(lambda: made.waiting() == 0)
        assert lines_in(tmp_path / "out") == ["a", "b"]
        assert len(made.failures()) == 2


def test_a_run_that_ended_before_the_scheduler_could_record_it_is_not_repeated(tmp_path: Path) -> None:
    write_job(tmp_path, "note", appending(tmp_path / "out"))
    job = custom("note", on=("TorrentErased",))
    with bench(tmp_path, job) as made:
        assert made.run("note").ok
        made.publish(*erased("a"))
        made.workers.step()
        mark = tmp_path / "state/marks/note"
        eventually(lambda: mark.exists() and mark.read_text().split()[1:] == ["1", "1"])
        assert made.waiting() == 1, "the scheduler has not looked, and now it dies"
    with bench(tmp_path, job) as made:
        assert made.waiting() == 0
    assert lines_in(tmp_path / "out") == ["tick", "a"]


def test_events_that_a_renamed_job_leaves_behind_are_named_while_they_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A job after it runs for them without waiting."""
    write_job(tmp_path, "note", appending(tmp_path / "out"))
    old = custom("note", on=("TorrentErased",))
    with bench(tmp_path, old) as made:
        made.publish(*erased("a", "b"))
    assert "queued event" not in caplog.text
    with bench(tmp_path, custom("other", "note:Job", on=("TorrentErased",))):
        text = "job.note is not active or on no event, and has 2 queued events: they wait for a job of this name"
        assert text in caplog.text
    with bench(tmp_path, old) as made:
        made.until(lambda: made.waiting() == 0)
    assert lines_in(tmp_path / "out") == ["a", "b"]


FORKS = """
def run(self, event=None):
    import os, sys, time
    copy = os.fork()
    if copy == 0:
        {leaves}
    else:
        os.waitpid(copy, 0)
        time.sleep(0.2)
        with open({out!r}, "a") as file:
            print(event.name, file=file)
        if event.name == "bad":
            raise ValueError("the original failed")
"""


@pytest.mark.parametrize("leaves", ["sys.exit(0)", "sys.exit(3)", "return", "raise RuntimeError('in the copy')"])
def test_a_copy_that_a_run_made_of_its_process_neither_ends_the_run_nor_takes_the_next(
    tmp_path: Path, leaves: str
) -> None:
    write_job(tmp_path, "note", FORKS.format(leaves=leaves, out=str(tmp_path / "out")))
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        made.publish(*erased("a", "b", "bad", "c"))
        made.until(lambda: made.waiting() == 0)
        assert [reason.split(" (")[0] for reason in made.failures()] == ["ValueError: the original failed"]
    assert lines_in(tmp_path / "out") == ["a", "b", "bad", "c"]


@pytest.mark.parametrize("leaves", ["sys.exit(0)", "raise RuntimeError('in the copy')", "return"])
def test_a_copy_that_a_constructor_made_is_not_the_job(tmp_path: Path, leaves: str) -> None:
    body = f"""
def __init__(self, config):
    import os, sys, time
    super().__init__(config)
    copy = os.fork()
    if copy == 0:
        {leaves}
    else:
        os.waitpid(copy, 0)
{appending(tmp_path / "out")}
"""
    write_job(tmp_path, "note", body)
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        made.publish(*erased("a", "b"))
        made.until(lambda: made.waiting() == 0)
        assert not made.failures()
    assert lines_in(tmp_path / "out") == ["a", "b"]


def test_a_job_that_closed_all_descriptors_has_its_own_files_unchanged(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    body = f"""
def run(self, event=None):
    import os
    os.closerange(3, 300)
    self.files = [open({str(folder)!r} + f"/{{number}}", "wb", buffering=0) for number in range(297)]
    for file in self.files:
        file.write(b"data" * 50)
"""
    write_job(tmp_path, "note", body)
    create = CreateJob(job="note", handler="note:Job", config={}, config_dir=str(tmp_path))
    process = JobProcess(create, mark_file=tmp_path / "marks")
    try:
        eventually(lambda: process.receive().messages, 20)
        process.send(StartRun(number=1, mark="database 1 1"))
        # Nothing is received, as by a scheduler that is busy: that would kill it after a moment.
        eventually(lambda: process.status() is not None, 20)
    finally:
        process.terminate()
    found = list(folder.iterdir())
    assert len(found) == 297
    assert {file.read_bytes() for file in found} == {b"data" * 50}
    assert not (tmp_path / "marks").read_bytes()


def test_a_job_that_cannot_be_made_keeps_its_events(tmp_path: Path) -> None:
    write_job(tmp_path, "note", "def run(self, event=None): pass", "1 / 0")
    job = custom("note", on=("TorrentErased",))
    with bench(tmp_path, job) as made:
        made.publish(*erased("a"))
        made.until(lambda: made.failures())
        assert "ZeroDivisionError" in made.failures()[0]
        assert made.waiting() == 1
    write_job(tmp_path, "note", appending(tmp_path / "out"))
    with bench(tmp_path, job) as made:
        made.until(lambda: made.waiting() == 0)
    assert lines_in(tmp_path / "out") == ["a"]


def test_a_job_that_fails_when_a_job_fails_comes_to_an_end(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_job(tmp_path, name, "def run(self, event=None): raise ValueError('no')")
    jobs = [custom(name, on=("JobFailed",)) for name in ("one", "two")]
    with bench(tmp_path, *jobs) as made:
        assert not made.run("one").ok
        made.until(lambda: len(made.failures()) == 2 and made.waiting() == 0)
        made.until(lambda: made.workers.wait(time.monotonic()) > 1)
        assert len(made.failures()) == 2


def test_a_job_that_is_killed_when_a_job_fails_comes_to_an_end(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_job(tmp_path, name, "def run(self, event=None): __import__('os').kill(__import__('os').getpid(), 9)")
    jobs = [custom(name, on=("JobFailed",)) for name in ("one", "two")]
    with bench(tmp_path, *jobs) as made:
        assert not made.run("one").ok
        made.until(lambda: made.waiting() == 0, 30)
        assert "interrupted three times" in made.failures()[-1]
        assert len(made.failures()) == 1 + 3 + 1


def test_a_failure_in_the_handling_of_a_failure_is_one_after_a_kill_of_the_scheduler_too(tmp_path: Path) -> None:
    body = "def run(self, event=None):\n    if event is not None: raise ValueError('no')"
    for name in ("one", "two", "last"):
        write_job(tmp_path, name, body)
    jobs = [custom("one", on=("JobFailed",)), custom("two", on=("JobFailed",))]
    jobs.append(custom("last", on=("JobFailed",), after=("one",)))
    marks = [tmp_path / "state/marks" / name for name in ("one", "two")]
    with bench(tmp_path, *jobs) as made:
        assert made.run("one").ok
        assert made.run("two").ok
        made.publish(JobFailed(at=time.time(), job="other", reason="no", seconds=1.0))
        made.workers.step()
        eventually(lambda: all(mark.read_text().strip().endswith("failed") for mark in marks), 20)
        assert made.waiting() == 3, "the scheduler has not looked, and now it dies"
    with bench(tmp_path, *jobs) as made:
        assert made.waiting() == 0
        assert sorted(event.job for event in made.events() if isinstance(event, JobFailed)) == [
            "last", "one", "other", "two",
        ]  # fmt: skip


def counted_failures(made: Bench) -> int:
    families = made.job_table.metrics.totals.families()
    (found,) = [family for family in families if family.name == "pyrotorque_job_failures_total"]
    return int(sum(sample.value for sample in found.samples))


@pytest.mark.parametrize(
    ("head", "body", "events"),
    [
        ("1 / 0", "def run(self, event=None): pass", 1),
        ("__import__('os')._exit(3)", "def run(self, event=None): pass", 1),
        ("", "def run(self, event=None): raise ValueError('no')", 2),
        ("", "def run(self, event=None): __import__('os').kill(__import__('os').getpid(), 9)", 5),
    ],
    ids=["not created", "ends while it is created", "raises", "is killed"],
)
def test_each_failure_is_an_event_and_counts(tmp_path: Path, head: str, body: str, events: int) -> None:
    """Of the job, and of one that runs after it."""
    write_job(tmp_path, "note", body, head)
    write_job(tmp_path, "then", "def run(self, event=None): pass")
    jobs = [custom("note", on=("TorrentErased",)), custom("then", on=("TorrentErased",), after=("note",))]
    with bench(tmp_path, *jobs) as made:
        if head:
            made.workers.create_jobs()
        else:
            made.publish(*erased("a"))
        made.until(lambda: len(made.failures()) == events, 30)
        made.until(lambda: made.workers.wait(time.monotonic()) > 1)
        assert (len(made.failures()), counted_failures(made)) == (events, events)


@pytest.mark.parametrize("ahead", [0.0, 3_600.0, 86_400.0])
def test_the_events_of_other_services_are_queued_after_the_clock_was_set_back(tmp_path: Path, ahead: float) -> None:
    """`ahead`: how wrong the clock was when the job was first `on` its events."""
    now, kind = time.time(), "TorrentErased"
    store = open_store(tmp_path / "scheduler", MIGRATIONS)
    Outbox(store, "scheduler")
    runs = EventRuns(store, tmp_path)
    runs.set_routes({kind: ("note",)}, EventOrder(), now + ahead, forget=True)
    runs = EventRuns(store, tmp_path)
    # Another configuration of a later start, when the clock is right: the new job has no events from before.
    runs.set_routes({kind: ("note", "new")}, EventOrder(), now + 5, forget=True)
    with store.transaction():
        for passed in (1.0, 10.0, ahead + 10.0):
            event = TorrentErased(at=now + passed, info_hash="A" * 40, name=f"after {passed:g}")
            runs.add(event, ["note", "new", "not on it"], now + max(passed, 5.0))
    found = [job for (job,) in store.db.execute("SELECT job FROM event_runs ORDER BY number")]
    store.close()
    assert found == ["note", "note", "new", "note", "new"]


def test_what_a_job_publishes_is_an_event_for_others(tmp_path: Path) -> None:
    write_job(tmp_path, "note", "def run(self, event=None): self.publish('done', count=3)")
    write_job(tmp_path, "show", "def run(self, event=None): print( event.job, event.text, event.data['count'])")
    with bench(tmp_path, custom("note"), custom("show", on=("JobReported",))) as made:
        assert made.run("note").ok
        made.until(lambda: made.waiting() == 0)
        reports = [event for event in made.events() if isinstance(event, JobReported)]
        assert [(report.job, report.text, report.data) for report in reports] == [("note", "done", {"count": 3})]


def test_a_paused_job_keeps_its_events_for_later(tmp_path: Path) -> None:
    write_job(tmp_path, "note", appending(tmp_path / "out"))
    with bench(tmp_path, custom("note", on=("TorrentErased",))) as made:
        made.job_table.job_states.pause("note", time.time())
        made.publish(*erased("a"))
        made.until(lambda: made.workers.wait(time.monotonic()) > 1)
        assert made.waiting() == 1
        made.job_table.job_states.resume("note")
        made.until(lambda: made.waiting() == 0)
    assert lines_in(tmp_path / "out") == ["a"]


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        ({"on": ("TorrentErased",)}, {"on": ("TorrentErased",)}, True),
        ({"on": ("TorrentErased",)}, {"on": ("TorrentCompleted",)}, True),
        ({"on": ("TorrentErased",), "after": ("first",)}, {"on": ("TorrentErased",), "after": ("first",)}, True),
        ({"on": ("TorrentErased",)}, {}, False),
    ],
    ids=["as before", "on other events now", "after a job", "on no event any more"],
)
def test_events_wait_for_a_job_for_months(
    tmp_path: Path, before: dict[str, Any], now: dict[str, Any], kept: bool
) -> None:
    write_job(tmp_path, "note", "def run(self, event=None): pass")
    write_job(tmp_path, "first", "def run(self, event=None): pass")
    first = custom("first", on=("TorrentErased",)) if "after" in before else custom("first")
    with bench(tmp_path, first, custom("note", **before)) as made:
        made.publish(*erased("a"))
        queued = made.waiting()
        with made.store.transaction() as db:
            db.execute("UPDATE event_runs SET kept_at = kept_at - ?", (90 * 86_400,))
    with bench(tmp_path, first, custom("note", **now)) as made:
        assert made.waiting() == (queued if kept else 0)
