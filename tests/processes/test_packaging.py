"""The wheel holds everything a user needs, and works in an empty environment."""

import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Generator
from pathlib import Path

import pytest

from demo.group import REPOSITORY

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("packaging")]

VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
SUBPROCESS_ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(REPOSITORY)]
    ended = subprocess.run(build, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return out


@pytest.fixture
def home() -> Generator[Path]:
    """A user's empty home, with a path as short as theirs: the kernel takes 107 bytes for a socket's."""
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        yield Path(folder)


def test_the_changelog_has_this_version_with_its_date() -> None:
    versions = re.findall(
        r"^## \[(\d\S+)\] - \d{4}-\d\d-\d\d$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert versions[0] == VERSION


def test_the_wheel_holds_the_process_table_the_defaults_and_the_types(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "pyrotorque/supervisor.conf",
        "pyrotorque/defaults/torque.ini",
        "pyrotorque/py.typed",
        "pyrotorque_watcher/__main__.py",
        "pyrotorque_control/py.typed",
        f"pyrotorque-{VERSION}.data/data/share/doc/pyrotorque/README.md",
        f"pyrotorque-{VERSION}.data/data/share/doc/pyrotorque/docs/settings.md",
        f"pyrotorque-{VERSION}.data/data/share/doc/pyrotorque/deploy/systemd/user/pyrotorque.service",
    ):
        assert wanted in names
    assert not [name for name in names if "__pycache__" in name]
    assert not [name for name in names if name.startswith(("tests", "demo", "benchmarks", "services", "shared"))]


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_it_works_where_nothing_else_is_installed(kind: str, dist: Path, tmp_path: Path, home: Path) -> None:
    (built,) = dist.glob(kind)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    install = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "install", "--quiet"]
    install += ["--constraint", "constraints.txt", str(built)]
    ended = subprocess.run(install, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert ended.returncode == 0, ended.stderr
    command = [str(venv / "bin" / "pyrotorque"), "--config-dir", str(home / ".pyroscope")]
    env = SUBPROCESS_ENV | {"HOME": str(home)}
    made = subprocess.run([*command, "init"], capture_output=True, text=True, env=env, check=False)
    assert made.returncode == 0, made.stderr
    assert (home / ".pyroscope" / "torque.ini").is_file()
    assert f"systemd and others: {venv}/share/doc/pyrotorque" in made.stdout
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, env=env, check=False)
    assert said.stdout == f"pyrotorque {VERSION}\n"
    asked = subprocess.run([*command, "--status"], capture_output=True, text=True, env=env, check=False)
    assert asked.returncode == 69, asked.stdout + asked.stderr
