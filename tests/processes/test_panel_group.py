"""The panel in a whole group under supervisord: started only when it is active, guarded, restarted, backed up."""

import http.client
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from demo.group import Group, environment, free_port
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.either_rtorrent(reason="it is about our pages: actions are tested with both"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ppg-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def ini(port: int, *lines: str) -> str:
    first = ("[TORQUE]", "scgi_url = scgi://127.0.0.1:1", f"panel.port = {port}", "panel.name = main")
    return "\n".join((*first, "job.queue.active = True", *lines)) + "\n"


def status_of(port: int, path: str, headers: dict[str, str], method: str = "GET") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=bound(20))
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_panel_runs_only_when_it_is_active(folder: Path) -> None:
    port = free_port()
    with Group(folder / "g", ini(port)) as group:
        assert "panel" not in group.command("ctl", "status").stdout
        refused = group.command("panel")
        assert refused.returncode == 69, refused.stderr
        (group.config_dir / "torque.ini").write_text(ini(port, "panel.active = True"))
        restarted = group.command("--restart")
        assert restarted.returncode == 0, restarted.stderr
        link = group.command("panel").stdout
        assert re.fullmatch(rf"http://127\.0\.0\.1:{port}/login\?link=\S+\n", link)
        assert "panel" in group.command("status").stdout
        token = group.command("panel", "token", "homepage").stdout.strip()
        bearer = {"Authorization": f"Bearer {token}"}
        assert status_of(port, "/api/v1/groups/main/services", bearer) == 200

        # One service, by the command and by the API; each is recorded.
        act = {"Authorization": f"Bearer {group.command('panel', 'token', 'phone', '--scope', 'act').stdout.strip()}"}
        for path, words in (("", ("restart", "exporter")), ("/api/v1/groups/main/services/exporter/restart", ())):
            before = group.pid("exporter")
            if words:
                ended = group.command(*words)
                assert (ended.returncode, ended.stdout) == (0, "exporter is restarted\n"), ended.stderr
            else:
                assert status_of(port, path, act, "POST") == 200
            eventually(lambda: group.pid("exporter") not in (0, before), 60)  # noqa: B023 - it ends before the next turn
        assert group.command("restart", "guardian").returncode == 64
        assert group.command("restart", "scheduler").returncode == 0
        eventually(lambda: group.running(), 60)
        restarts = [line for line in group.command("events", "--json").stdout.splitlines() if '"restart"' in line]
        assert [json.loads(line)["target"] for line in restarts].count("exporter") == 2
        eventually(lambda: '"target":"scheduler"' in group.command("events", "--json").stdout.replace(" ", ""), 60)

        # A kill: the guardian or supervisord starts it again, and the token is still valid.
        os.kill(group.pid("panel"), signal.SIGKILL)
        eventually(lambda: status_of(port, "/api/v1/groups/main", bearer) == 200, 60)
        entered = group.command("panel", "token", "homepage", "--remove")
        assert entered.returncode == 0
        assert status_of(port, "/api/v1/groups/main", bearer) == 401
        recorded = group.command("events", "--json").stdout
        assert '"action":"token-remove"' in recorded.replace(" ", "")
        assert token not in recorded
        assert token not in group.log("torque")

        (group.config_dir / "torque.ini").write_text(ini(port))
        assert group.command("--restart").returncode == 0
        assert "panel" not in group.command("ctl", "status").stdout


def test_a_port_in_use_delays_no_start(folder: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), Group(folder / "g", ini(port, "panel.active = True")) as group:
        pid = group.pid("panel")
        shown = group.command("panel")
        assert shown.returncode == 75
        assert "set another panel.port in torque.ini" in shown.stderr
        assert group.pid("panel") == pid, "reported, never a restart loop"


def on_terminal(group: Group, *words: str) -> str:
    """What a command prints to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(), start_new_session=True
    )
    os.close(theirs)
    found = b""
    with suppress(OSError):  # the terminal is closed
        while part := os.read(ours, 4096):
            found += part
    os.close(ours)
    process.wait()
    return found.decode()


def test_only_the_first_start_on_a_terminal_prints_a_login_link(folder: Path) -> None:
    port = free_port()
    group = Group(folder / "g", ini(port, "panel.active = True"))
    try:
        first = re.search(rf"http://127\.0\.0\.1:{port}/login\?link=(\S+)", on_terminal(group))
        assert first is not None
        origin = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/x-www-form-urlencoded"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=bound(20))
        connection.request("POST", "/login", f"link={first[1]}", origin)
        assert connection.getresponse().status == 303
        connection.close()
        assert "login?link" not in on_terminal(group, "--restart"), "a browser has logged in"
        assert "link=" not in group.log("torque") + group.log("panel")
    finally:
        group.stop()


def test_a_start_without_a_terminal_prints_no_secret(folder: Path) -> None:
    group = Group(folder / "g", ini(free_port(), "panel.active = True"))
    try:
        started = group.command()
        assert started.returncode == 0, started.stderr
        assert "link=" not in started.stdout + started.stderr
    finally:
        group.stop()
