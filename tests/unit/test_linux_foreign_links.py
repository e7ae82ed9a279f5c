"""Root follows no link of another user to a log; links of root, and all links of a user without root, are followed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrotorque import logs
from pyrotorque.errors import LayoutError
from pyrotorque.guard_file import GuardFiles
from pyrotorque.layout import Layout
from pyrotorque.linux.foreign_links import ForeignLink, foreign_link, open_file
from pyrotorque_control.exit_codes import EX_CONFIG
from pyrotorque_control.foreground import LogTail
from pyrotorque_control.lifecycle import update_generated_files
from pyrotorque_guardian.log_rotation import rotate

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes links of another user")
OTHER = 12345
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


def append(path: Path, text: bytes = b"text") -> None:
    fd = open_file(path, APPEND)
    os.write(fd, text)
    os.close(fd)


def link(path: Path, target: Path, owner: int = OTHER) -> Path:
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


@needs_root
@pytest.mark.parametrize("exists", [True, False])
def test_root_neither_writes_nor_creates_through_a_link_of_another_user(tmp_path: Path, exists: bool) -> None:
    secret = tmp_path / "secret"
    if exists:
        secret.write_text("x")
    path = link(tmp_path / "torque.log", secret)
    with pytest.raises(ForeignLink, match="a link of user 12345, which root does not follow"):
        append(path)
    assert foreign_link(path) == str(path)
    assert secret.exists() == exists
    assert not exists or secret.read_text() == "x"


@needs_root
def test_nor_through_one_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    link(tmp_path / "log", tmp_path / "secret")
    own = tmp_path / "own"
    own.symlink_to("log/../log")
    for folder in (tmp_path / "log", own):
        with pytest.raises(ForeignLink):
            append(folder / "torque.log")
    assert list((tmp_path / "secret").iterdir()) == []


@pytest.mark.parametrize("target", ["disk/x.log", "./../{name}/disk/x.log", "{top}/disk/x.log", "first", "disk"])
def test_a_link_of_root_or_of_the_user_is_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to(tmp_path / "disk" / "x.log")
    path = tmp_path / "torque.log"
    path.symlink_to(target.format(name=tmp_path.name, top=tmp_path))
    if target == "disk":
        path = path / "x.log"
    append(path, b"one")
    append(path, b"two")
    assert (tmp_path / "disk" / "x.log").read_text() == "onetwo"
    assert (tmp_path / "disk" / "x.log").stat().st_mode & 0o777 == 0o600
    assert foreign_link(path) == ""


def test_what_os_open_refuses_is_refused_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    cases = [
        (tmp_path / "missing" / "x", FileNotFoundError), (tmp_path / "file" / "x", NotADirectoryError),
        (tmp_path, IsADirectoryError), (tmp_path / "loop", OSError),
    ]  # fmt: skip
    for path, kind in cases:
        with pytest.raises(kind):
            append(path)


def test_a_relative_path_is_one_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    append(Path("x.log"))
    assert (tmp_path / "x.log").read_text() == "text"


def test_a_log_may_lead_to_the_standard_output(tmp_path: Path) -> None:
    """As in containers, whose logs are those of the process."""
    path = tmp_path / "torque.log"
    path.symlink_to("/dev/stdout")
    code = (
        f"import os; from pyrotorque.linux.foreign_links import open_file; os.write(open_file({str(path)!r}, 1), b'x')"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert done.stdout == b"x"


# --- what opens logs


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout.below(tmp_path / "config")
    found.prepare()
    return found


def write_to_owners_log(layout: Layout) -> None:
    logs.AppendedFile(str(layout.log_dir / "torque.log")).write("text")


def start_by_cron(layout: Layout) -> None:
    layout.guard_file.touch()
    (layout.config_dir / "torque.ini").write_text("text of the other user's choice\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = ["--cron", f"--config-dir={layout.config_dir}"]
    command = [sys.executable, "-m", "pyrotorque_control", *words]
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    # What this one starts in the background:
    detached = [sys.executable, "-m", "pyrotorque_control.cron", str(layout.config_dir), *words]
    done = subprocess.run(detached, env=environment, stdout=subprocess.DEVNULL, check=False)
    assert done.returncode == EX_CONFIG


def rotate_logs(layout: Layout) -> None:
    rotate([layout.log_dir / "torque.log"], maximum=0)


def follow(layout: Layout) -> None:
    tail = LogTail(layout.log_dir / "torque.log")
    with (layout.log_dir / "torque.log").open("a") as file:
        file.write("more\n")
    assert list(tail.lines()) == []


@needs_root
@pytest.mark.parametrize("use", [write_to_owners_log, start_by_cron, rotate_logs, follow])
@pytest.mark.parametrize("place", ["file", "folder"])
def test_no_log_of_another_user_leads_root_elsewhere(
    layout: Layout, tmp_path: Path, use: Callable[[Layout], None], place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "torque.log").write_text("x\n")
    if place == "folder":
        layout.log_dir.rmdir()
        link(layout.log_dir, secret)
    else:
        link(layout.log_dir / "torque.log", secret / "torque.log")
    os.chown(layout.config_dir, OTHER, OTHER)
    if use is not write_to_owners_log:
        use(layout)
    else:
        with pytest.raises(ForeignLink):
            use(layout)
    assert [path.name for path in secret.iterdir()] == ["torque.log"]
    assert (secret / "torque.log").read_text() in ("x\n", "x\nmore\n")
    assert capfd.readouterr() == ("", "")


@needs_root
@pytest.mark.parametrize("name", ["", "torque.log", "scheduler.log", "supervisord.stderr.log", "guardian.stderr.log"])
def test_no_group_of_root_starts_with_such_a_log(layout: Layout, tmp_path: Path, name: str) -> None:
    """supervisord opens its logs itself."""
    if not name:
        layout.log_dir.rmdir()
    path = link(layout.log_dir / name, tmp_path / "missing")
    with pytest.raises(LayoutError, match=f"{path} is a link of another user"):
        layout.prepare()
    assert not (tmp_path / "missing").exists()


@needs_root
def test_an_admin_may_move_logs_to_another_disk(layout: Layout, tmp_path: Path) -> None:
    layout.log_dir.rmdir()
    layout.log_dir.symlink_to(tmp_path / "disk")
    layout.prepare()
    write_to_owners_log(layout)
    assert (tmp_path / "disk" / "torque.log").read_text() == "text"


@needs_root
def test_no_other_file_is_created_through_one(layout: Layout, tmp_path: Path) -> None:
    link(layout.guard_file, tmp_path / "missing")
    GuardFiles((layout.guard_file,)).restore()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "torque.rc.default").write_text("x")
    link(layout.config_dir / "rtorrent.d", secret)
    update_generated_files(layout.config_dir)
    assert (secret / "torque.rc.default").read_text() == "x"
    assert not (tmp_path / "missing").exists()
