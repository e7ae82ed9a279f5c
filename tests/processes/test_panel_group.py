"""The panel in a whole group under supervisord: started only when it is active, guarded, restarted, backed up."""

import http.client
import os
import re
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import Group, free_port
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ppg-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def ini(port: int, *lines: str) -> str:
    first = ("[TORQUE]", "scgi_url = scgi://127.0.0.1:1", f"panel.port = {port}", "panel.name = main")
    return "\n".join((*first, "job.queue.active = True", *lines)) + "\n"


def status_of(port: int, path: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
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
