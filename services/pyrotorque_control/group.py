"""One group of services: its configuration directory, the options given for it, and its supervisord if it runs."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pyrotorque.errors import PyrotorqueError
from pyrotorque.group_lock import running_group
from pyrotorque.guard_file import permits_start
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import ProcessIdentity
from pyrotorque.options import Options, read_options
from pyrotorque.settings import layout_of
from pyrotorque.supervisord.config import written_layout
from pyrotorque.supervisord.running import find_running
from pyrotorque.text import printable
from pyrotorque_control.exit_codes import EX_UNAVAILABLE


class CommandError(PyrotorqueError):
    """The command cannot be carried out now; it ends with `exit_code`."""

    def __init__(self, text: str, exit_code: int, *, hint: str = "") -> None:
        super().__init__(text, hint=hint)
        self.exit_code = exit_code


class NotRunning(CommandError):
    """The group does not run."""


@dataclass(frozen=True)
class Group:
    """Files are read on first use only."""

    config_dir: Path
    options: Options = field(default_factory=Options)

    @cached_property
    def layout(self) -> Layout:
        """The folders of the running group; of one that does not run, those in its files.

        torque.ini may have been changed since the start, or lost.
        """
        files, started = layout_of(self.config_dir), written_layout(self.config_dir)
        if started is None or started == files:
            return files
        pid_file = read_options(started).pid_file
        running = running_group(started.group_lock, self.config_dir, Path(pid_file) if pid_file else started.pid_file)
        return files if running is None else started

    @cached_property
    def pid_file(self) -> Path:
        """From the command line, else the one that the group was started with, else the default."""
        given = self.options.pid_file or read_options(self.layout).pid_file
        return Path(given) if given else self.layout.pid_file

    @property
    def guard_file(self) -> Path:
        return Path(self.options.guard_file) if self.options.guard_file else self.layout.guard_file

    def may_start(self) -> bool:
        """Whether a guard file permits the group to run in the background."""
        return permits_start(self.layout, self.guard_file)

    def running(self) -> ProcessIdentity | None:
        """The group's supervisord, also when its socket and pid file were removed or it does not answer."""
        return find_running(self.layout, self.pid_file)

    def must_run(self) -> ProcessIdentity:
        """Raises CommandError (69) when the group is not running."""
        found = self.running()
        if found is None:
            raise NotRunning(f"not running ({printable(str(self.config_dir))})", EX_UNAVAILABLE)
        return found
