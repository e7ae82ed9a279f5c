"""What goes wrong in a job ends that run only, and the next run has a fresh process."""

import logging
import os
from pathlib import Path

import pytest

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
