"""What goes wrong in a job ends that run only, and the next run has a fresh process."""

import logging
import os
import signal
import time
from pathlib import Path

import pytest

from pyrotorque.events import JobRecovered
from tests.waiting import bound, eventually
from tests.worker_bench import appending, bench, custom, lines_in, write_job

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


def test_a_memory_limit_above_the_numbers_of_the_kernel_is_none(tmp_path: Path) -> None:
    write_job(tmp_path, "count", COUNTING)
    with bench(tmp_path, custom("count", memory_max=1 << 70)) as made:
        assert made.run("count").ok, made.failures()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("__import__('sys').exit(3)", "called sys.exit(3)"),
        ("__import__('os')._exit(4)", "exit status 4"),
        ("__import__('ctypes').string_at(0)", "SIGSEGV"),
        (
            "__import__('os').kill(__import__('os').getpid(), 9)",
            "SIGKILL, by a user or because",
        ),
        ("while True: pass", "did not end within 3 s"),
        ("__import__('re').match(r'(a+)+$', 'a' * 60 + 'b')", "did not end within 3 s"),
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
    # What ends by itself takes its time on a busy machine.
    limit = 3.0 if "within 3 s" in reason else 60.0
    with bench(tmp_path, custom("bad", timeout=limit, memory_max=256 << 20)) as made:
        assert made.run("bad").ok
        answer = made.run("bad")
        assert not answer.ok
        assert reason in answer.text
        assert [reason in failure for failure in made.failures()] == [True]
        assert made.run("bad").ok
        assert made.run("bad").ok is False, "the state is new: its second run fails again"


def test_a_flood_of_output_is_bounded_and_does_not_end_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_job(tmp_path, "flood", "def run(self):\n    for _ in range(100): print(('x' * 99 + '\\n') * 10_000)\n")
    with caplog.at_level(logging.INFO), bench(tmp_path, custom("flood", timeout=60.0)) as made:
        began = time.monotonic()
        assert made.run("flood", 60).ok
        assert time.monotonic() - began < bound(30), "100 MB"
    said = lines(caplog, "flood")
    assert len(said) < 600
    assert "dropped" in said[-1]


@pytest.mark.parametrize("group", ["None", "0"], ids=["in its group", "in a group of its own"])
def test_what_a_job_started_goes_with_it(tmp_path: Path, group: str) -> None:
    path = tmp_path / "child"
    body = f"""
def run(self):
    import subprocess, time
    child = subprocess.Popen(["sleep", "600"], process_group={group})
    open({str(path)!r}, "w").write(str(child.pid))
    time.sleep(600)
"""
    write_job(tmp_path, "parent", body)
    with bench(tmp_path, custom("parent", timeout=bound(2.0))) as made:
        assert not made.run("parent").ok
        made.until(lambda: made.workers.pids() == {})
    eventually(lambda: not _lives(int(path.read_text())))


def test_what_a_command_started_ends_with_its_job(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    text = f"sleep 600 & echo $! $$ > {path}; wait"
    params: dict[str, str | int | bool] = {"command": text, "shell": True}
    job = custom("run", "pyrotorque.jobs.command:Command", params=params, timeout=bound(2.0))
    with bench(tmp_path, job) as made:
        assert not made.run("run").ok
    eventually(lambda: not any(map(_lives, map(int, path.read_text().split()))))


def test_a_command_ends_when_the_scheduler_and_so_the_worker_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    params: dict[str, str | int | bool] = {"command": f"echo $$ > {path}; exec sleep 600", "shell": True}
    with bench(tmp_path, custom("run", "pyrotorque.jobs.command:Command", params=params)) as made:
        made.workers.tick("run")
        made.until(lambda: path.exists() and path.read_text())
        os.kill(made.workers.pids()["run"], signal.SIGKILL)
        eventually(lambda: not _lives(int(path.read_text())), why="before the scheduler looked")


def test_a_job_creates_files_with_the_users_umask(tmp_path: Path) -> None:
    write_job(tmp_path, "make", appending(tmp_path / "out"))
    before = os.umask(0o077)
    try:
        with bench(tmp_path, custom("make")) as made:
            assert made.run("make").ok
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o644


def test_an_endless_line_of_messages_ends_the_process_and_garbage_does_not(tmp_path: Path) -> None:
    find = "s = [o for o in __import__('gc').get_objects() if type(o).__name__ == 'Channel'][0]._socket"
    write_job(tmp_path, "odd", f"def run(self):\n    {find}\n    s.sendall(b'{{}}\\n\\xff\\xfe\\n[]\\n')\n")
    write_job(tmp_path, "endless", f"def run(self):\n    {find}\n    while True: s.sendall(b'x' * 65536)\n")
    with bench(tmp_path, custom("odd"), custom("endless")) as made:
        assert made.run("odd").ok
        assert "sent an oversized message" in made.run("endless").text


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_job_that_closes_all_descriptors_is_ended_at_once(tmp_path: Path) -> None:
    """As libraries do that make daemons: its exit could not be received, and the loop would spin."""
    write_job(tmp_path, "closer", "def run(self):\n    os.closerange(3, 200)\n    time.sleep(60)", "import os, time")
    with bench(tmp_path, custom("closer", timeout=30.0)) as b:
        assert "closed its connection" in b.run("closer", timeout=10.0).text


def test_a_job_that_hangs_while_it_is_made_is_ended(tmp_path: Path) -> None:
    write_job(tmp_path, "hang", "def run(self): pass", "while True: pass")
    with bench(tmp_path, custom("hang")) as made:
        for job in made.workers._jobs.values():  # pyright: ignore[reportPrivateUsage]
            job.worker.creation_deadline = 1.0
        assert "the job was not created within 1 s" in made.run("hang").text


def test_an_unchanged_job_keeps_its_process_when_the_configuration_is_read_again(tmp_path: Path) -> None:
    write_job(tmp_path, "count", COUNTING)
    with bench(tmp_path, custom("count")) as made:
        assert made.run("count").ok
        before = made.workers.pids()
        made.workers.configure(made.job_table, made.router, made.live.append)
        assert made.workers.pids() == before
        write_job(tmp_path, "count", COUNTING + "# changed\n")
        made.workers.configure(made.job_table, made.router, made.live.append)
        assert made.run("count").ok
        assert made.workers.pids() != before


def test_a_tick_during_a_run_is_left_out_and_counted(tmp_path: Path) -> None:
    write_job(tmp_path, "slow", appending(tmp_path / "out", "__import__('time').sleep(0.5)"))
    with bench(tmp_path, custom("slow")) as made:
        made.workers.tick("slow")
        made.until(lambda: lines_in(tmp_path / "out"))
        made.workers.tick("slow")
        made.until(lambda: made.live)
        skipped = [f for f in made.job_table.metrics.totals.families() if f.name == "pyrotorque_job_skipped_total"]
        assert [sample.value for sample in skipped[0].samples] == [1]
    assert lines_in(tmp_path / "out") == ["tick"]


def test_a_job_may_close_itself_when_the_scheduler_stops(tmp_path: Path) -> None:
    path = tmp_path / "closed"
    write_job(tmp_path, "tidy", f"def run(self): pass\ndef close(self): open({str(path)!r}, 'w').close()")
    with bench(tmp_path, custom("tidy")) as made:
        assert made.run("tidy").ok
    assert path.exists()


def test_a_condition_that_cannot_mean_what_was_typed_is_used_as_before_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_job(
        tmp_path,
        "old",
        """
        def __init__(self, config):
            super().__init__(config)
            self.chosen = self.condition(config["chosen"])
        def run(self, event=None):
            from pyrotorque.conditions import parse
            assert parse(self.config["chosen"]) == self.chosen == self.condition("name=prio name=\\\\= name=2")
        """,
    )
    with caplog.at_level(logging.INFO), bench(tmp_path, custom("old", params={"chosen": "prio = 2"})) as made:
        assert made.run("old").ok
        assert made.run("old").ok
    assert lines(caplog, "old") == [
        "job.old.chosen is used as 1.0.0 read it, but cannot mean what was typed: `=` stands alone: "
        r"write `prio=2`; for an item of that name: `name=\=`"
    ]


FAILS_ONCE = """
def run(self):
    import os, pathlib
    if not pathlib.Path({path!r}).exists():
        print("the server is not there", flush=True)
        raise ValueError("no answer")
"""


def test_a_recovery_is_reported_also_when_the_scheduler_was_restarted_since_the_failure(tmp_path: Path) -> None:
    path = tmp_path / "there"
    write_job(tmp_path, "report", FAILS_ONCE.format(path=str(path)))
    with bench(tmp_path, custom("report")) as made:
        assert not made.run("report").ok
    with bench(tmp_path, custom("report")) as made:
        made.job_table.restore_metrics()
        assert made.job_table.metrics.last_end.get("report")
        assert not made.run("report").ok
    path.touch()
    with bench(tmp_path, custom("report")) as made:
        assert made.run("report").ok
        assert made.run("report").ok
        recovered = [event for event in made.events() if isinstance(event, JobRecovered)]
        assert len(recovered) == 1
        assert recovered[0].job == "report"
    with bench(tmp_path, custom("report")) as made:
        assert made.run("report").ok
        assert len([event for event in made.events() if isinstance(event, JobRecovered)]) == 1


REPORTS_ONCE = """import pathlib, time
from pyrotorque.housekeeping.last_run import LastRun
from pyrotorque.jobs.housekeeping_job import HousekeepingJob

class Job(HousekeepingJob):
    def carry_out(self):
        text = pathlib.Path({path!r}).read_text()
        return LastRun(at=time.time(), problem="waiting" if text else None, text=text)
"""


def test_a_clean_up_recovers_when_its_problem_ends_and_not_when_it_is_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "problem"
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/tidy.py").write_text(REPORTS_ONCE.format(path=str(path)))
    with bench(tmp_path, custom("tidy")) as made:
        for text, expected in (("", True), ("a plan waits", False), ("a plan waits", True), ("another", False)):
            path.write_text(text)
            assert made.run("tidy").ok == expected
        assert made.failures() == ["a plan waits", "another"]
    with bench(tmp_path, custom("tidy")) as made:
        assert made.run("tidy").ok
        assert [event for event in made.events() if isinstance(event, JobRecovered)] == []
        path.write_text("")
        assert made.run("tidy").ok
        (recovered,) = [event for event in made.events() if isinstance(event, JobRecovered)]
        assert recovered.job == "tidy"


def test_a_failing_job_that_was_removed_does_not_recover(tmp_path: Path) -> None:
    write_job(tmp_path, "gone", "def run(self):\n    raise ValueError('x')\n")
    with bench(tmp_path, custom("gone")) as made:
        assert not made.run("gone").ok
    with bench(tmp_path):
        pass
    write_job(tmp_path, "gone", "def run(self):\n    pass\n")
    with bench(tmp_path, custom("gone")) as made:
        assert made.run("gone").ok
        assert [event for event in made.events() if isinstance(event, JobRecovered)] == []


def test_what_a_failed_program_printed_last_is_shown_here_and_not_published(tmp_path: Path) -> None:
    command = {"command": "/bin/sh -c 'echo the server is not there >&2; echo; exit 3'"}
    job = custom("report", "pyrotorque.jobs.command:Command", params=command)
    with bench(tmp_path, job) as made:
        answer = made.run("report")
        assert answer.text == "report failed: /bin/sh exited with status 3 (the server is not there)"
        stored = made.job_table.last_runs.get("report")
        assert stored is not None
        assert stored.reason == "/bin/sh exited with status 3 (the server is not there)"
        assert made.failures() == ["/bin/sh exited with status 3"]
