"""The metric of failed moves counts what the jobs have stored, by a cause of few values."""

import errno
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from pyrotorque.errors import UserError
from pyrotorque.job_order import MOVER
from pyrotorque.jobs.context import job_state_dir
from pyrotorque.jobs.move_failures import MOVE_CAUSES, MoveCause, MoveFailures, MoveRefused, cause_of, stored_failures
from pyrotorque.settings.schema import CustomSettings
from pyrotorque.totals import Totals
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.move_metrics import FailedMoveCounts


class Counted:
    """The metric for some jobs, as it is published."""

    def __init__(self, state_dir: Path, *jobs: tuple[str, str]) -> None:
        self._totals = Totals()
        metrics = SchedulerMetrics(self._totals)
        settings = [CustomSettings(name=name, handler=handler, schedule="minute=*") for name, handler in jobs]
        self._counts = FailedMoveCounts(settings, state_dir, metrics)

    def update(self) -> dict[tuple[str, ...], float]:
        """The series, without those that are 0."""
        return {labels: value for labels, value in self.all().items() if value}

    def all(self) -> dict[tuple[str, ...], float]:
        self._counts.update()
        (family,) = [each for each in self._totals.families() if each.name == "pyrotorque_job_failed_moves"]
        return {sample.labels: sample.value for sample in family.samples}


def failures(state_dir: Path, job: str = "move") -> MoveFailures:
    folder = job_state_dir(state_dir, job)
    folder.mkdir(parents=True, exist_ok=True)
    return MoveFailures(folder)


def test_items_are_counted_by_cause_and_no_longer_once_they_were_moved(tmp_path: Path) -> None:
    counted = Counted(tmp_path, ("move", MOVER))
    stored = failures(tmp_path)
    for info_hash in ("AA", "BB"):
        stored.add(info_hash, "x", 0.0, cause="full")
    stored.add("CC", "x", 0.0, cause="target")
    assert counted.update() == {("move", "full"): 2, ("move", "target"): 1}
    stored.add("AA", "y", 1.0, cause="exists")
    assert counted.update() == {("move", "full"): 1, ("move", "exists"): 1, ("move", "target"): 1}
    for info_hash in ("AA", "BB", "CC"):
        stored.remove(info_hash)
    assert counted.update() == {}


def test_all_series_of_a_mover_exist_before_its_first_failure(tmp_path: Path) -> None:
    counted = Counted(tmp_path, ("move", MOVER), ("other", "mine:Job"))
    assert counted.all() == {("move", cause): 0.0 for cause in MOVE_CAUSES}


def test_a_job_of_another_class_counts_once_it_stores_failures(tmp_path: Path) -> None:
    counted = Counted(tmp_path, ("a/b", "mine:OwnMover"))
    failures(tmp_path, "a/b").add("AA", "x", 0.0, cause="io")
    assert counted.update() == {("a/b", "io"): 1}
    (job_state_dir(tmp_path, "a/b") / "failures").unlink()
    assert counted.update() == {}


def test_a_run_that_has_not_ended_is_no_failure(tmp_path: Path) -> None:
    failures(tmp_path).expect("AA", "name", 0.0)
    assert Counted(tmp_path, ("move", MOVER)).update() == {}


def test_a_cause_of_a_later_version_and_rows_of_an_earlier_one_count_as_other(tmp_path: Path) -> None:
    failures(tmp_path)
    text = '{"AA":{"reason":"x","times":1,"retry_at":1.0},"BB":{"reason":"x","times":1,"retry_at":1.0,"cause":"new"}}'
    (job_state_dir(tmp_path, "move") / "failures").write_text(text)
    assert Counted(tmp_path, ("move", MOVER)).update() == {("move", "other"): 2}


def test_nothing_that_a_job_puts_in_place_of_the_file_stops_the_reader(tmp_path: Path) -> None:
    folder = job_state_dir(tmp_path, "move")
    folder.mkdir(parents=True)
    path, counted = folder / "failures", Counted(tmp_path, ("move", MOVER))
    (tmp_path / "elsewhere").write_text('{"AA":{"reason":"x","times":1,"retry_at":1.0}}')
    os.mkfifo(path)
    assert counted.update() == {}
    path.unlink()
    path.mkdir()
    assert counted.update() == {}
    path.rmdir()
    for target in (tmp_path / "elsewhere", Path("/dev/zero"), path):
        path.symlink_to(target)
        assert counted.update() == {}
        path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert counted.update() == {}
    path.write_bytes(b'{"AA": 1}')
    assert counted.update() == {}
    assert stored_failures(folder) == {}


@pytest.mark.parametrize(
    ("chain", "cause"),
    [
        ([MoveRefused("x", "altered")], "altered"),
        ([UserError("x"), OSError(errno.ENOSPC, "x")], "full"),
        ([UserError("x"), OSError(errno.EDQUOT, "x")], "full"),
        ([OSError(errno.EROFS, "x")], "permission"),
        ([PermissionError(errno.EACCES, "x")], "permission"),
        ([FileExistsError(errno.EEXIST, "x")], "exists"),
        ([OSError("without a number")], "io"),
        ([OSError(errno.EIO, "x")], "io"),
        ([UserError("x"), MoveRefused("x", "changing"), OSError(errno.ENOSPC, "x")], "changing"),
        ([UserError("x")], "other"),
        ([ValueError("x")], "other"),
    ],
)
def test_the_cause_of_an_error_is_that_of_what_led_to_it(chain: Sequence[Exception], cause: MoveCause) -> None:
    for error, origin in pairwise(chain):
        error.__cause__ = origin
    assert cause_of(chain[0]) == cause
    assert cause in MOVE_CAUSES
