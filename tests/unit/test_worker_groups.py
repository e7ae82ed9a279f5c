"""`make test` runs the tests of one `xdist_group` on one worker, so that what a module starts is started once.

pytest-xdist 3.8.0 does that no longer with pytest 9.2, without a word (pytest-dev/pytest-xdist#1386).
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


def test_the_tests_of_a_group_run_on_one_worker(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "test_where.py").write_text(TESTS)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    done = subprocess.run([*pytest_, "."], cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "workers").iterdir())) == 1
