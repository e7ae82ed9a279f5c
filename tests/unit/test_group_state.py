"""The state folder is that of the group as long as its lock names supervisord, or it is on the disk of that lock."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pyrotorque.errors import StateError
from pyrotorque.group_lock import write_identity
from pyrotorque.group_state import require_group_state, state_problem
from pyrotorque.layout import Layout

MEMORY = Path("/dev/shm")


@contextmanager
def holder(lock: Path) -> Generator[int]:
    """The pid of a process with this file as its descriptor 3, like supervisord."""
    code = (
        "import os, sys; fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); os.dup2(fd, 3); print(flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        yield process.pid
        with suppress(BrokenPipeError):
            process.stdin.write("\n")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout.below(tmp_path / "group")
    found.config_dir.mkdir()
    found.prepare()
    return found


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("not tested: there is no second disk at /dev/shm")
    with tempfile.TemporaryDirectory(dir=MEMORY) as made:
        yield Path(made)


def test_a_folder_on_another_disk_than_the_lock_is_not_that_of_the_group(layout: Layout, other_disk: Path) -> None:
    moved = Layout.below(layout.config_dir, state_dir=other_disk)
    with holder(layout.group_lock) as pid:
        assert "is not that of the running group" in state_problem(moved, pid)
        missing = Layout.below(layout.config_dir, state_dir=other_disk / "a" / "b")
        assert "is not that of the running group" in state_problem(missing, pid)
        assert not missing.state_dir.exists()


def test_a_lock_that_names_supervisord_proves_the_folder_on_any_disk(layout: Layout, other_disk: Path) -> None:
    """A disk that is mounted again may have another number."""
    moved = Layout.below(layout.config_dir, state_dir=other_disk)
    with holder(layout.group_lock) as pid:
        write_identity(moved.group_lock, pid, (str(layout.config_dir), str(layout.supervisor_socket)))
        assert state_problem(moved, pid) == ""


@pytest.mark.parametrize("left", ["folder", "lock", "nothing"])
def test_a_swept_folder_on_the_same_disk_is_that_of_the_group(layout: Layout, left: str) -> None:
    with holder(layout.group_lock) as pid:
        if left != "lock":
            layout.group_lock.unlink()
        if left == "nothing":
            layout.state_dir.rmdir()
        assert state_problem(layout, pid) == ""


def test_without_a_lock_nothing_is_known(layout: Layout, other_disk: Path) -> None:
    """A supervisord that was started by hand or by version 1.0.0 has none; its descriptor 3 may be anything."""
    moved = Layout.below(layout.config_dir, state_dir=other_disk)
    with holder(layout.state_dir / "other.file") as pid:
        assert state_problem(moved, pid) == ""
    assert state_problem(moved, pid) == ""


def test_only_a_service_of_a_group_asks(layout: Layout, other_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Layout.below(layout.config_dir, state_dir=other_disk)
    with holder(layout.group_lock) as pid:
        monkeypatch.setattr(os, "getppid", lambda: pid)
        monkeypatch.delenv("SUPERVISOR_ENABLED", raising=False)
        require_group_state(moved)
        monkeypatch.setenv("SUPERVISOR_ENABLED", "1")
        with pytest.raises(StateError, match="is not that of the running group"):
            require_group_state(moved)
        require_group_state(layout)
