"""The gauges of clean-ups show the last run of each job; `pyrotorque status` has a line for each problem."""

from pathlib import Path

from pyrotorque.housekeeping.last_run import HANDLERS, LastRun, write_last_run
from pyrotorque.jobs.context import job_state_dir
from pyrotorque.layout import Layout
from pyrotorque.settings.schema import CustomSettings
from pyrotorque.totals import Totals
from pyrotorque_control.cleanup_problems import cleanup_results, problem_lines
from pyrotorque_scheduler.cleanup_metrics import CleanupGauges
from pyrotorque_scheduler.metrics import SchedulerMetrics

RUN = LastRun(at=1000.0, problem="refused", text="nothing is removed: no", kept={"ratio": 3}, missing=7, entries=2,
              quarantined=50, orphans=4, orphan_bytes=40)  # fmt: skip


def shown(totals: Totals) -> dict[tuple[str, ...], float]:
    return {
        (family.name.removeprefix("pyrotorque_"), *sample.labels): sample.value
        for family in totals.families()
        for sample in family.samples
    }


def written(state_dir: Path, job: str, run: LastRun) -> None:
    folder = job_state_dir(state_dir, job)
    folder.mkdir(parents=True, exist_ok=True)
    write_last_run(folder, run)


def test_the_gauges_are_those_of_the_last_run(tmp_path: Path) -> None:
    totals = Totals()
    jobs = [CustomSettings(name=name, handler=HANDLERS[0], schedule="hour=4") for name in ("tidy", "new")]
    gauges = CleanupGauges(jobs, tmp_path, SchedulerMetrics(totals))
    gauges.update()
    assert shown(totals)["cleanup_removed_items_total", "new", "delete"] == 0
    assert shown(totals)["cleanup_unfinished_removals",] == 0
    written(tmp_path, "tidy", RUN)
    (tmp_path / "housekeeping/removals").mkdir(parents=True)
    (tmp_path / "housekeeping/removals/A.json").touch()
    gauges.update()
    found = shown(totals)
    assert found["cleanup_kept_items", "tidy", "ratio"] == 3
    assert found["cleanup_kept_items", "tidy", "shared"] == 0
    assert found["cleanup_problem", "tidy", "refused"] == 1
    assert found["cleanup_problem", "tidy", "space"] == 0
    assert found["cleanup_missing_bytes", "tidy"] == 7
    assert (found["quarantine_entries", "tidy"], found["quarantine_bytes", "tidy"]) == (2, 50)
    assert (found["cleanup_orphan_files", "tidy"], found["cleanup_orphan_bytes", "tidy"]) == (4, 40)
    assert found["cleanup_unfinished_removals",] == 1
    assert ("cleanup_missing_bytes", "new") not in found
    written(tmp_path, "tidy", LastRun(at=2000.0))
    gauges.update()
    assert shown(totals)["cleanup_problem", "tidy", "refused"] == 0


def test_the_status_names_problems_and_orphans(tmp_path: Path) -> None:
    layout = Layout.below(tmp_path)
    assert cleanup_results(layout) == []
    written(layout.state_dir, "tidy", RUN)
    written(layout.state_dir, "orphans", LastRun(at=1000.0, orphans=2, orphan_bytes=2048))
    written(layout.state_dir, "fine", LastRun(at=1000.0))
    assert list(problem_lines(cleanup_results(layout), 1060.0)) == [
        "orphans: 2 files of no item, 2.0 KiB (1 min ago)",
        "tidy: nothing is removed: no (1 min ago)",
    ]
