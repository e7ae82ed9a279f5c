"""Runs a real rTorrent in a private folder, on loopback only; it is killed together with its parent process."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from demo.waiting import bound

# The kernel's sun_path has 108 bytes, one of them for the closing NUL (unix(7)).
_SOCKET_PATH_MAX = 107

# Sets the parent death signal of this process, then executes rTorrent. A separate program instead of a
# preexec_fn, because that runs Python between fork and exec, which may deadlock when other threads hold locks.
_LAUNCHER = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process has exited")
os.execv(sys.argv[2], sys.argv[2:])
"""

# rTorrent 0.16.18 renamed network.port_*: each version ignores the names that it does not have.
_RC = """\
system.daemon.set = true
session.path.set = "{session}"
directory.default.set = "{downloads}"
network.bind_address.set = 127.0.0.1
network.local_address.set = 127.0.0.1
catch = "network.port_range.set={port}-{last_port}"
catch = "network.port_random.set=no"
catch = "network.listen.port.range.set={port}-{last_port}"
catch = "network.listen.port.random.set=no"
{scgi}
dht.mode.set = disable
protocol.pex.set = no
trackers.use_udp.set = no
pieces.hash.on_completion.set = no
system.umask.set = 0077
{extra}
"""

# rTorrent 0.16 waits for trackers that do not answer: with a UDP tracker, 89 seconds.
_STOP_TIMEOUT = 120.0

_RESTORED_WITHIN = 3.0  # seconds


class PrivateRTorrent:
    """An rTorrent below `folder`; the session survives `stop`, `kill` and `restart`, so that restarts can be tried.
    With `tcp` it listens on a port of 127.0.0.1 instead of a socket: then any local user can command it.

    Raises RuntimeError when the program is missing or does not come up, with the end of its output.
    """

    def __init__(self, folder: Path, *, extra_rc: str = "", tcp: bool = False) -> None:
        self.folder = folder.absolute()
        self.extra_rc = extra_rc
        self.socket = self.folder / "rtorrent.sock"
        self.session = self.folder / "session"
        self.downloads = self.folder / "downloads"
        self._port = _free_port() if tcp else None
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"scgi://127.0.0.1:{self._port}" if self._port else f"scgi://{self.socket}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("this rTorrent is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, timeout: float = 20.0) -> "PrivateRTorrent":
        """Start it and wait until it answers."""
        if self.running:
            return self
        program = shutil.which("rtorrent")
        if program is None:
            raise RuntimeError("the program rtorrent is not installed: apt-get install rtorrent")
        self._prepare()
        command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        command += [program, "-n", "-o", f"import={self.folder / 'rtorrent.rc'}"]
        started = threading.Event()
        self._watch = threading.Thread(target=self._spawn_and_wait, args=(command, started), daemon=True)
        self._watch.start()
        started.wait()
        stored = len(list(self.session.glob("*.torrent")))
        try:
            self.wait_until_answers(timeout)
        except BaseException:
            self.kill()
            raise
        if stored:
            self._wait_until_restored(stored)
        return self

    def stop(self, *, timeout: float = _STOP_TIMEOUT) -> None:
        """End it in order (SIGTERM: rTorrent saves its session), or kill it after `timeout` seconds."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL, 10.0)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let it hang: connects succeed, answers never come."""
        os.kill(self.pid, signal.SIGSTOP)
        # A signal is sent at once and takes effect later: an answer could still come in between.
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait_until_answers(self, timeout: float = 20.0) -> None:
        """Return when it answers; raises RuntimeError when it has ended, or after `bound(timeout)` seconds."""
        begun = time.monotonic()
        while not self._answers():
            if not self.running:
                raise RuntimeError(f"rTorrent in {self.folder} ended instead of answering: {self.output()[-800:]}")
            if (waited := time.monotonic() - begun) > bound(timeout):
                raise RuntimeError(
                    f"rTorrent in {self.folder} gave no answer in {waited:.1f} s: {self.output()[-800:]}"
                )
            time.sleep(0.005)

    def _wait_until_restored(self, stored: int) -> None:
        """It may answer before it has restored its session; damaged session files it never restores."""
        end = time.monotonic() + bound(_RESTORED_WITHIN)
        while self.running and time.monotonic() < end and self._items() < stored:
            time.sleep(0.005)

    def output(self) -> str:
        """What it printed since its first start."""
        path = self.folder / "rtorrent.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> "PrivateRTorrent":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nothing reads its session any more, so it need not wait for trackers.
        self.stop(timeout=10.0)

    def _prepare(self) -> None:
        if len(os.fsencode(self.socket)) > _SOCKET_PATH_MAX:
            raise RuntimeError(
                f"the socket path {self.socket} is longer than {_SOCKET_PATH_MAX} bytes: use a shorter folder"
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.session.mkdir(exist_ok=True)
        self.downloads.mkdir(exist_ok=True)
        port = _free_port()
        local = f'network.scgi.open_local = "{self.socket}"'
        rc = _RC.format(
            session=self.session,
            downloads=self.downloads,
            scgi=f"network.scgi.open_port = 127.0.0.1:{self._port}" if self._port else local,
            port=port,
            last_port=min(port + 100, 65535),
            extra=self.extra_rc,
        )
        (self.folder / "rtorrent.rc").write_text(rc)

    def _spawn_and_wait(self, command: list[str], started: threading.Event) -> None:
        # The kernel ends the child with the *thread* that made it, so this one stays as long as the child does.
        # The environment is our own: a proxy in the caller's would carry announces away from the loopback.
        environment = {"PATH": os.defpath, "HOME": str(self.folder), "TERM": "dumb", "LANG": "C.UTF-8"}
        try:
            with (self.folder / "rtorrent.out").open("ab") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                    env=environment,
                    start_new_session=True,
                )
        finally:
            started.set()
        self._process.wait()

    def _end(self, first: signal.Signals, timeout: float) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(first)
        process.send_signal(signal.SIGCONT)
        if self._watch is not None:
            self._watch.join(timeout)
        if process.poll() is None:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        return bool(self._reply("system.pid"))

    def _items(self) -> int:
        """How many items it has; -1 if it does not answer."""
        found = re.search(rb"<i[48]>(\d+)</i[48]>", self._reply("view.size", "", "main"))
        return int(found[1]) if found else -1

    def _reply(self, method: str, *arguments: str) -> bytes:
        """Its whole answer; empty if there is none."""
        values = "".join(f"<param><value><string>{each}</string></value></param>" for each in arguments)
        body = (
            f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName><params>{values}</params></methodCall>"
        )
        head = b"CONTENT_LENGTH\0%d\0SCGI\x001\0" % len(body)
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET if self._port else socket.AF_UNIX) as connection,
        ):
            connection.settimeout(2.0)
            connection.connect(("127.0.0.1", self._port) if self._port else str(self.socket))
            connection.sendall(b"%d:%b,%b" % (len(head), head, body.encode()))
            return b"".join(iter(lambda: connection.recv(4096), b""))
        return b""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
