"""A real nats-server with JetStream, on a port of its own."""

import asyncio
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import nats.errors
from nats.aio.client import Client

import nats
from demo.group import free_port
from tests.programs import nats_servers
from tests.waiting import bound, eventually

SERVER_NAMES = ("n0", "n1", "n2")


class NatsServer:
    """`with NatsServer(folder):` starts it; `start`, `stop`, `kill`, `pause` and `resume` work in between, its data
    stays. `within` are the words before its command, such as those of nsenter."""

    def __init__(
        self, folder: Path, *, more: str = "", program: Path | None = None, host: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.host, self.port = folder, host, free_port()
        self._within = tuple(within)
        self.program = program or nats_servers()[0].path
        self._before = 0
        self._log = folder / "nats.log"
        self._conf = folder / "nats.conf"
        self._conf.write_text(
            f'host: {host}\nport: {self.port}\njetstream {{\n  store_dir: "{folder}/js"\n  max_file: 4GB\n}}\n{more}'
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    def start(self) -> None:
        self.begin()
        self.await_ready()

    def begin(self) -> None:
        self._before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            command: list[str | Path] = [*self._within, self.program, "-c", str(self._conf)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def await_ready(self) -> None:
        eventually(lambda: b"Server is ready" in self._log.read_bytes()[self._before :], 60, why="nats-server is ready")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay, answers never come."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def lose_data(self) -> None:
        """Kill it, delete all that it stored, and start it again."""
        self.kill()
        for path in sorted((self.folder / "js").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.start()

    async def connect(self) -> Client:
        return await nats.connect(self.url, connect_timeout=bound(5))

    def __enter__(self) -> "NatsServer":
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class NatsCluster:
    """Three servers; `with NatsCluster(folder):` waits until their JetStream has a leader.

    `places` are the address of each and the words before its command; `program` is the one of all.
    """

    def __init__(
        self, folder: Path, places: Sequence[tuple[str, Sequence[str]]] = (), *, program: Path | None = None
    ) -> None:
        places = places or (("127.0.0.1", ()),) * len(SERVER_NAMES)
        ports = [free_port() for _ in SERVER_NAMES]
        routes = ", ".join(f"nats-route://{host}:{port}" for (host, _), port in zip(places, ports, strict=True))
        self.servers = [
            NatsServer(
                folder / name,
                more=f"server_name: {name}\ncluster {{\n  name: fleet\n  host: {host}\n  port: {port}\n"
                f"  routes: [{routes}]\n}}\n",
                program=program,
                host=host,
                within=within,
            )
            for name, port, (host, within) in zip(SERVER_NAMES, ports, places, strict=True)
        ]

    @property
    def url(self) -> str:
        return " ".join(server.url for server in self.servers)

    def __enter__(self) -> "NatsCluster":
        try:
            for server in self.servers:
                server.begin()
            for server in self.servers:
                server.await_ready()
            eventually(lambda: asyncio.run(self._has_leader()), 60, why="the cluster has a leader")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def update(self, program: Path) -> None:
        """Stop all servers, and start this program with their data."""
        for server in self.servers:
            server.stop()
            server.program = program
        self.__enter__()

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
        js = client.jetstream(timeout=bound(10))
        info = await js.stream_info(stream)
        found: list[tuple[str, bytes]] = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await js.get_msg(stream, sequence)
            found.append((message.subject or "", message.data or b""))
        return found
    finally:
        await client.close()
