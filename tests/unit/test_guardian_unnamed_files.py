"""Databases that were removed or moved while a process of the group writes them."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from pyrotorque_guardian.unnamed_files import unnamed_databases


def test_a_removed_file_is_found_while_a_process_of_the_session_has_it(tmp_path: Path) -> None:
    kept, removed, closed, odd = (tmp_path / name for name in ("kept", "removed", "closed", "a\nname (deleted)"))
    paths = {kept, removed, closed, odd}
    closed.touch()
    closed.unlink()
    with kept.open("w"), removed.open("w"), odd.open("w"):
        removed.unlink()
        odd.unlink()
        assert unnamed_databases(paths, os.getpid()) == {removed, odd}
        with subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
        ) as other:
            assert unnamed_databases(paths, other.pid) == set(), "another session"
            other.communicate(b"\n")
        assert unnamed_databases((), os.getpid()) == set()
    assert unnamed_databases(paths, os.getpid()) == set()


def test_a_folder_that_is_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "state").symlink_to("disk")
    path = tmp_path / "state" / "watcher.sqlite3"
    with path.open("w"):
        path.unlink()
        assert unnamed_databases({path}, os.getpid()) == {path}


def test_a_process_that_has_ended_has_no_session(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        ended.wait()
    assert unnamed_databases({tmp_path / "removed"}, ended.pid) == set()


def test_a_database_that_was_moved_is_found_by_its_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "watcher.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (x)")
        path.rename(tmp_path / "elsewhere")
        assert unnamed_databases({path, tmp_path / "scheduler.sqlite3"}, os.getpid()) == {path}
