"""A job is run once for each event that it is on, whoever is killed in between."""

import os
import signal
import time
from pathlib import Path

import pytest

from pyrotorque.events import JobReported, TorrentCompleted, TorrentErased
from tests.waiting import eventually
from tests.working import bench, custom, noting, told_by, write_job


def erased(*names: str) -> list[TorrentErased]:
    return [TorrentErased(at=time.time(), info_hash="A" * 40, name=name) for name in names]


def test_a_job_is_run_once_for_each_event_that_it_is_on(tmp_path: Path) -> None:
    write_job(tmp_path, "tell", noting(tmp_path / "told"))
    with bench(tmp_path, custom("tell", on=("TorrentErased",))) as made:
        made.happens(*erased(*(f"n{number}" for number in range(50))))
        made.happens(TorrentCompleted(at=time.time(), info_hash="B" * 40, name="other"))
        made.until(lambda: made.waiting() == 0)
    assert told_by(tmp_path / "told") == [f"n{number}" for number in range(50)]


def test_an_event_outlives_the_scheduler_and_the_worker(tmp_path: Path) -> None:
    write_job(tmp_path, "tell", noting(tmp_path / "told"))
    job = custom("tell", on=("TorrentErased",))
    with bench(tmp_path, job) as made:
        made.happens(*erased("a", "b"))
        assert made.waiting() == 2
    with bench(tmp_path, job) as made:
        made.until(lambda: made.waiting() == 0)
        os.kill(made.workers.pids()["tell"], signal.SIGKILL)
        made.happens(*erased("c"))
        made.until(lambda: made.waiting() == 0)
    assert told_by(tmp_path / "told") == ["a", "b", "c"]


def test_a_run_that_somebody_killed_is_run_again_three_times_at_most(tmp_path: Path) -> None:
    write_job(tmp_path, "tell", noting(tmp_path / "told", "__import__('os').kill(__import__('os').getpid(), 9)"))
    with bench(tmp_path, custom("tell", on=("TorrentErased",))) as made:
        made.happens(*erased("a"))
        made.until(lambda: made.waiting() == 0, 30)
        assert told_by(tmp_path / "told") == ["a", "a", "a"]
        assert "interrupted three times" in made.failures()[-1]


@pytest.mark.parametrize("fault", ["raise ValueError('no')", "__import__('os')._exit(3)"])
def test_a_run_that_failed_by_itself_is_not_run_again(tmp_path: Path, fault: str) -> None:
    write_job(tmp_path, "tell", noting(tmp_path / "told", fault))
    with bench(tmp_path, custom("tell", on=("TorrentErased",))) as made:
        made.happens(*erased("a", "b"))
        made.until(lambda: made.waiting() == 0)
        assert told_by(tmp_path / "told") == ["a", "b"]
        assert len(made.failures()) == 2


def test_a_run_that_ended_while_nobody_could_note_it_is_not_repeated(tmp_path: Path) -> None:
    write_job(tmp_path, "tell", noting(tmp_path / "told"))
    job = custom("tell", on=("TorrentErased",))
    with bench(tmp_path, job) as made:
        assert made.run("tell").ok
        made.happens(*erased("a"))
        made.workers.step()
        mark = tmp_path / "state/marks/tell"
        eventually(lambda: mark.exists() and mark.read_text().split()[1:] == ["1", "1"])
        assert made.waiting() == 1, "the scheduler has not looked, and now it dies"
    with bench(tmp_path, job) as made:
        assert made.waiting() == 0
    assert told_by(tmp_path / "told") == ["tick", "a"]


def test_a_job_that_cannot_be_made_keeps_its_events(tmp_path: Path) -> None:
    write_job(tmp_path, "tell", "def run(self, event=None): pass", "1 / 0")
    job = custom("tell", on=("TorrentErased",))
    with bench(tmp_path, job) as made:
        made.happens(*erased("a"))
        made.until(lambda: made.failures())
        assert "ZeroDivisionError" in made.failures()[0]
        assert made.waiting() == 1
    write_job(tmp_path, "tell", noting(tmp_path / "told"))
    with bench(tmp_path, job) as made:
        made.until(lambda: made.waiting() == 0)
    assert told_by(tmp_path / "told") == ["a"]


def test_a_job_that_fails_when_a_job_fails_comes_to_an_end(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_job(tmp_path, name, "def run(self, event=None): raise ValueError('no')")
    jobs = [custom(name, on=("JobFailed",)) for name in ("one", "two")]
    with bench(tmp_path, *jobs) as made:
        assert not made.run("one").ok
        made.until(lambda: len(made.failures()) == 2 and made.waiting() == 0)
        made.until(lambda: made.workers.wait(time.monotonic()) > 1)
        assert len(made.failures()) == 2


def test_what_a_job_publishes_is_an_event_for_others(tmp_path: Path) -> None:
    write_job(tmp_path, "tell", "def run(self, event=None): self.publish('done', count=3)")
    write_job(tmp_path, "hear", "def run(self, event=None): print('heard', event.job, event.text, event.data['count'])")
    with bench(tmp_path, custom("tell"), custom("hear", on=("JobReported",))) as made:
        assert made.run("tell").ok
        made.until(lambda: made.waiting() == 0)
        reports = [event for event in made.events() if isinstance(event, JobReported)]
        assert [(report.job, report.text, report.data) for report in reports] == [("tell", "done", {"count": 3})]


def test_a_paused_job_keeps_its_events_for_later(tmp_path: Path) -> None:
    write_job(tmp_path, "tell", noting(tmp_path / "told"))
    with bench(tmp_path, custom("tell", on=("TorrentErased",))) as made:
        made.job_table.job_states.pause("tell", time.time())
        made.happens(*erased("a"))
        made.until(lambda: made.workers.wait(time.monotonic()) > 1)
        assert made.waiting() == 1
        made.job_table.job_states.resume("tell")
        made.until(lambda: made.waiting() == 0)
    assert told_by(tmp_path / "told") == ["a"]
