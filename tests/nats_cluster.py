"""nats-servers as deploy/nats/cluster.py configures them: TLS, an account, a user for each group."""

import shutil
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from nats.aio.client import Client

import nats
from demo.group import REPOSITORY, free_port
from pyrotorque.settings.fleet import read_credentials
from tests.programs import Program
from tests.waiting import bound, eventually

SCRIPT = REPOSITORY / "deploy" / "nats" / "cluster.py"


class NatsCluster:
    """`with NatsCluster(folder, program):` starts all servers and waits until they have elected a leader."""

    def __init__(self, folder: Path, program: Program, *, servers: int = 1) -> None:
        self.folder, self._program = folder, program
        self._old = ("--nats-2.9",) if program.satisfies("<2.10") else ()
        self.ports = [free_port() for _ in range(servers)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.monitor_ports = [free_port() for _ in range(servers)]
        pairs = zip(self.ports, self.monitor_ports, strict=True)
        self._servers = [f"localhost:{port}:{free_port()}:{monitor}" for port, monitor in pairs]
        store = ("--store-dir", str(folder / "js"))
        self.script("servers", *self._servers, *store, *self._old)

    @property
    def urls(self) -> list[str]:
        return [f"tls://localhost:{port}" for port in self.ports]

    def script(self, command: str, *words: str) -> str:
        """Run cluster.py; servers that run read their users again. Raises AssertionError with what it printed."""
        ended = subprocess.run(
            [sys.executable, SCRIPT, command, self.folder, *words], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        for port, process in self._processes.items():
            self._reload(port, process)
        return ended.stdout

    def _reload(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        before = self._log(port).read_text().count("Reloaded: ")
        subprocess.run([self._program.path, "--signal", f"reload={process.pid}"], check=True)
        eventually(lambda: self._log(port).read_text().count("Reloaded: ") > before)

    def group(self, name: str, *options: str) -> Path:
        """Add the user of a group; its credentials."""
        printed = self.script("group", name, *options)
        return Path(dict(line.split(" = ") for line in _squeezed(printed))["fleet.credentials"])

    def operator(self) -> Path:
        return Path(self.script("operator").removeprefix("credentials: ").strip())

    def _log(self, port: int) -> Path:
        return self.folder / f"{port}.log"

    def start(self, port: int) -> None:
        with self._log(port).open("ab") as log:
            conf = self.folder / f"localhost-{port}" / "nats-server.conf"
            self._processes[port] = subprocess.Popen([self._program.path, "-c", conf], stdout=log, stderr=log)

    def kill(self, port: int) -> None:
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def is_ready(self) -> bool:
        """JetStream of all servers works, and one of them leads."""
        words = "JetStream cluster new metadata leader" if len(self.ports) > 1 else "Server is ready"
        return any(words in self._log(port).read_text() for port in self.ports)

    def __enter__(self) -> "NatsCluster":
        try:
            for port in self.ports:
                self.start(port)
            eventually(self.is_ready, 60, why="the servers are ready")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for port in list(self._processes):
            self.kill(port)
        shutil.rmtree(self.folder / "js", ignore_errors=True)

    async def connect(
        self, credentials: Path, name: str, on_error: Callable[[Exception], Awaitable[None]] | None = None
    ) -> Client:
        """As the group `name`, with the inbox that its user may use."""
        options: dict[str, Any] = dict(read_credentials(credentials))
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        return await nats.connect(
            self.urls,
            tls=context,
            inbox_prefix=f"_INBOX_{name}".encode(),
            error_cb=on_error,
            connect_timeout=bound(10),
            **options,
        )


def _squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]
