"""SIGHUP to each service: a broken configuration leaves the old one in force, a valid one is adopted."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import environment, free_port
from tests.waiting import eventually

pytestmark = pytest.mark.process

INI = """\
[TORQUE]
scgi_url = scgi://{folder}/absent.sock
log_level = {level}
job.queue.active = True
job.queue.schedule = {schedule}
job.treewatch.active = True
job.treewatch.path = {folder}/watch
job.exporter.handler = pyrocore.daemon.exporter:RtorrentExporter
job.exporter.active = True
job.exporter.port = {port}
"""
SERVICES = ("scheduler", "watcher", "exporter")


class Service:
    """One service without supervisord."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "watch").mkdir()
        (folder / "c").mkdir()
        self.configure("second=*/5")
        self._out = folder / "out"
        command = [sys.executable, "-m", f"pyrotorque_{name}", "--config-dir", str(folder / "c")]
        with self._out.open("wb") as output:
            self.process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output)

    def configure(self, schedule: str, level: str = "INFO") -> None:
        text = INI.format(folder=self.folder, schedule=schedule, port=self.port, level=level)
        (self.folder / "c" / "torque.ini").write_text(text)

    def said(self) -> str:
        return self._out.read_text()

    def answers(self, name: str) -> bool:
        return (self.folder / "c" / "run" / f"{name}.requests").exists()


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[tuple[Service, str]]:
    name: str = request.param
    made = Service(name, short_folder)
    try:
        eventually(lambda: made.answers(name), 20)
        yield made, name
    finally:
        made.process.kill()
        made.process.wait()


def test_a_broken_configuration_leaves_the_old_one_and_a_valid_one_is_adopted(service: tuple[Service, str]) -> None:
    made, _name = service
    made.configure("second=nonsense")
    made.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration not reloaded" in made.said(), 20)
    assert "nonsense" in made.said()
    assert made.process.poll() is None
    made.configure("second=*/7")
    made.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in made.said(), 20)
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait() == 0


def test_a_reload_sets_the_log_level(service: tuple[Service, str]) -> None:
    made, _name = service
    made.configure("second=*/5", level="ERROR")
    made.process.send_signal(signal.SIGHUP)
    kept = made.folder / "c" / "state" / "configuration.json"
    eventually(lambda: '"ERROR"' in kept.read_text(), 20)
    made.configure("second=*/5", level="DEBUG")
    before = len(made.said())
    made.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in made.said()[before:], 20)
