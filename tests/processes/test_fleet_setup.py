"""The commands of docs/fleet-setup.md, from one group to three, executed as a newcomer types them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.group import REPOSITORY, free_port
from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from tests.docs_blocks import blocks
from tests.docs_home import Home
from tests.programs import Program, nats_servers
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("docs"),
    pytest.mark.rtorrent_version(">=0.10", reason="it is about NATS: the part of rTorrent is tested with both"),
]

PAGE = "docs/fleet-setup.md"


@pytest.fixture
def home(rtorrent_program: Program, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A user with a running group, two more rTorrents, the checkout, and a newer nats-server."""
    monkeypatch.setenv("PATH", f"{nats_servers()[-1].path.parent}{os.pathsep}{os.environ['PATH']}")
    folder = short_folder / "me"
    with ExitStack() as stack:
        home = stack.enter_context(Home(folder))
        (folder / "deploy").symlink_to(REPOSITORY / "deploy")
        for name in ("two", "three"):
            rtorrent = PrivateRTorrent(short_folder / name).start()
            stack.callback(rtorrent.kill)
            socket = folder / "rtorrent" / name / "rpc.socket"
            socket.parent.mkdir(parents=True)
            socket.symlink_to(rtorrent.url.removeprefix("scgi://"))
            stack.callback(home.sh, f"pyrotorque --config-dir ~/.pyroscope-{name} --stop")
        (folder / "debian.torrent").write_bytes(make_metafile("debian"))
        stack.callback(home.sh, "kill $(cat ~/nats/localhost*/nats.pid)")
        assert home.sh("pyrotorque").returncode == 0
        eventually(lambda: home.sh("pyrotorque ctl status").stdout.count("RUNNING") >= 4, 60)
        yield home


def typed(home: Home, text: str) -> "subprocess.CompletedProcess[str]":
    """Run it; with FLEET_TRANSCRIPT=FILE what was typed and printed is appended there."""
    ended = home.sh(text)
    if transcript := os.environ.get("FLEET_TRANSCRIPT"):
        with open(transcript, "a") as file:
            file.write(f"$ {text.strip()}\n{ended.stdout}{ended.stderr}\n")
    return ended


def _has_result(home: Home, line: str) -> bool:
    """What the line shows arrives after a moment."""
    ended = typed(home, line)
    wanted = line.split()[-1] if " find " in line else "debian" if " claims " in line else ""
    return ended.returncode == 0 and wanted in ended.stdout


def test_a_newcomer_gets_from_one_group_to_three(home: Home) -> None:
    ports = f"localhost:{free_port()}:{free_port()}:{free_port()}"
    found = [block for block in blocks("sh") if block.page == PAGE and not block.not_run]
    assert len(found) >= 7
    for block in found:
        text = block.text.replace("servers ~/nats localhost ", f"servers ~/nats {ports} ")
        text = text.replace("~/nats/localhost/", "~/nats/localhost-*/")
        lines = [line for line in text.splitlines() if line]
        if all(" fleet" in line for line in lines):
            for line in lines:
                eventually(lambda line=line: _has_result(home, line), 120, interval=1.0)  # type: ignore[misc]
            continue
        ended = typed(home, text)
        assert ended.returncode == 0, f"{block.name}: {text}{ended.stdout}{ended.stderr}"
        assert "Traceback" not in ended.stdout + ended.stderr
    for block in [block for block in blocks("sh", "console") if block.page == "docs/fleet.md" and not block.not_run]:
        eventually(lambda text=block.text: home.sh(text).returncode == 0, 60, why=block.name)  # type: ignore[misc]
    claims = home.sh("pyrotorque fleet claims --json").stdout
    assert '"done"' in claims
    assert "debian" in claims
    shown = home.sh("pyrotorque --config-dir ~/.pyroscope-two fleet --json").stdout
    assert all(f'"name": "{name}"' in shown or f'"name":"{name}"' in shown for name in ("one", "two", "three"))
