"""`make test` runs the tests of one `xdist_group` on one worker, so that what a module starts is started once.

pytest-xdist 3.8.0 does that no longer with pytest 9.2, without a word (pytest-dev/pytest-xdist#1386).
What fails runs again alone, under its own name.
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import os
import pathlib
import pytest

pytestmark = pytest.mark.xdist_group("one")

@pytest.mark.parametrize("number", range(8))
def test_where(number):
    pathlib.Path("workers", os.environ["PYTEST_XDIST_WORKER"]).touch()
"""

FAILS_ONCE = """
import pathlib
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("name", ["a", "b@c", "d@e[f]"])
def test_failing_once(name):
    tried = pathlib.Path(f"tried-{name}")
    is_first = not tried.exists()
    tried.touch()
    assert not (is_first and name != "a")

def test_other():
    with open("others", "a") as file:
        file.write("x")
"""


WORKERS = ("-n", "2", "--dist", "loadgroup")


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder, with the hooks of this suite."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    own["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", *options, "."]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)


def test_the_tests_of_a_group_run_on_one_worker(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "test_where.py").write_text(TESTS)
    done = run_pytest(tmp_path, *WORKERS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "workers").iterdir())) == 1


def test_what_failed_in_a_group_runs_again_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "test_once.py").write_text(FAILS_ONCE)
    first = run_pytest(tmp_path, *WORKERS)
    assert "2 failed, 2 passed" in first.stdout, first.stdout + first.stderr
    again = run_pytest(tmp_path, "--last-failed", "--last-failed-no-failures", "none")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "2 passed in" in again.stdout
    assert (tmp_path / "others").read_text() == "x"


def test_a_name_that_is_no_longer_there_does_not_run_all_tests(tmp_path: Path) -> None:
    (tmp_path / "test_once.py").write_text(FAILS_ONCE)
    run_pytest(tmp_path)
    (tmp_path / "test_once.py").write_text(FAILS_ONCE.replace("failing_once", "renamed"))
    again = run_pytest(tmp_path, "--last-failed")
    assert again.returncode == 1, again.stdout + again.stderr
    assert "no test by that name" in again.stdout
    assert (tmp_path / "others").read_text() == "x"
