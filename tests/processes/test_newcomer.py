"""From nothing to a started item, following the README alone: an empty home, the built wheel, a plain rTorrent."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import REPOSITORY, free_port
from demo.metafiles import make_metafile
from tests.docs_blocks import Block, blocks
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.xdist_group("packaging"),
    pytest.mark.either_rtorrent(reason="it is about the words of the docs: what the commands do is tested with both"),
]

README = REPOSITORY / "README.md"
FIVE_MINUTES = 300.0
UNPRIVILEGED = 65534
RTORRENT_RC = """\
session.path.set = ~/session
directory.default.set = ~/downloads
network.scgi.open_local = (cat,(session.path),rpc.socket)
network.bind_address.set = 127.0.0.1
catch = "network.port_range.set={port}-{last}"
catch = "network.listen.port.range.set={port}-{last}"
dht.mode.set = disable
protocol.pex.set = no
"""


class Newcomer:
    """An unprivileged user if the tests run as root, else the same user with an empty home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        system = Path("/usr/bin/python3")
        self.other = os.geteuid() == 0 and is_new_enough(system)
        self.python = str(system) if self.other else sys.executable
        self.rtorrent: subprocess.Popen[bytes] | None = None

    @property
    def who(self) -> dict[str, int]:
        return {"user": UNPRIVILEGED, "group": UNPRIVILEGED} if self.other else {}

    def env(self) -> dict[str, str]:
        path = f"{self.home}/.local/bin:/usr/local/bin:/usr/bin:/bin"
        return {"HOME": str(self.home), "PATH": path, "TERM": "xterm", "LANG": "C.UTF-8", "EDITOR": "true"}

    def sh(self, script: str) -> str:
        ended = subprocess.run(
            ["/bin/sh", "-e", "-c", script], cwd=self.home, env=self.env(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=FIVE_MINUTES, check=False, extra_groups=[] if self.other else None,
            **self.who,  # type: ignore[call-overload]
        )  # fmt: skip
        assert ended.returncode == 0, f"{script}: {ended.stdout}{ended.stderr}"
        assert "Traceback" not in ended.stdout + ended.stderr
        return str(ended.stdout)

    def write(self, name: str, text: str) -> None:
        path = self.home / name
        path.write_text(text)
        if self.other:
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)

    def start_rtorrent(self) -> None:
        """As people do it: in a terminal, with ~/.rtorrent.rc alone."""
        ours, theirs = pty.openpty()
        self.rtorrent = subprocess.Popen(
            ["rtorrent"], cwd=self.home, env=self.env(), stdin=theirs, stdout=theirs, stderr=theirs,
            extra_groups=[] if self.other else None,
            **self.who,  # type: ignore[call-overload]
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(ours, False)
        self.terminal = ours
        eventually(self._is_up, timeout=20)

    def _is_up(self) -> bool:
        """Its screen must be read, or it blocks when the terminal's buffer is full."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.read(self.terminal, 65536)
        return (self.home / "session/rpc.socket").exists()

    def stop_rtorrent(self) -> None:
        if self.rtorrent is not None:
            self.rtorrent.send_signal(signal.SIGTERM)
            try:
                self.rtorrent.wait(bound(30))
            except subprocess.TimeoutExpired:
                self.rtorrent.kill()
                self.rtorrent.wait()
            os.close(self.terminal)
            self.rtorrent = None


def is_new_enough(python: Path) -> bool:
    words = [str(python), "-c", "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"]
    return python.exists() and subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(REPOSITORY)]
    ended = subprocess.run(build, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return next(out.glob("*.whl"))


@pytest.fixture
def newcomer(wheel: Path) -> Iterator[Newcomer]:
    with tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder:
        found = Newcomer(Path(folder))
        found.write(wheel.name, "")
        (Path(folder) / wheel.name).write_bytes(wheel.read_bytes())
        found.write("constraints.txt", (REPOSITORY / "constraints.txt").read_text())
        port = free_port()
        found.write(".rtorrent.rc", RTORRENT_RC.format(port=port, last=min(port + 50, 65535)))
        if found.other:
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        found.sh("mkdir session downloads")
        try:
            yield found
        finally:
            with contextlib.suppress(AssertionError):
                found.sh("test ! -x .local/bin/pyrotorque || pyrotorque --stop")
            found.stop_rtorrent()


def readme(language: str) -> list[Block]:
    return [block for block in blocks(language) if block.page == "README.md"]


def test_the_readme_alone_leads_to_a_started_item_in_five_minutes(newcomer: Newcomer, wheel: Path) -> None:
    begun = time.monotonic()
    _make, _with_pipx, install, init, check = readme("sh")
    newcomer.start_rtorrent()

    # Given the wheel, where the README has the name of the package,
    assert wheel.name in README.read_text(), "the README names the file that `make dist` builds"
    newcomer.sh(install.text.replace("install pyrotorque", f"install --quiet -c constraints.txt ./{wheel.name}"))

    # when they follow it, with the file that it shows,
    said = newcomer.sh(init.text)
    (line,) = readme("rtorrent")
    wanted = line.text.strip().replace("~", str(newcomer.home))
    assert wanted in said, "the README shows the line that init prints"
    assert f"listens at scgi://{newcomer.home}/session/rpc.socket" in said
    newcomer.write(".rtorrent.rc", (newcomer.home / ".rtorrent.rc").read_text() + f"\n{wanted}\n")
    newcomer.stop_rtorrent()
    newcomer.start_rtorrent()
    (torque,) = (block.text for block in readme("ini"))
    newcomer.write(".pyroscope/torque.ini", f"{torque}job.exporter.port = {free_port()}\n")
    # "If rTorrent has started the group already, … `pyrotorque --restart` applies your changes."
    said = newcomer.sh(re.sub(r"(?m)^pyrotorque +#.*$", "pyrotorque || pyrotorque --restart", check.text))
    assert f"rTorrent: 0.9.8 at scgi://{newcomer.home}/session/rpc.socket" in said or "rTorrent: 0.1" in said
    assert "pyrotorque is running" in said
    assert "without pyrotorque's include" not in said

    # and put a metafile into the folder,
    eventually(lambda: newcomer.sh("pyrotorque ctl status || true").count("RUNNING") == 4, timeout=30)
    newcomer.sh("mkdir -p ~/rtorrent/watch/linux/new")
    newcomer.write("rtorrent/watch/linux/new/sample.torrent", "")
    (newcomer.home / "rtorrent/watch/linux/new/sample.torrent").write_bytes(make_metafile("sample"))

    # then it is loaded, and started by the queue.
    eventually(lambda: "TorrentStarted: sample" in newcomer.sh("pyrotorque events"), timeout=30)
    assert time.monotonic() - begun < bound(FIVE_MINUTES)
    assert "starts it again" in newcomer.sh("pyrotorque --stop"), "why it would come back"
