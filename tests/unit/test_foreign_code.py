"""Root runs no code of another user, except in a group that runs as root."""

import os
from pathlib import Path

import pytest

from pyrotorque import configuration
from pyrotorque.errors import UserError
from pyrotorque.foreign_code import foreign_code, refuse_foreign_config_py
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.settings import SettingsProblems

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")

OTHER_USER = 54_321
CONFIG = "[TORQUE]\nscgi_url = scgi:///x\njob.mine.handler = mine:Job\njob.mine.schedule = hour=1\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "jobs").mkdir(parents=True)
    return folder


def written(path: Path, text: str, owner: int = OTHER_USER) -> Path:
    path.write_text(text)
    os.chown(path, owner, owner)
    return path


def leaves_a_trace(home: Path) -> str:
    return f"open({str(home / 'trace')!r}, 'a').write('run as root')\n"


@pytest.mark.parametrize("name", ["config.py", "jobs/mine.py", "jobs/other.py", "torque.ini"])
def test_check_as_root_does_not_run_code_of_another_user(home: Path, name: str) -> None:
    job = leaves_a_trace(home) + "class Job:\n    def __init__(self, config): pass\n    def run(self): pass\n"
    files = {"config.py": leaves_a_trace(home), "jobs/mine.py": job, "jobs/other.py": "", "torque.ini": CONFIG}
    for each, text in files.items():
        written(home / each, text, OTHER_USER if each == name else 0)
    with pytest.raises(SettingsProblems, match=f"{name} belongs to #54321, and root would run it"):
        configuration.read(home, Options(), strict=True)
    assert not (home / "trace").exists()


def test_a_group_that_runs_as_root_is_checked_with_a_warning(home: Path) -> None:
    written(home / "config.py", leaves_a_trace(home))
    written(home / "torque.ini", "[TORQUE]\nscgi_url = scgi:///x\n", 0)
    (home / "state").mkdir()
    found = configuration.read(home, Options(), strict=True)
    assert sum("belongs to #54321" in str(warning) for warning in found.warnings) == 1


def test_a_start_as_root_gets_one_warning(home: Path) -> None:
    written(home / "config.py", "")
    written(home / "jobs/mine.py", "class Job:\n    def __init__(self, config): pass\n    def run(self): pass\n")
    written(home / "torque.ini", CONFIG)
    found = configuration.read(home, Options())
    assert sum("belongs to #54321" in str(warning) for warning in found.warnings) == 1


def test_select_does_not_run_config_py_of_another_user(home: Path) -> None:
    written(home / "config.py", "")
    with pytest.raises(UserError, match="runuser -u #54321"):
        refuse_foreign_config_py(Layout.below(home))


def test_shipped_jobs_of_another_user_are_checked(home: Path) -> None:
    text = "[TORQUE]\nscgi_url = scgi:///x\njob.x.handler = pyrotorque.jobs.command:Command\njob.x.on = LoadFailed\n"
    written(home / "torque.ini", text + "job.x.command = true\n")
    assert not configuration.read(home, Options(), strict=True).warnings


def test_a_user_may_run_everything(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home / "config.py", "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not foreign_code(home)
