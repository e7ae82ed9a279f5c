"""A real nats-server with JetStream, on a port of its own."""

import asyncio
import subprocess
from pathlib import Path
from types import TracebackType

import nats.errors
from nats.aio.client import Client

import nats
from demo.group import free_port
from tests.programs import nats_servers
from tests.waiting import eventually


class NatsServer:
    """`with NatsServer(folder):` starts it; `start`, `stop` and `kill` work in between, its data stays."""

    def __init__(self, folder: Path, *, more: str = "", program: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self._program = program or nats_servers()[0].path
        self._before = 0
        self._log = folder / "nats.log"
        self._conf = folder / "nats.conf"
        self._conf.write_text(
            f'host: 127.0.0.1\nport: {self.port}\njetstream {{\n  store_dir: "{folder}/js"\n  max_file: 4GB\n}}\n{more}'
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.begin()
        self.await_ready()

    def begin(self) -> None:
        self._before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(self._conf)], stdout=log, stderr=log)

    def await_ready(self) -> None:
        eventually(lambda: b"Server is ready" in self._log.read_bytes()[self._before :], 60, why="nats-server is ready")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    async def connect(self) -> Client:
        return await nats.connect(self.url, connect_timeout=5)

    def __enter__(self) -> "NatsServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class NatsCluster:
    """Three servers; `with NatsCluster(folder):` waits until their JetStream has a leader."""

    def __init__(self, folder: Path) -> None:
        names, ports = ("n0", "n1", "n2"), [free_port() for _ in range(3)]
        routes = ", ".join(f"nats-route://127.0.0.1:{port}" for port in ports)
        self.servers = [
            NatsServer(
                folder / name,
                more=f"server_name: {name}\ncluster {{\n  name: fleet\n  host: 127.0.0.1\n  port: {port}\n"
                f"  routes: [{routes}]\n}}\n",
            )
            for name, port in zip(names, ports, strict=True)
        ]

    @property
    def url(self) -> str:
        return " ".join(server.url for server in self.servers)

    def __enter__(self) -> "NatsCluster":
        for server in self.servers:
            server.begin()
        for server in self.servers:
            server.await_ready()
        eventually(lambda: asyncio.run(self._has_leader()), 60, why="the cluster has a leader")
        return self

    async def _has_leader(self) -> bool:
        try:
            client = await self.servers[0].connect()
        except (OSError, nats.errors.Error):
            return False
        try:
            await client.jetstream(timeout=2).account_info()
        except (TimeoutError, nats.errors.Error):
            return False
        else:
            return True
        finally:
            await client.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.kill()


async def stored_events(server: NatsServer, stream: str = "PYROTORQUE_EVENTS") -> list[tuple[str, bytes]]:
    """(subject, body) of all messages of a stream, in their order."""
    client = await server.connect()
    try:
        js = client.jetstream(timeout=10)
        info = await js.stream_info(stream)
        found: list[tuple[str, bytes]] = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await js.get_msg(stream, sequence)
            found.append((message.subject or "", message.data or b""))
        return found
    finally:
        await client.close()
