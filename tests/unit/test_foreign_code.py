"""Root runs no code of another user, except in a group that runs as root."""

import os
from pathlib import Path

import pytest

from pyrotorque import configuration
from pyrotorque.errors import UserError
from pyrotorque.foreign_code import foreign_code, refuse_foreign_config_py, writable_by_all
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.settings import Report, SettingsProblems, layout_of
from pyrotorque.supervisord.config import stub, stub_file, write_programs
from pyrotorque.supervisord.validation import check_conf
from pyrotorque_control.cli import run

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


@pytest.mark.parametrize("strict", [True, False], ids=["check", "restart"])
@pytest.mark.parametrize(
    "name",
    [
        "config.py", "jobs/mine.py", "jobs/other.py", "torque.ini", "jobs/other.so", "jobs/pkg/x.py",
        "jobs/__pycache__/mine.cpython-311.pyc",
    ],
)  # fmt: skip
def test_check_as_root_does_not_run_code_of_another_user(home: Path, name: str, strict: bool) -> None:
    (home / "state").mkdir()
    os.chown(home / "state", OTHER_USER, OTHER_USER)
    job = leaves_a_trace(home) + "class Job:\n    def __init__(self, config): pass\n    def run(self): pass\n"
    files = {"config.py": leaves_a_trace(home), "jobs/mine.py": job, "jobs/other.py": "", "torque.ini": CONFIG}
    for each, text in {name: "", **files}.items():
        (home / each).parent.mkdir(exist_ok=True)
        written(home / each, text, OTHER_USER if each == name else 0)
    with pytest.raises(SettingsProblems, match=f"{name} belongs to #54321, and root would run it"):
        configuration.read(home, Options(), strict=strict)
    assert not (home / "trace").exists()


@pytest.mark.parametrize("way", ["owner", "everyone", "group"])
@pytest.mark.parametrize("folder", ["", "jobs", "jobs/pkg"])
def test_who_may_write_a_folder_may_replace_the_code_in_it(home: Path, folder: str, way: str) -> None:
    (home / "jobs/pkg").mkdir()
    for name in ("config.py", "jobs/mine.py", "jobs/pkg/other.py"):
        written(home / name, "", 0)
    assert not foreign_code(home)
    if way == "everyone":
        (home / folder).chmod(0o777)
    else:
        os.chown(home / folder, OTHER_USER if way == "owner" else 0, OTHER_USER)
        (home / folder).chmod(0o775)
    assert foreign_code(home)


def test_code_that_others_may_write_is_theirs(home: Path) -> None:
    written(home / "config.py", "", 0).chmod(0o666)
    assert "other users may write" in foreign_code(home)


def test_a_folder_without_code_may_belong_to_anyone(home: Path) -> None:
    os.chown(home, OTHER_USER, OTHER_USER)
    os.chown(home / "jobs", OTHER_USER, OTHER_USER)
    written(home / "jobs/notes.txt", "")
    assert not foreign_code(home)


def test_a_group_that_runs_as_root_is_checked_with_a_warning(home: Path) -> None:
    written(home / "config.py", leaves_a_trace(home))
    written(home / "torque.ini", "[TORQUE]\nscgi_url = scgi:///x\n", 0)
    (home / "state").mkdir()
    found = configuration.read(home, Options(), strict=True)
    assert sum("belongs to #54321" in str(warning) for warning in found.warnings) == 1


@pytest.fixture
def elsewhere(home: Path, tmp_path: Path) -> Path:
    """A folder of root with files, and a group of another user."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("")
    written(home / "config.py", leaves_a_trace(home))
    os.chown(home, OTHER_USER, OTHER_USER)
    return folder


def named(home: Path, elsewhere: Path, way: str) -> None:
    lines = "[TORQUE]\nscgi_url = scgi:///x\n"
    if way == "link":
        (home / "state").symlink_to(elsewhere)
        os.chown(home / "state", OTHER_USER, OTHER_USER, follow_symlinks=False)
    elif way == "link above":
        (home / "above").symlink_to(elsewhere.parent)
        lines += f"state_dir = {home / 'above' / elsewhere.name}\n"
    else:
        lines += f"{way} = {elsewhere}\n"
    written(home / "torque.ini", lines)


@pytest.mark.parametrize("strict", [True, False], ids=["check", "start"])
@pytest.mark.parametrize("way", ["link", "link above", "state_dir"])
def test_a_folder_of_root_that_another_user_names_proves_nothing(
    home: Path, elsewhere: Path, way: str, strict: bool
) -> None:
    named(home, elsewhere, way)
    with pytest.raises(SettingsProblems, match="belongs to #54321"):
        configuration.read(home, Options(), strict=strict)
    with pytest.raises(UserError, match="runuser -u #54321"):
        refuse_foreign_config_py(layout_of(home))
    assert not (home / "trace").exists()


@pytest.mark.parametrize("strict", [True, False], ids=["check", "start"])
@pytest.mark.parametrize("way", ["link", "state_dir", "run_dir"])
def test_a_folder_of_root_is_not_taken_for_a_group_of_another_user(
    home: Path, elsewhere: Path, way: str, strict: bool
) -> None:
    """Also without any code: it would be made private, and files be written into it."""
    (home / "config.py").unlink()
    named(home, elsewhere, way)
    with pytest.raises(SettingsProblems, match=f"{elsewhere if way != 'link' else 'state'} is a folder of root"):
        configuration.read(home, Options(), strict=strict)
    assert elsewhere.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("way", ["link of root", "started before", "below home", "empty", "home of root"])
def test_a_group_that_root_has_set_up_starts(home: Path, elsewhere: Path, way: str) -> None:
    """As in 1.0.0: in a container, files of another user and folders of root are usual."""
    state = home / "own/state" if way == "below home" else elsewhere
    if way == "link of root":
        (home / "state").symlink_to(elsewhere)
        state = home / "state"
    elif way == "started before":
        (home / "run").mkdir()
        (home / "run/programs.conf").write_text("")
    elif way == "below home":
        state.mkdir(parents=True)
        (state / "configuration.json").write_text("")
    elif way == "empty":
        (elsewhere / "file").unlink()
    else:
        os.chown(home, 0, 0)
    written(home / "torque.ini", f"[TORQUE]\nscgi_url = scgi:///x\nstate_dir = {state}\n")
    found = configuration.read(home, Options())
    assert sum("belongs to #54321" in str(warning) for warning in found.warnings) == 1


def test_a_start_as_root_gets_one_warning(home: Path) -> None:
    written(home / "config.py", "")
    written(home / "jobs/mine.py", "class Job:\n    def __init__(self, config): pass\n    def run(self): pass\n")
    written(home / "torque.ini", CONFIG)
    found = configuration.read(home, Options())
    assert sum("belongs to #54321" in str(warning) for warning in found.warnings) == 1


@pytest.mark.parametrize("name", ["config.py", "state/config.py.last-good"])
def test_no_command_runs_config_py_of_another_user(home: Path, name: str) -> None:
    (home / "state").mkdir()
    os.chown(home / "state", OTHER_USER, OTHER_USER)
    written(home / name, "")
    with pytest.raises(UserError, match="runuser -u #54321"):
        refuse_foreign_config_py(Layout.below(home))


@pytest.mark.parametrize("owner", [0, OTHER_USER])
def test_a_check_as_root_calls_no_plugin_that_another_user_chose(layout: Layout, owner: int) -> None:
    write_programs(layout, Options(), guard_files=())
    plugin = "[rpcinterface:mine]\nsupervisor.rpcinterface_factory = os:getpgid\n"
    written(stub_file(layout), stub(layout) + plugin, owner)
    report = Report()
    check_conf(layout, Options(), report)
    assert any("cannot be created" in problem.text for problem in report.problems) == (owner == 0)


def test_shipped_jobs_of_another_user_are_checked(home: Path) -> None:
    text = "[TORQUE]\nscgi_url = scgi:///x\njob.x.handler = pyrotorque.jobs.command:Command\njob.x.on = LoadFailed\n"
    written(home / "torque.ini", text + "job.x.command = true\n")
    assert not configuration.read(home, Options(), strict=True).warnings


def test_a_user_may_run_everything(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home / "config.py", "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not foreign_code(home)


@pytest.mark.parametrize("name", ["", "torque.ini", "config.ini", "jobs", "rtorrent.d"])
def test_check_warns_of_commands_that_every_user_may_write(
    home: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    written(home / "torque.ini", "[TORQUE]\nscgi_url = scgi:///x\n", 0)
    (home / name).mkdir(exist_ok=True) if "." not in name.removesuffix(".d") else (home / name).touch()
    home.chmod(0o755)
    assert not writable_by_all(home)
    (home / name).chmod((home / name).stat().st_mode | 0o002)
    run(["--config-dir", str(home), "check"])
    place = str(home / name)
    assert f"every user may write {place}, and so run commands as root: chmod o-w {place}" in capsys.readouterr().err


def test_in_a_sticky_folder_no_user_replaces_files_of_another_one(home: Path) -> None:
    home.chmod(0o1777)
    assert not writable_by_all(home)
