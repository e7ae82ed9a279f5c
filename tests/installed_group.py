"""A group that runs from a wheel in an environment of its own; the wheel can be replaced while the group runs."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from typing import TypeVar

from demo.group import REPOSITORY, SERVICES, Group
from pyrotorque.events import Fact, decode
from pyrotorque.layout import Layout
from pyrotorque.outbox import stored_events
from pyrotorque.supervisord.client import Supervisord
from tests.waiting import eventually

E = TypeVar("E", bound=Fact)


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    _run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(REPOSITORY))
    (wheel,) = folder.glob("*.whl")
    return wheel


class InstalledGroup(Group):
    """Its environment takes the dependencies from the one that runs the tests, so nothing is downloaded."""

    def __init__(
        self, config_dir: Path, torque_ini: str, venv: Path, wheel: Path, *, run_dir: Path | None = None
    ) -> None:
        super().__init__(config_dir, torque_ini)
        self.layout = Layout.below(config_dir, run_dir=run_dir)
        self._venv = venv
        _run(sys.executable, "-m", "venv", "--without-pip", str(venv))
        (site,) = venv.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
        self.install(wheel)

    def install(self, wheel: Path) -> None:
        """As `pip install` does it, also under a running group."""
        pip = (sys.executable, "-m", "pip", "--python", str(self._venv / "bin/python"), "install", "--quiet")
        _run(*pip, "--no-index", "--no-deps", "--no-cache-dir", "--force-reinstall", str(wheel))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = [str(self._venv / "bin/pyrotorque"), "--config-dir", str(self.config_dir), *words]
        return subprocess.run(
            program, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            start_new_session=True, env=_environment(), check=False,
        )  # fmt: skip

    def supervisord_pid(self) -> int | None:
        try:
            return int(self.layout.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def states(self) -> dict[str, str]:
        return {process.name: process.state for process in self._supervisord.processes()}

    def pid(self, service: str) -> int:
        return {process.name: process.pid for process in self._supervisord.processes()}[service]

    def kill(self, service: str) -> None:
        """Kill the service; returns when supervisord has started it again."""
        before = self.pid(service)
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self.pid(service) not in {0, before}, 20, why=f"{service} is started again")

    def workers(self) -> list[int]:
        """The processes below the scheduler, children before their parents."""
        return list(reversed(descendants(self.pid("scheduler"))))

    def events(self, kind: type[E]) -> list[E]:
        """All events of this kind that the services have committed."""
        bodies = [body for service in SERVICES for body in self._stored(service)]
        return [event for body in bodies if isinstance(event := decode(body).event, kind)]

    def _stored(self, service: str) -> list[bytes]:
        path = self.layout.database(service)
        return list(stored_events(path)) if path.exists() else []

    @property
    def _supervisord(self) -> Supervisord:
        return Supervisord(self.layout.supervisor_socket)


def descendants(pid: int) -> list[int]:
    """Children and their children, parents first."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [found for child in children for found in (child, *descendants(child))]


def lines(path: Path) -> Counter[str]:
    """How often each line is in the file; none where it does not exist yet."""
    return Counter(path.read_text().splitlines() if path.exists() else [])


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYRO_CONFIG_DIR"}}


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    assert ended.returncode == 0, json.dumps(command) + ended.stdout + ended.stderr
