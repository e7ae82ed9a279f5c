"""`pyrotorque status` and `explain` show failed moves: which item, where to, why, and the next attempt."""

from pathlib import Path

import pytest

from pyrotorque.jobs.move_failures import MoveFailures
from pyrotorque.layout import Layout
from pyrotorque_control.cli import run
from pyrotorque_control.failed_moves import FailedMove, failed_moves, failure_lines, is_chosen


def test_failed_moves_of_all_jobs_are_shown_with_their_next_attempt(tmp_path: Path) -> None:
    layout = Layout.below(tmp_path)
    for job, info_hash in (("move", "AA"), ("a%2Fb", "BB")):
        folder = layout.state_dir / "jobs" / job
        folder.mkdir(parents=True)
        failures = MoveFailures(folder)
        failures.add(info_hash, "exists already", 1000.0, name=f"item \x1b{info_hash}", target="/done")
        failures.add(info_hash, "exists already", 1000.0, name=f"item \x1b{info_hash}", target="/done")
    found = failed_moves(layout)
    assert [(move.job, move.info_hash, move.times, move.retry_at) for move in found] == [
        ("a/b", "BB", 2, 1120.0),
        ("move", "AA", 2, 1120.0),
    ]
    (early,) = failure_lines([found[1]], 1060.0)
    assert early.startswith("move: could not move item \\x1bAA to /done (2 times): exists already; next attempt: ")
    assert early.endswith("(in 1 min)")
    (late,) = failure_lines([found[1]], 2000.0)
    assert late.endswith("next attempt: the next run")
    assert is_chosen(found[1], "aa")
    assert is_chosen(found[1], "ITEM")
    assert not is_chosen(found[1], "other")


def test_thousands_of_failed_moves_are_counted() -> None:
    move = FailedMove(job="move", info_hash="A", name="n", target="", reason="r", cause="io", times=1, retry_at=0.0)
    lines = list(failure_lines([move] * 1000, 1.0))
    assert len(lines) == 11
    assert lines[-1] == "... and 990 more moves that failed (`pyrotorque status --json`)"


def test_without_a_mover_nothing_is_shown(tmp_path: Path) -> None:
    assert failed_moves(Layout.below(tmp_path)) == []


def test_failed_moves_are_explained_while_the_group_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Layout.below(tmp_path).state_dir / "jobs/move"
    folder.mkdir(parents=True)
    MoveFailures(folder).add("AA", "exists already", 1000.0, name="Some Name")
    assert run(["--config-dir", str(tmp_path), "explain", "some"]) == 69
    assert "could not move Some Name: exists already; next attempt: the next run" in capsys.readouterr().out
