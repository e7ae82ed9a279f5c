"""Errors in a custom job are found before anything starts, by constructing it in its own process."""

from functools import partial
from pathlib import Path

import pytest

from pyrotorque import configuration
from pyrotorque.errors import SettingsError
from pyrotorque.options import Options
from pyrotorque.workers import trial
from tests.worker_bench import write_job

INI = "[TORQUE]\njob.x.handler = x:Job\njob.x.schedule = minute=*\n"


def read(folder: Path, body: str, head: str = "", more: str = "") -> list[str]:
    """The warnings of a configuration with this job."""
    write_job(folder, "x", body, head)
    (folder / "torque.ini").write_text(INI + more)
    return [str(warning) for warning in configuration.read(folder, Options()).warnings]


def test_a_constructor_that_raises_usererror_forbids_the_configuration(tmp_path: Path) -> None:
    body = "def __init__(self, config):\n    raise pyrotorque.jobs.UserError('no colour is set')\n"
    with pytest.raises(SettingsError, match=r"torque.ini:2: job\.x\.handler: no colour is set"):
        read(tmp_path, body)


def test_a_setting_that_is_missing_is_named(tmp_path: Path) -> None:
    body = "def __init__(self, config):\n    self.colour = config.colour\n"
    with pytest.raises(SettingsError, match=r"job\.x\.colour is not set"):
        read(tmp_path, body)
    assert read(tmp_path, body, more="job.x.colour = red\n") == []


def test_a_class_that_is_not_there_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    write_job(tmp_path, "x", "def run(self): pass")
    (tmp_path / "torque.ini").write_text(INI.replace("x:Job", "x:Jobb"))
    with pytest.raises(SettingsError, match=r"the module x has no class 'Jobb'.*Job"):
        configuration.read(tmp_path, Options())


def test_a_file_with_the_name_of_a_module_of_python_is_to_be_renamed(tmp_path: Path) -> None:
    write_job(tmp_path, "logging", "def run(self): pass")
    (tmp_path / "torque.ini").write_text(INI.replace("x:Job", "logging:Job"))
    with pytest.raises(SettingsError, match=r"no class 'Job'.*jobs/logging\.py has the name of .*rename it"):
        configuration.read(tmp_path, Options())


def test_a_run_that_accepts_no_event_cannot_be_on_events(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not accept an event"):
        read(tmp_path, "def run(self): pass", more="job.x.on = TorrentLoaded\n")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("import pyrocore.torrent", "ModuleNotFoundError: No module named 'pyrocore'"),
        ("1 / 0", "ZeroDivisionError"),
        ("import os; os._exit(3)", "its process ended with status 3"),
    ],
    ids=["import error", "raises", "exits"],
)
def test_an_error_in_the_code_is_a_warning(tmp_path: Path, head: str, said: str) -> None:
    warnings = read(tmp_path, "def run(self): pass", head)
    assert len(warnings) == 1
    assert said in warnings[0]
    assert "the job fails until this is fixed" in warnings[0]


def test_a_job_that_was_not_created_in_time_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "creation_problems", partial(trial.creation_problems, within=0.5))
    (warning,) = read(tmp_path, "def __init__(self, config): threading.Event().wait()", "import threading")
    assert warning.endswith("the job could not be created within 0.5 s; each run tries again")


def test_an_inactive_job_is_not_constructed(tmp_path: Path) -> None:
    assert read(tmp_path, "def run(self): pass", "1 / 0", "job.x.active = False\n") == []


@pytest.mark.parametrize(
    ("old", "ours"),
    [
        ("pyrosimple.job.action:Action", "pyrotorque.jobs.action:Action"),
        ("pyrosimple.job.action:Command", "pyrotorque.jobs.command:Command"),
        ("pyrosimple.job.action:ItemCommand", "pyrotorque.jobs.itemcommand:ItemCommand"),
        ("pyrosimple.job.move_path:PathMover", "pyrotorque.jobs.mover:Mover"),
    ],
)
def test_jobs_of_pyrosimple_are_ours(tmp_path: Path, old: str, ours: str) -> None:
    text = f"[TORQUE]\njob.x.handler = {old}\njob.x.schedule = minute=*\njob.x.active = False\n"
    (tmp_path / "torque.ini").write_text(text)
    jobs = {job.name: job for job in configuration.read(tmp_path, Options()).settings.jobs}
    assert jobs["x"].handler == ours
