"""The paths of one group: configuration directory, folders, sockets and databases."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyrotorque.errors import LayoutError
from pyrotorque.linux.foreign_links import foreign_link
from pyrotorque.socket_paths import shorter_run_dir, too_long
from pyrotorque.text import printable

SERVICES = ("scheduler", "watcher", "exporter", "guardian")
"""The services of each group."""

OPTIONAL_SERVICES = ("panel", "fleet")
"""Further services that a group has when its settings ask for them (`Settings.optional_services`)."""

ALL_SERVICES = (*SERVICES, *OPTIONAL_SERVICES)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one group; nothing is touched until `prepare` is called."""

    config_dir: Path
    run_dir: Path
    state_dir: Path
    log_dir: Path

    @classmethod
    def below(cls, config_dir: Path, *, run_dir: Path | None = None, state_dir: Path | None = None) -> "Layout":
        """The layout below `config_dir`; `run_dir` and `state_dir` may live elsewhere (settings of `[TORQUE]`)."""
        home = config_dir.expanduser().absolute()
        return cls(home, run_dir or home / "run", state_dir or home / "state", home / "log")

    @property
    def guard_file(self) -> Path:
        """In the configuration directory, because `run_dir` may be emptied at logout or at a reboot."""
        return self.config_dir / "run" / "pyrotorque"

    @property
    def earlier_guard_file(self) -> Path:
        """Where version 1.0.0 had it; the same file unless `run_dir` is set."""
        return self.run_dir / "pyrotorque"

    @property
    def group_lock(self) -> Path:
        """Held by the group's supervisord (see `pyrotorque.group_lock`)."""
        return self.state_dir / "group.lock"

    @property
    def pid_file(self) -> Path:
        return self.run_dir / "pyrotorque.pid"

    @property
    def options_file(self) -> Path:
        """Options of the command line, for the services (see `pyrotorque.options`)."""
        return self.state_dir / "options.json"

    @property
    def earlier_options_file(self) -> Path:
        """Where version 1.0.0 reads them."""
        return self.run_dir / "options.json"

    @property
    def fleet_targets(self) -> Path:
        """The exporters of the fleet, written by the fleet process and served by the exporter."""
        return self.state_dir / "fleet-targets.json"

    @property
    def panel_port(self) -> Path:
        """The address of the panel (see `pyrotorque.port_reservation`)."""
        return self.run_dir / "panel.port"

    @property
    def supervisor_socket(self) -> Path:
        return self.run_dir / "supervisor.sock"

    def events_endpoint(self, service: str) -> str:
        """Where `service` publishes its events, durable and live (PUB)."""
        return f"ipc://{self.run_dir}/{service}.events"

    def heartbeat_endpoint(self, service: str) -> str:
        """Where the heartbeat thread of `service` publishes (PUB)."""
        return f"ipc://{self.run_dir}/{service}.beat"

    def requests_endpoint(self, service: str) -> str:
        """Where `service` serves replays and requests (ROUTER)."""
        return f"ipc://{self.run_dir}/{service}.requests"

    def lock_file(self, service: str) -> Path:
        return self.run_dir / f"{service}.lock"

    def database(self, service: str) -> Path:
        """The SQLite file that only `service` writes."""
        return self.state_dir / f"{service}.sqlite3"

    def prepare(self) -> None:
        """Create the private folders (0700) and check that the kernel allows the socket paths.

        Raises LayoutError when a folder cannot be created, belongs to another user, or a socket path is too long, and
        when root would write a log through a link of another user.
        """
        self.prepare_without_state()
        _make_private(self.state_dir)

    def prepare_without_state(self) -> None:
        """As `prepare`, for a service whose state folder is not there: its disk may not be mounted."""
        if reason := too_long(self.run_dir):
            raise LayoutError(reason, hint=shorter_run_dir(self.config_dir))
        _make_private(self.run_dir)
        for path in (self.log_dir, *self.log_files):
            if link := foreign_link(path):
                raise LayoutError(f"{link} is a link of another user, where root would write a log: remove it")
        self.create_log_dir()

    def create_log_dir(self) -> bool:
        """Create the log folder, or what a link at its place leads to; whether it was missing. Raises LayoutError."""
        if self.log_dir.is_dir():
            return False
        try:
            Path(os.path.realpath(self.log_dir)).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LayoutError(
                f"cannot create the log folder {printable(str(self.log_dir))}: {_reason(error)}"
            ) from error
        return True

    @property
    def log_files(self) -> list[Path]:
        """The logs that supervisord and the services open."""
        names = ("torque", "supervisord", "supervisord.stderr", "guardian.stderr", *ALL_SERVICES)
        return [self.log_dir / f"{name}.log" for name in names]

    def obstructed(self) -> Iterator[str]:
        """A sentence for each folder or file of the group whose name something of another kind has."""
        for folder in (self.run_dir, self.state_dir):
            if reason := _leads_nowhere(folder):
                yield f"{folder} is missing: {reason}"
        for folder in (self.run_dir, self.state_dir, self.log_dir):
            if folder.exists() and not folder.is_dir():
                yield f"{folder} is a file where the group needs a folder: rename or remove it"
        stored = (self.state_dir / "configuration.json", self.state_dir / "torque.ini.last-good")
        state = (self.group_lock, self.options_file, *stored, *map(self.database, ALL_SERVICES))
        run = (self.pid_file, self.earlier_options_file, self.config_dir / "run" / "programs.conf", self.panel_port)
        files = (*state, *run, self.state_dir / "config.py.last-good", self.log_dir / "supervisord.stderr.log")
        for path in (*self.log_files, *files):
            if path.is_dir():
                yield f"{path} is a folder where the group needs a file: rename or remove it"
        for path in files:
            # A link may lead to a file; a log may be a pipe or a terminal.
            if path.exists() and not path.is_dir() and not path.is_file():
                yield f"{path} is a pipe, a socket or a device where the group needs a file: rename or remove it"


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.geteuid():
            raise LayoutError(
                f"{printable(str(folder))} belongs to user {found.st_uid}, not to user {os.geteuid()}: not trusted"
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        reason = printable(_leads_nowhere(folder)) or _reason(error)
        raise LayoutError(f"cannot create the private folder {printable(str(folder))}: {reason}") from error


def _leads_nowhere(folder: Path) -> str:
    """Why a folder cannot be created where it, or one that it is in, is a link to nothing; empty if none is."""
    from pyrotorque.linux.dangling_links import missing_target

    for link in (folder, *folder.parents):
        if target := missing_target(link):
            where = os.path.join(link.parent, target)
            return f"{link} is a link to {where}, which does not exist: mount its disk, or create it"
    return ""


def _reason(error: OSError) -> str | None:
    if isinstance(error, FileExistsError):
        return "a file has that name; rename or remove it"
    return error.strerror
