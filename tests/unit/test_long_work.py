"""Long work is shown in `status` while it runs, whatever process does it, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from pyrotorque import long_work
from pyrotorque.linux.processes import boot_id
from pyrotorque.long_work import FOLDER, LongWork, WorkReport, running_work
from tests.waiting import bound


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_work, "_SHOWN_AFTER", 0.0)
    monkeypatch.setattr(long_work, "_EVERY", 0.0)


def work(**values: object) -> LongWork:
    plain: dict[str, object] = {"what": "backup", "unit": "item", "done": 0, "total": 0, "began": 0.0}
    return msgspec.convert({**plain, "pid": os.getpid(), "boot": boot_id(), **values}, LongWork)


def written(run_dir: Path, found: LongWork, name: str = "1.json") -> Path:
    (run_dir / FOLDER).mkdir(exist_ok=True)
    path = run_dir / FOLDER / name
    path.write_bytes(msgspec.json.encode(found))
    return path


@pytest.mark.usefixtures("at_once")
def test_work_is_found_while_it_runs_and_not_after(tmp_path: Path) -> None:
    with WorkReport(tmp_path, "tidy: removing", 3) as report:
        for done, _ in enumerate(report.each("abc"), 1):
            report.advance(0)
            (found,) = running_work(tmp_path)
            assert (found.what, found.done, found.total) == ("tidy: removing", done - 1, 3)
    assert running_work(tmp_path) == []
    assert list((tmp_path / FOLDER).iterdir()) == []


@pytest.mark.usefixtures("at_once")
def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fails() -> None:
        with WorkReport(tmp_path, "backup", 2) as report:
            report.advance()
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fails()
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_short_work_writes_nothing(tmp_path: Path) -> None:
    with WorkReport(tmp_path, "backup", 2) as report:
        report.advance()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("at_once")
def test_work_continues_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    with WorkReport(tmp_path, "backup", 2) as report:
        report.advance()
    with WorkReport(None, "backup", 2) as report:
        report.advance()
    assert running_work(tmp_path) == []


def test_work_of_a_killed_process_or_an_earlier_boot_is_forgotten(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(bound(60))
    killed = written(tmp_path, work(pid=ended.pid), "1.json")
    earlier = written(tmp_path, work(boot="another"), "2.json")
    written(tmp_path, work(), "3.json")
    (tmp_path / FOLDER / "4.json").write_text("{")
    assert len(running_work(tmp_path)) == 1
    assert not killed.exists()
    assert not earlier.exists()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"done": 500, "total": 2000, "began": 90.0}, "backup: 500 of 2000 items (25 %), about 30 s left"),
        ({"done": 3 << 29, "total": 6 << 30, "unit": "bytes", "began": 100.0}, "backup: 1.5 GiB of 6.0 GiB (25 %)"),
        ({"done": 1, "total": 0}, "backup: 1"),
        ({"done": 0, "total": 1}, "backup: 0 of 1 item (0 %)"),
        ({"done": 9, "total": 3}, "backup: 9 of 3 items (100 %)"),
        (
            {"what": "copying a\x1b[2Jb", "done": 1, "total": 2},
            "copying a\\x1b[2Jb: 1 of 2 items (50 %), about 1 min 40 s left",
        ),
    ],
)
def test_the_sentence_has_the_share_and_the_time_left(values: dict[str, object], text: str) -> None:
    assert work(**values).sentence(100.0) == text


def test_a_report_of_a_million_steps_costs_little(tmp_path: Path) -> None:
    with WorkReport(tmp_path, "x", 100_000) as report:
        began = time.process_time()
        for _ in range(100_000):
            report.advance()
    assert time.process_time() - began < bound(5)
