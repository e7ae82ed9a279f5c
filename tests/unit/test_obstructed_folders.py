"""A file at the place of a folder of the group: one line that names it, from a start and from `check`."""

import os
from pathlib import Path

import pytest

from pyrotorque.errors import LayoutError
from pyrotorque.layout import Layout
from pyrotorque_control.cli import run

PIPES = [
    "state/group.lock",
    "state/scheduler.sqlite3",
    "state/options.json",
    "state/configuration.json",
    "state/torque.ini.last-good",
    "run/options.json",
    "run/pyrotorque.pid",
    "run/programs.conf",
    "run/panel.port",
    "log/supervisord.stderr.log",
]


@pytest.mark.parametrize("name", ["run", "state", "log"])
def test_a_start_names_the_file(short_folder: Path, name: str) -> None:
    (short_folder / name).touch()
    layout = Layout.below(short_folder)
    with pytest.raises(LayoutError, match=f"{short_folder}/{name}: a file has that name; rename or remove it"):
        layout.prepare()
    expected = f"{short_folder}/{name} is a file where the group needs a folder: rename or remove it"
    assert list(layout.obstructed()) == [expected]


@pytest.mark.parametrize("name", ["log/torque.log", "log/scheduler.log", "state/watcher.sqlite3", "state/options.json"])
def test_a_start_and_check_name_a_folder_at_the_place_of_a_file(
    short_folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (short_folder / "torque.ini").write_text("[TORQUE]\nscgi_url = scgi://127.0.0.1:1\n")
    for folder in ("run", "log", "state"):
        (short_folder / folder).mkdir(mode=0o700)
    (short_folder / "run/pyrotorque").touch()
    (short_folder / name).mkdir()
    expected = f"{short_folder}/{name} is a folder where the group needs a file: rename or remove it"
    assert list(Layout.below(short_folder).obstructed()) == [expected]
    for words in ([], ["check"]):
        run(["--config-dir", str(short_folder), *words])
        assert expected in "".join(capsys.readouterr())
    assert not (short_folder / "run/supervisor.sock").exists()


@pytest.mark.parametrize("name", PIPES)
@pytest.mark.parametrize("words", [["--cron"], [], ["--status"], ["--stop"], ["check"], ["status"]], ids=" ".join)
def test_no_command_waits_for_a_pipe_at_the_place_of_a_file(
    short_folder: Path, capsys: pytest.CaptureFixture[str], name: str, words: list[str]
) -> None:
    (short_folder / "torque.ini").write_text("[TORQUE]\nscgi_url = scgi://127.0.0.1:1\n")
    for folder in ("run", "log", "state"):
        (short_folder / folder).mkdir(mode=0o700)
    (short_folder / "run/pyrotorque").touch()
    os.mkfifo(short_folder / name)
    run(["--config-dir", str(short_folder), *words])
    if words in ([], ["--cron"], ["check"]):
        expected = f"{short_folder}/{name} is a pipe, a socket or a device where the group needs a file"
        assert expected in "".join(capsys.readouterr())
    assert not (short_folder / "run/supervisor.sock").exists()


def test_folders_and_missing_ones_obstruct_nothing(short_folder: Path) -> None:
    (short_folder / "log").mkdir()
    (short_folder / "log").rmdir()
    (short_folder / "log").symlink_to(short_folder / "nowhere")  # which a start creates
    assert not list(Layout.below(short_folder).obstructed())


def test_check_warns_of_the_file(short_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (short_folder / "torque.ini").write_text("[TORQUE]\nscgi_url = scgi://127.0.0.1:1\n")
    (short_folder / "log").touch()
    run(["--config-dir", str(short_folder), "check"])
    assert f"{short_folder}/log is a file where the group needs a folder" in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", ["state", "run", "moved/state"])
def test_a_start_and_check_name_a_link_to_nothing(
    short_folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """As while a disk is not mounted: to remove the link would begin another state folder."""
    setting = f"{name.split('/')[-1]}_dir"
    (short_folder / "torque.ini").write_text(
        f"[TORQUE]\nscgi_url = scgi://127.0.0.1:1\n{setting} = {short_folder / name}\n"
    )
    link = short_folder / name.split("/")[0]
    link.symlink_to("disk/pyrotorque")
    (short_folder / "pyrotorque").touch()
    expected = f"{link} is a link to {short_folder}/disk/pyrotorque, which does not exist: mount its disk, or create it"
    for words in (["--guard-file", f"{short_folder}/pyrotorque"], ["check"]):
        run(["--config-dir", str(short_folder), *words])
        assert expected in "".join(capsys.readouterr())
    assert link.is_symlink()
