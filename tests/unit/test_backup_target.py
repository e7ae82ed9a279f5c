"""Where `pyrotorque backup` writes: a folder that is missing, as without its disk, is not replaced by a file."""

from pathlib import Path

import pytest

from tests.commanding import NOWHERE, Command


@pytest.fixture
def pyrotorque(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path / "home", capsys).configured(f"[TORQUE]\n{NOWHERE}")


@pytest.mark.parametrize("ending", ["/", "//", "/."])
def test_a_folder_that_is_missing_is_an_error(pyrotorque: Command, tmp_path: Path, ending: str) -> None:
    ended = pyrotorque("backup", "--no-session", f"{tmp_path}/disk{ending}")
    assert ended.code == 64
    assert ended.problem.startswith(f"pyrotorque: there is no folder {tmp_path}/disk: create it, mount its disk")
    assert not (tmp_path / "disk").exists()


@pytest.mark.parametrize("ending", ["", "/"])
def test_one_that_exists_receives_an_archive(pyrotorque: Command, tmp_path: Path, ending: str) -> None:
    (tmp_path / "disk").mkdir()
    assert pyrotorque("backup", "--no-session", f"{tmp_path}/disk{ending}").code == 0
    (archive,) = (tmp_path / "disk").iterdir()
    assert archive.name.startswith("pyrotorque-")


def test_a_name_without_a_slash_is_a_new_file(pyrotorque: Command, tmp_path: Path) -> None:
    assert pyrotorque("backup", "--no-session", f"{tmp_path}/disk").code == 0
    assert (tmp_path / "disk").is_file()
