"""What goes wrong in a job ends that run only, and the next run has a fresh process."""

import logging
import os
import signal
import time
from pathlib import Path

import pytest

from pyrotorque.events import JobReported, TorrentCompleted, TorrentErased
from tests.waiting import eventually
from tests.working import bench, custom, write_job

COUNTING = """
runs = 0
def run(self, event=None):
    self.runs += 1
    self.log.info("run %d in %d", self.runs, __import__("os").getpid())
"""


def lines(caplog: pytest.LogCaptureFixture, job: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith(f".{job}")]


def test_a_job_keeps_its_state_between_runs_and_its_lines_stand_under_its_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_job(tmp_path, "count", COUNTING)
    with caplog.at_level(logging.INFO), bench(tmp_path, custom("count")) as made:
        assert made.run("count").ok
        assert made.run("count").ok
    said = [line.split(" in ") for line in lines(caplog, "count")]
    assert [what for what, _ in said] == ["run 1", "run 2"]
    assert said[0][1] == said[1][1] != str(os.getpid())


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("__import__('sys').exit(3)", "called sys.exit(3)"),
        ("__import__('os')._exit(4)", "exit status 4"),
        ("__import__('ctypes').string_at(0)", "SIGSEGV"),
        ("__import__('os').kill(__import__('os').getpid(), 9)", "SIGKILL, by hand or for want of memory"),
        ("while True: pass", "did not end within 1 s"),
        ("__import__('re').match(r'(a+)+$', 'a' * 60 + 'b')", "did not end within 1 s"),
        ("bytearray(1 << 31)", "MemoryError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("self.config.nothing", "job.bad.nothing is not set"),
    ],
    ids=[
        "raises",
        "sys.exit",
        "os._exit",
        "segfault",
        "killed",
        "loops",
        "holds the GIL",
        "memory",
        "ctrl-c",
        "setting",
    ],
)
def test_a_fault_ends_one_run_and_the_next_has_a_fresh_process(tmp_path: Path, fault: str, reason: str) -> None:
    write_job(
        tmp_path, "bad", f"runs = 0\ndef run(self):\n    self.runs += 1\n    if self.runs == 2:\n        {fault}\n"
    )
    with bench(tmp_path, custom("bad", timeout=1.0, memory_max=256 << 20)) as made:
        assert made.run("bad").ok
        answer = made.run("bad")
        assert not answer.ok
        assert reason in answer.text
        assert [reason in told for told in made.failures()] == [True]
        assert made.run("bad").ok
        assert made.run("bad").ok is False, "the state began anew: its second run fails again"


def told_by(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def noting(path: Path, more: str = "") -> str:
    return f"""
def run(self, event=None):
    with open({str(path)!r}, "a") as file:
        print(getattr(event, "name", "tick"), file=file)
    {more}
"""


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
        made.workers.serve()
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


def test_a_flood_of_output_is_bounded_and_does_not_end_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_job(tmp_path, "flood", "def run(self):\n    for _ in range(100): print(('x' * 99 + '\\n') * 10_000)\n")
    with caplog.at_level(logging.INFO), bench(tmp_path, custom("flood", timeout=60.0)) as made:
        began = time.monotonic()
        assert made.run("flood", 60).ok
        assert time.monotonic() - began < 30, "100 MB"
    said = lines(caplog, "flood")
    assert len(said) < 600
    assert "lines were left out" in said[-1]


def test_what_a_job_started_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "child"
    body = f"""
def run(self):
    import subprocess, time
    child = subprocess.Popen(["sleep", "600"])
    open({str(path)!r}, "w").write(str(child.pid))
    time.sleep(600)
"""
    write_job(tmp_path, "parent", body)
    with bench(tmp_path, custom("parent", timeout=1.0)) as made:
        assert not made.run("parent").ok
        made.until(lambda: made.workers.pids() == {})
    eventually(lambda: not _lives(int(path.read_text())))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_job_that_hangs_while_it_is_made_is_ended(tmp_path: Path) -> None:
    write_job(tmp_path, "hang", "def run(self): pass", "while True: pass")
    with bench(tmp_path, custom("hang")) as made:
        for desk in made.workers._desks.values():  # pyright: ignore[reportPrivateUsage]
            desk.worker.starts_within = 1.0
        assert "the job was not made within 1 s" in made.run("hang").text


def test_an_unchanged_job_keeps_its_process_when_the_configuration_is_read_again(tmp_path: Path) -> None:
    write_job(tmp_path, "count", COUNTING)
    with bench(tmp_path, custom("count")) as made:
        assert made.run("count").ok
        before = made.workers.pids()
        made.workers.adopt(made.duties, made.teller, made.live.append)
        assert made.workers.pids() == before
        write_job(tmp_path, "count", COUNTING + "# changed\n")
        made.workers.adopt(made.duties, made.teller, made.live.append)
        assert made.run("count").ok
        assert made.workers.pids() != before


def test_a_tick_during_a_run_is_left_out_and_counted(tmp_path: Path) -> None:
    write_job(tmp_path, "slow", noting(tmp_path / "told", "__import__('time').sleep(0.5)"))
    with bench(tmp_path, custom("slow")) as made:
        made.workers.tick("slow")
        made.until(lambda: told_by(tmp_path / "told"))
        made.workers.tick("slow")
        made.until(lambda: made.live)
        skipped = [f for f in made.duties.metrics.totals.families() if f.name == "pyrotorque_job_skipped_total"]
        assert [sample.value for sample in skipped[0].samples] == [1]
    assert told_by(tmp_path / "told") == ["tick"]


def test_a_job_may_close_itself_when_the_scheduler_stops(tmp_path: Path) -> None:
    path = tmp_path / "closed"
    write_job(tmp_path, "tidy", f"def run(self): pass\ndef close(self): open({str(path)!r}, 'w').close()")
    with bench(tmp_path, custom("tidy")) as made:
        assert made.run("tidy").ok
    assert path.exists()


def test_a_paused_job_keeps_its_events_for_later(tmp_path: Path) -> None:
    write_job(tmp_path, "tell", noting(tmp_path / "told"))
    with bench(tmp_path, custom("tell", on=("TorrentErased",))) as made:
        made.duties.standing.pause("tell", time.time())
        made.happens(*erased("a"))
        made.until(lambda: made.workers.wait(time.monotonic()) > 1)
        assert made.waiting() == 1
        made.duties.standing.resume("tell")
        made.until(lambda: made.waiting() == 0)
    assert told_by(tmp_path / "told") == ["a"]
