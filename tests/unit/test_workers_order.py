"""A job runs for an event after those that it names, only if they succeeded, whichever process is killed in between."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from pyrotorque.events import TorrentCompleted, TorrentMoved
from pyrotorque_scheduler.workers import event_runs
from tests.waiting import eventually
from tests.worker_bench import Bench, appending, bench, custom, lines_in, write_job

ON = ("TorrentCompleted",)


def completed(*names: str) -> list[TorrentCompleted]:
    return [
        TorrentCompleted(at=time.time(), info_hash=f"{number:040X}", name=name) for number, name in enumerate(names)
    ]


def noting(folder: Path, job: str, more: str = "") -> None:
    """A job that appends `JOB:NAME` to one file for all jobs, then does `more`."""
    write = f"open({str(folder / 'out')!r}, 'a').write('{job}:' + getattr(event, 'name', 'tick') + '\\n')"
    write_job(folder, job, f"def run(self, event=None):\n    {write}\n    {more or 'pass'}", "import os, time")


def test_a_job_runs_after_another_for_each_event(tmp_path: Path) -> None:
    noting(tmp_path, "first", "time.sleep(0.05)")
    noting(tmp_path, "second")
    noting(tmp_path, "third")
    jobs = [
        custom("third", on=ON, after=("second",)),
        custom("second", on=ON, after=("first",)),
        custom("first", on=ON),
    ]
    with bench(tmp_path, *jobs) as made:
        made.publish(*completed("a", "b", "c"))
        made.until(lambda: made.waiting() == 0)
    found = lines_in(tmp_path / "out")
    assert len(found) == 9
    for name in "abc":
        of_name = [line.split(":")[0] for line in found if line.endswith(name)]
        assert of_name == ["first", "second", "third"]


def test_a_failure_cancels_all_jobs_after_it_for_this_event_only(tmp_path: Path) -> None:
    noting(tmp_path, "unpack", "assert event.name != 'bad'")
    noting(tmp_path, "move")
    noting(tmp_path, "notify")
    jobs = [custom("unpack", on=ON), custom("move", on=ON, after=("unpack",)), custom("notify", on=ON, after=("move",))]
    with bench(tmp_path, *jobs) as made:
        made.publish(*completed("bad", "good"))
        made.until(lambda: made.waiting() == 0)
        assert sorted(lines_in(tmp_path / "out")) == ["move:good", "notify:good", "unpack:bad", "unpack:good"]
        assert made.failures()[1:] == ["not run for bad: job unpack, which runs before it, failed"] * 2


def test_a_run_that_is_interrupted_three_times_cancels_the_jobs_after_it(tmp_path: Path) -> None:
    noting(tmp_path, "unpack", "os.kill(os.getpid(), 9)")
    noting(tmp_path, "move")
    with bench(tmp_path, custom("unpack", on=ON), custom("move", on=ON, after=("unpack",))) as made:
        made.publish(*completed("a"))
        made.until(lambda: made.waiting() == 0, 30)
        assert lines_in(tmp_path / "out") == ["unpack:a"] * 3
        assert "not run for a" in made.failures()[-1]


@pytest.mark.parametrize("fails", [True, False])
def test_the_outcome_of_a_run_outlives_the_scheduler(tmp_path: Path, fails: bool) -> None:
    noting(tmp_path, "unpack", "assert event is None" if fails else "")
    noting(tmp_path, "move")
    jobs = [custom("unpack", on=ON), custom("move", on=ON, after=("unpack",))]
    with bench(tmp_path, *jobs) as made:
        assert made.run("unpack").ok
        made.publish(*completed("a"))
        made.workers.step()
        mark = tmp_path / "state/marks/unpack"
        eventually(lambda: mark.exists() and mark.read_text().split()[1:3] == ["1", "1"], 20)
        assert made.waiting() == 2, "the scheduler has not looked, and now it dies"
    with bench(tmp_path, *jobs) as made:
        made.until(lambda: made.waiting() == 0)
        assert lines_in(tmp_path / "out") == ["unpack:tick", "unpack:a", *([] if fails else ["move:a"])]
        assert len(made.failures()) == (2 if fails else 0)


def test_a_paused_job_holds_those_after_it(tmp_path: Path) -> None:
    noting(tmp_path, "unpack")
    noting(tmp_path, "move")
    with bench(tmp_path, custom("unpack", on=ON), custom("move", on=ON, after=("unpack",))) as made:
        made.job_table.job_states.pause("unpack", time.time())
        made.publish(*completed("a"))
        made.until(lambda: made.workers.wait(time.monotonic()) > 1)
        assert made.waiting() == 2
        made.job_table.job_states.resume("unpack")
        made.until(lambda: made.waiting() == 0)
    assert lines_in(tmp_path / "out") == ["unpack:a", "move:a"]


def test_a_job_that_is_switched_off_is_not_waited_for(tmp_path: Path) -> None:
    noting(tmp_path, "unpack")
    noting(tmp_path, "move")
    move = custom("move", on=ON, after=("unpack",))
    with bench(tmp_path, custom("unpack", on=ON), move) as made:
        made.publish(*completed("a"))
    with bench(tmp_path, custom("unpack", on=ON, active=False), move) as made:
        made.until(lambda: "move:a" in (lines_in(tmp_path / "out")))


def test_events_that_a_job_missed_are_missed_by_those_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_runs, "PENDING_MAX", 2)
    monkeypatch.setattr(event_runs, "_TRIM_EVERY", 1)
    noting(tmp_path, "unpack")
    noting(tmp_path, "move")
    with bench(tmp_path, custom("unpack", on=ON), custom("move", on=ON, after=("unpack",))) as made:
        for job in ("unpack", "move"):
            made.job_table.job_states.pause(job, time.time())
        made.publish(*completed("a", "b", "c", "d"))
        made.workers.step()
        for job in ("unpack", "move"):
            made.job_table.job_states.resume(job)
        made.until(lambda: made.waiting() == 0)
    found = lines_in(tmp_path / "out")
    assert [line for line in found if line.startswith("unpack")] == ["unpack:c", "unpack:d"]
    assert [line for line in found if line.startswith("move")] == ["move:c", "move:d"]


def test_nothing_runs_early_or_twice_while_workers_and_schedulers_are_killed(tmp_path: Path) -> None:
    chance = random.Random(5)
    noting(tmp_path, "one", "time.sleep(0.002)")
    noting(tmp_path, "two", "time.sleep(0.002)")
    noting(tmp_path, "three")
    jobs = [custom("one", on=ON), custom("two", on=ON, after=("one",)), custom("three", on=ON, after=("two", "one"))]
    names = [f"n{number}" for number in range(40)]
    with bench(tmp_path, *jobs) as made:
        made.publish(*completed(*names))
    for _ in range(12):
        with bench(tmp_path, *jobs) as made:
            _serve_a_while(made, chance, tmp_path / "out")
    with bench(tmp_path, *jobs) as made:
        made.until(lambda: made.waiting() == 0, 60)
        interrupted = sum("interrupted three times" in reason for reason in made.failures())
    found = lines_in(tmp_path / "out")
    incomplete = 0
    for name in names:
        order = [line.split(":")[0] for line in found if line.endswith(f":{name}")]
        first = {job: order.index(job) for job in dict.fromkeys(order)}
        last = {job: len(order) - 1 - order[::-1].index(job) for job in first}
        incomplete += first.keys() != {"one", "two", "three"}
        # A run that was interrupted is repeated before the next job begins.
        assert "two" not in first or last["one"] < first["two"]
        assert "three" not in first or last["two"] < first["three"]
        assert order.count("three") <= 3
    assert incomplete <= interrupted, "only a run that was interrupted three times is not made"
    assert len(found) > 2 * len(names)


def _serve_a_while(made: Bench, chance: random.Random, out: Path) -> None:
    """Until some runs were made, which takes long on a busy machine; an interruption before would count as attempt."""
    enough = len(lines_in(out)) + chance.randint(1, 9)
    made.until(lambda: len(lines_in(out)) >= enough or made.waiting() == 0)
    if running := list(made.workers.pids().values()):
        os.kill(chance.choice(running), signal.SIGKILL)


MOVING = """
import time
from pyrotorque.events import TorrentMoved

def moved():
    return TorrentMoved(at=time.time(), info_hash="A" * 40, name="n", job="x", old_path="/a", new_path="/b")

"""


def test_a_move_is_stored_once_for_each_name(tmp_path: Path) -> None:
    body = """
        def run(self, event=None):
            for _ in range(2):
                self._context.publish_once("unique", moved())
    """
    write_job(tmp_path, "move", body, MOVING)
    write_job(tmp_path, "note", appending(tmp_path / "out"))
    with bench(tmp_path, custom("move"), custom("note", on=("TorrentMoved",))) as made:
        assert made.run("move").ok
        assert made.run("move").ok
        made.until(lambda: made.waiting() == 0)
        (moved,) = (event for event in made.events() if isinstance(event, TorrentMoved))
        assert (moved.job, moved.old_path, moved.new_path) == ("move", "/a", "/b")
    assert lines_in(tmp_path / "out") == ["n"]


def test_a_job_does_not_run_for_its_own_moves(tmp_path: Path) -> None:
    body = """
        def run(self, event=None):
            self._context.publish_once(str(time.time()), moved())
    """
    write_job(tmp_path, "move", body, MOVING)
    with bench(tmp_path, custom("move", on=("TorrentMoved",))) as made:
        assert made.run("move").ok
        assert made.waiting() == 0
