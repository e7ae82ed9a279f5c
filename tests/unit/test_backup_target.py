"""Where `pyrotorque backup` writes: a folder that is missing, as without its disk, is not replaced by a file."""

from pathlib import Path

import pytest

from pyrotorque.layout import Layout
from pyrotorque_control.backup.create import Progress, make_backup
from pyrotorque_control.backup.manifest import Manifest
from pyrotorque_control.backup.session_files import SessionSource
from pyrotorque_control.commands import backup
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


class OtherBackup:
    """Another group whose backup takes the same name first."""

    def __init__(self) -> None:
        self.archives: list[Path] = []

    def __call__(self, layout: Layout, archive: Path, session: SessionSource | None, progress: Progress) -> Manifest:
        if not self.archives:
            archive.write_text("of another group")
        self.archives.append(archive)
        return make_backup(layout, archive, session, progress)


def test_of_two_groups_that_write_to_one_folder_at_the_same_time_both_have_an_archive(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = OtherBackup()
    monkeypatch.setattr(backup, "make_backup", other)
    (tmp_path / "disk").mkdir()
    ended = pyrotorque("backup", "--no-session", f"{tmp_path}/disk")
    first, second = other.archives
    assert ended.code == 0
    assert f"written {second}" in ended.out
    assert first.read_text() == "of another group"
    assert sorted((tmp_path / "disk").iterdir()) == [first, second]


def test_a_file_that_appears_meanwhile_is_an_error_with_its_name(
    pyrotorque: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "make_backup", OtherBackup())
    ended = pyrotorque("backup", "--no-session", f"{tmp_path}/one.tar.gz")
    assert ended.code == 64
    assert ended.problem == f"pyrotorque: {tmp_path}/one.tar.gz exists already and is not overwritten"
    assert (tmp_path / "one.tar.gz").read_text() == "of another group"
