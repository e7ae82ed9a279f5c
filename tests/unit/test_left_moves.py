"""Unfinished moves of a job that was renamed, removed or switched off are reported; its items may be stopped."""

import logging
from pathlib import Path

import pytest

from pyrotorque.jobs.left_moves import left_moves
from pyrotorque.jobs.move_journal import Move, MoveJournal
from tests.commanding import Command
from tests.worker_bench import bench, custom, write_job

MOVER = "job.{0}.handler = pyrotorque.jobs.mover:Mover\njob.{0}.schedule = hour=4\njob.{0}.active = {1}\n"


def begin_move(state_dir: Path, job: str, *names: str) -> None:
    folder = state_dir / "jobs" / job
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        info_hash, path = f"{number:040X}", b"/a".hex()
        move = Move(
            info_hash=info_hash, name=name, source_hex=path, final_hex=path, multi_file=False, phase="switching"
        )
        MoveJournal(folder).write(move)


def test_only_moves_of_other_jobs_are_left(tmp_path: Path) -> None:
    begin_move(tmp_path, "mover", "One")
    begin_move(tmp_path, "night%20mover", "Two", "Three", "Four", "Five")
    begin_move(tmp_path, "done")
    (tmp_path / "jobs/own").mkdir()
    (tmp_path / "jobs/own/settings.json").write_text("{}")
    assert list(left_moves(tmp_path, ["mover", "night mover"])) == []
    (found,) = left_moves(tmp_path, ["mover"])
    assert found.startswith("job.night mover is not active, and has 4 unfinished moves (Two, Three, Four, …): ")
    assert len(list(left_moves(tmp_path, []))) == 2
    assert list(left_moves(tmp_path / "nothing", [])) == []


def test_a_file_that_ends_meanwhile_is_no_error(tmp_path: Path) -> None:
    begin_move(tmp_path, "mover", "One")
    (tmp_path / "jobs/mover/gone.json").symlink_to("nothing")
    (found,) = left_moves(tmp_path, [])
    assert "has 1 unfinished move (One)" in found


@pytest.mark.parametrize(
    ("job", "active", "warned"),
    [("mover", True, False), ("other", True, True), ("mover", False, True)],
    ids=["as before", "renamed", "switched off"],
)
def test_check_reports_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], job: str, active: bool, warned: bool
) -> None:
    command = Command(tmp_path / "config", capsys).configured(
        f"[TORQUE]\nscgi_url = scgi:///nowhere\n{MOVER.format(job, active)}"
    )
    begin_move(tmp_path / "config/state", "mover", "One")
    said = command("check")
    assert ("job.mover is not active, and has 1 unfinished move (One)" in said.out + said.err) == warned


def test_the_scheduler_logs_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_job(tmp_path, "note", "def run(self, event=None): pass")
    begin_move(tmp_path / "state", "mover", "One")
    with caplog.at_level(logging.WARNING), bench(tmp_path, custom("note")):
        assert "job.mover is not active, and has 1 unfinished move (One)" in caplog.text
