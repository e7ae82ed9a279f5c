"""Runs the exporter as a process, for tests that kill it or its rTorrent."""

import contextlib
import gzip
import http.client
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.waiting import bound, eventually

REPOSITORY = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Page:
    """A response: its status, headers and text."""

    status: int
    headers: dict[str, str]
    text: str

    def value(self, series: str) -> float | None:
        """The value of a series, named as in the exposition."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.text, re.MULTILINE)
        return float(found[1]) if found else None


class ExporterProcess:
    """`with ExporterProcess(folder, url):` runs the exporter with its own configuration directory."""

    def __init__(self, folder: Path, url: str, *, extra: str = "", active: bool = True) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log").mkdir(exist_ok=True)
        (folder / "torque.ini").write_text(
            f"[TORQUE]\nscgi_url = {url}\njob.exporter.active = {active}\njob.exporter.port = {self.port}\n{extra}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> "ExporterProcess":
        with (self.folder / "exporter.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pyrotorque_exporter", "--config-dir", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": "services:shared:."},
            )
        if wait:
            eventually(self.answers, 20, why="the port opens")
        return self

    @property
    def log(self) -> str:
        return (self.folder / "exporter.log").read_text()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def get(self, path: str = "/metrics", *, scrape_timeout: float | None = None, compressed: bool = False) -> Page:
        headers = {} if scrape_timeout is None else {"X-Prometheus-Scrape-Timeout-Seconds": str(scrape_timeout)}
        if compressed:
            headers["Accept-Encoding"] = "gzip"
        made = http.client.HTTPConnection("127.0.0.1", self.port, timeout=bound(30))
        with contextlib.closing(made) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        received = {name.lower(): value for name, value in answer.getheaders()}
        plain = gzip.decompress(body) if received.get("content-encoding") == "gzip" else body
        return Page(answer.status, received, plain.decode())

    def stop(self, *, kill: bool = False) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
        return self.process.wait()

    def __enter__(self) -> "ExporterProcess":
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.stop(kill=True)
