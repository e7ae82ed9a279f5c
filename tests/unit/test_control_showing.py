"""What `watched` and `status` show: nothing folded that one wants to copy, nothing that breaks a terminal."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from pyrotorque.store import open_store
from pyrotorque_control.commands.status import shown
from pyrotorque_control.overview import Overview, ServiceView
from pyrotorque_control.terminal import aligned, console
from pyrotorque_watcher.rows import MIGRATIONS
from tests.commanding import Command
from tests.waiting import eventually


@pytest.fixture
def pyrotorque(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path / "home", capsys)


def test_watched_lists_the_ledger(pyrotorque: Command) -> None:
    pyrotorque.configured("[TORQUE]\n")
    (pyrotorque.home / "state").mkdir()
    store = open_store(pyrotorque.home / "state/watcher.sqlite3", MIGRATIONS)
    columns = (
        "job, path, folder, root, size, mtime_ns, ctime_ns, device, inode, state, reason, "
        "first_seen, changed, closed, token"
    )
    for number, state in enumerate(("loaded", "failed")):
        path = f"/w/{number}\n.torrent".encode() + b"\xff"
        with store.transaction() as db:
            values = ("treewatch", path, b"/w", b"/w", 7, 0, 0, 0, 0, state, "why", 0.0, 0.0, 0.0, "t")
            db.execute(f"INSERT INTO metafiles ({columns}) VALUES ({', '.join('?' * len(values))})", values)
    store.close()
    rows = [json.loads(line) for line in pyrotorque("watched", "--json").out.splitlines()]
    assert [(row["path"], row["state"]) for row in rows] == [
        ("/w/0\\n.torrent\\xff", "loaded"),
        ("/w/1\\n.torrent\\xff", "failed"),
    ]
    day = datetime.fromtimestamp(0).strftime("%Y-%m-%d %H:%M:%S")
    assert pyrotorque("watched").out.splitlines() == [
        f"{day}  loaded  treewatch  /w/0\\n.torrent\\xff",
        f"{'':19}  why",
        f"{day}  failed  treewatch  /w/1\\n.torrent\\xff",
        f"{'':19}  why",
        "2 metafiles",
    ]
    assert pyrotorque("watched", "--state", "failed").out.endswith("1 metafile\n")


def test_columns_are_aligned_and_never_folded() -> None:
    rows = [("a", "size", "name"), ("longer", 7, "x" * 300), ("ü☃", 12345, "日本\n")]
    assert list(aligned(rows)) == ["a       size   name", f"longer  7      {'x' * 300}", "ü☃      12345  日本\\n"]
    assert list(aligned([])) == []


def test_watched_before_the_first_start_reports_that(pyrotorque: Command) -> None:
    ended = pyrotorque.configured("[TORQUE]\n")("watched")
    assert ended.code == 74
    assert "the service has not run" in ended.problem


def test_the_table_of_services_has_one_row_for_each() -> None:
    services = (
        ServiceView(name="watcher", state="RUNNING", pid=7, since=940.0, says="1 tree"),
        ServiceView(name="mine:x", state="FATAL", pid=0, since=0.0, says="[red]no[/]\x1b"),
    )
    out = console()
    with out.capture() as captured:
        out.print(shown(Overview(config_dir="/c", running=True, pid=5, since=900.0, services=services), 1000.0))
    text = captured.get()
    assert "pyrotorque is running, pid 5, up 1 min 40 s (/c)" in text
    assert " 1 min " in text
    assert "[red]no[/]\\x1b" in text, "text of a service is not markup and cannot control the terminal"


def test_watching_ends_well_by_ctrl_c_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    seen = bytearray()

    def shows(wanted: bytes) -> bool:
        with contextlib.suppress(BlockingIOError, OSError):
            seen.extend(os.read(ours, 65536))
        return wanted in seen

    words = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(tmp_path), "status", "--watch"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as watching:
        try:
            eventually(lambda: seen.count(b"is not running") >= 2 or shows(b"\0"), timeout=20)
            watching.send_signal(signal.SIGINT)
            assert watching.wait() == 0
        finally:
            watching.kill()
    os.close(theirs)
    eventually(lambda: shows(b"\x1b[?25h"), why="the cursor is shown again")
    assert b"Traceback" not in seen
    os.close(ours)
