"""Files that were removed while a process of the group writes them."""

import os
import subprocess
import sys
from pathlib import Path

from pyrotorque_guardian.unnamed_files import unnamed_files


def test_a_removed_file_is_found_while_a_process_of_the_session_has_it(tmp_path: Path) -> None:
    kept, removed, closed, odd = (tmp_path / name for name in ("kept", "removed", "closed", "a\nname (deleted)"))
    paths = {kept, removed, closed, odd}
    closed.touch()
    closed.unlink()
    with kept.open("w"), removed.open("w"), odd.open("w"):
        removed.unlink()
        odd.unlink()
        assert unnamed_files(paths, os.getpid()) == {removed, odd}
        with subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
        ) as other:
            assert unnamed_files(paths, other.pid) == set(), "another session"
            other.communicate(b"\n")
        assert unnamed_files((), os.getpid()) == set()
    assert unnamed_files(paths, os.getpid()) == set()


def test_a_folder_that_is_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "state").symlink_to("disk")
    path = tmp_path / "state" / "watcher.sqlite3"
    with path.open("w"):
        path.unlink()
        assert unnamed_files({path}, os.getpid()) == {path}


def test_a_process_that_has_ended_has_no_session(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        ended.wait()
    assert unnamed_files({tmp_path / "removed"}, ended.pid) == set()
