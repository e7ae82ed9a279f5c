"""What a job publishes becomes durable events, whatever its values are."""

import time
from pathlib import Path

import pytest

from pyrotorque.events import JobReported, TorrentErased
from pyrotorque.text import encode_json
from pyrotorque.workers.mark_files import read_mark, write_mark
from tests.waiting import eventually
from tests.worker_bench import Bench, bench, custom, write_job

REPORTED = {
    "float('nan')": "nan",
    "float('inf')": "inf",
    "-float('inf')": "-inf",
    "None": "None",
    "['a', 1]": "['a', 1]",
    "{'a': None}": "{'a': None}",
    "b'\\xff'": r"b'\xff'",
    "__import__('pathlib').Path('/tmp/x')": "/tmp/x",
    "__import__('decimal').Decimal('1.5')": "1.5",
    "__import__('datetime').date(2026, 11, 30)": "2026-11-30",
    "'\\udcff'": r"\xff",
    "type('Ratio', (float,), {})(0.5)": 0.5,
    "2**70": 2**70,
    "True": True,
}


def test_every_value_that_a_job_publishes_arrives(tmp_path: Path) -> None:
    calls = "\n    ".join(f"self.publish('{number}', value={value})" for number, value in enumerate(REPORTED))
    write_job(tmp_path, "note", f"def run(self, event=None):\n    {calls}")
    with bench(tmp_path, custom("note")) as made:
        assert made.run("note").ok, made.failures()
        found = {event.text: event.data["value"] for event in made.events() if isinstance(event, JobReported)}
    assert found == {str(number): value for number, value in enumerate(REPORTED.values())}
    assert found[str(len(REPORTED) - 1)] is True


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("count", [1, 50])
def test_the_reports_of_a_run_outlive_the_scheduler_once(tmp_path: Path, count: int, fails: bool) -> None:
    body = f"""
def run(self, event=None):
    for number in range({count} if event else 0):
        self.publish(f"{{event.name}} {{number}}", value=number)
    if event and {fails}:
        raise ValueError("no")
"""
    write_job(tmp_path, "note", body)
    job = custom("note", on=("TorrentErased",))
    mark = tmp_path / "state/marks/note"
    with bench(tmp_path, job) as made:
        assert made.run("note").ok
        made.publish(TorrentErased(at=time.time(), info_hash="A" * 40, name="a"))
        made.workers.step()
        eventually(lambda: mark.read_bytes().split()[1:3] == [b"1", b"1"])
        assert not reports_of(made)
        assert made.waiting() == 1, "the scheduler has not looked, and now it dies"
    for _ in range(2):
        with bench(tmp_path, job) as made:
            assert made.waiting() == 0
            assert [(report.job, report.text) for report in reports_of(made)] == [
                ("note", f"a {number}") for number in range(count)
            ]
            assert len(made.failures()) == fails


def test_the_reports_of_a_run_that_was_recorded_are_published_once(tmp_path: Path) -> None:
    write_job(tmp_path, "note", "def run(self, event=None): self.publish(event.name)")
    job = custom("note", on=("TorrentErased",))
    for name in ("a", "b"):
        with bench(tmp_path, job) as made:
            made.publish(TorrentErased(at=time.time(), info_hash="A" * 40, name=name))
            made.until(lambda: made.waiting() == 0)
    with bench(tmp_path, job) as made:
        assert [report.text for report in reports_of(made)] == ["a", "b"]


def test_a_damaged_report_beside_a_mark_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    good = encode_json(JobReported(at=1.0, job="x", text="good"))
    with path.open("wb") as file:
        write_mark(file.fileno(), "database 1 1", b"\xff\n{\n" + good + b"\n" + good[:-4])
        assert [report.text for report in read_mark(path)[1]] == ["good"]
        write_mark(file.fileno(), "database 2 1")
    assert read_mark(path) == ("database 2 1", ())


def reports_of(made: Bench) -> list[JobReported]:
    return [event for event in made.events() if isinstance(event, JobReported)]
