"""Runs a whole group of pyrotorque's processes with its own configuration directory."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from demo.waiting import bound, wait_until
from pyrotorque.supervisord.client import Process, Supervisord, SupervisordError
from pyrotorque.supervisord.config import written_layout

REPOSITORY = Path(__file__).resolve().parent.parent
SERVICES = ("scheduler", "watcher", "exporter", "guardian")
_COMMAND_TIMEOUT = 120.0  # seconds, on an idle machine; the longest promised start takes less


class Group:
    """`with Group(folder, torque_ini):` starts supervisord with the four services, and stops all of them at the end."""

    def __init__(
        self, config_dir: Path, torque_ini: str, *, first_on_path: Path | None = None, within: Sequence[str] = ()
    ) -> None:
        self.config_dir = config_dir
        self._first_on_path = first_on_path
        self._within = tuple(within)
        """The words before each command, such as those of nsenter: its processes run in that network."""
        config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (config_dir / "torque.ini").write_text(torque_ini)
        (config_dir / "run").mkdir(mode=0o700, exist_ok=True)
        (config_dir / "run" / "pyrotorque").touch()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `pyrotorque --config-dir … WORDS` as a user does; raises TimeoutExpired when it hangs."""
        return subprocess.run(
            [*self._within, sys.executable, "-m", "pyrotorque_control", "--config-dir", str(self.config_dir), *words],
            capture_output=True,
            text=True,
            timeout=bound(_COMMAND_TIMEOUT),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C must not reach the command
            env=environment(self._first_on_path),
            check=False,
        )

    def __enter__(self) -> "Group":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start in the background and wait until all services run."""
        self.begin()
        wait_until(self.running, bound(60), lambda: f"not all services run: {self.command('ctl', 'status').stdout}")

    def begin(self) -> None:
        """Start in the background."""
        ended = self.command()
        if ended.returncode:
            raise RuntimeError(f"pyrotorque did not start (exit {ended.returncode}): {ended.stdout}{ended.stderr}")

    def stop(self) -> None:
        """Stop the group; kill its supervisord by pid if it does not stop."""
        supervisord = self.supervisord_pid()
        self.command("--stop")
        if supervisord is not None and _alive(supervisord):
            os.kill(supervisord, signal.SIGKILL)

    def running(self) -> bool:
        return all(state == "RUNNING" for state in self.states().values())

    def states(self) -> dict[str, str]:
        """supervisord's state of each service that every group has."""
        found = self._states()
        return {service: found.get(service, "ABSENT") for service in SERVICES}

    def state(self, service: str) -> str:
        return self._states().get(service, "ABSENT")

    def _states(self) -> dict[str, str]:
        processes = self._processes()
        if processes is not None:
            return {process.name: process.state for process in processes}
        lines = [line.split() for line in self.command("ctl", "status").stdout.splitlines()]
        return {words[0]: words[1] for words in lines if len(words) > 1}

    def pid(self, service: str) -> int:
        processes = self._processes()
        if processes is None:
            return int(self.command("ctl", "pid", service).stdout.strip() or 0)
        return next((process.pid for process in processes if process.name == service), 0)

    def _processes(self) -> list[Process] | None:
        """What supervisord answers at its socket, at less cost than by a command; None if it does not answer."""
        layout = written_layout(self.config_dir)
        try:
            return None if layout is None else Supervisord(layout.supervisor_socket, timeout=bound(5)).processes()
        except SupervisordError:
            return None

    def supervisord_pid(self) -> int | None:
        try:
            return int((self.config_dir / "run" / "pyrotorque.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def log(self, name: str) -> str:
        path = self.config_dir / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""


def environment(first_on_path: Path | None = None) -> dict[str, str]:
    """Our environment without PYRO_CONFIG_DIR."""
    kept = {name: value for name, value in os.environ.items() if name != "PYRO_CONFIG_DIR"}
    paths = [str(REPOSITORY / "services"), str(REPOSITORY / "shared"), str(REPOSITORY)]
    if first_on_path is not None:
        paths.insert(0, str(first_on_path))
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
