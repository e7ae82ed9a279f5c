"""Runs Debian's opentracker on loopback with a list of allowed torrents."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

# Sets the parent death signal of this process, then executes the tracker.
_LAUNCHER = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class PrivateTracker:
    """`with PrivateTracker(folder, info_hashes) as tracker:` answers at `tracker.url`.

    Debian's build serves only torrents of a whitelist; it cannot be changed while the tracker runs.
    Raises RuntimeError when the program is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/announce"

    def start(self, info_hashes: Iterable[str]) -> None:
        """Serve these torrents."""
        program = shutil.which("opentracker")
        if program is None:
            raise RuntimeError("the program opentracker is not installed: apt-get install opentracker")
        self._folder.mkdir(parents=True, exist_ok=True)
        whitelist = self._folder / "whitelist"
        whitelist.write_text("".join(f"{info_hash.lower()}\n" for info_hash in info_hashes))
        whitelist.chmod(0o644)
        self._folder.chmod(0o755)
        # Started by root it locks itself into the folder as `nobody`: names are relative to it.
        command = [program, "-i", "127.0.0.1", "-p", str(self._port), "-d", str(self._folder), "-w", whitelist.name]
        with (self._folder / "tracker.out").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def answers(self) -> bool:
        """Whether it listens already."""
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=0.2).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "PrivateTracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
