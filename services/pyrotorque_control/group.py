"""A group as the command line names it: its configuration directory, what was asked of it, and whether it runs."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pyrotorque.errors import PyrotorqueError
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import ProcessIdentity, running_process
from pyrotorque.options import Options, read_options
from pyrotorque.settings import layout_of
from pyrotorque_control.exit_codes import EX_UNAVAILABLE
from pyrotorque_control.supervisord_process import running_supervisord


class Refused(PyrotorqueError):
    """What was asked for cannot be done now; `exit_code` is what the command ends with."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Group:
    """Nothing is read before it is asked for."""

    config_dir: Path
    options: Options = field(default_factory=Options)

    @cached_property
    def layout(self) -> Layout:
        return layout_of(self.config_dir)

    @cached_property
    def pid_file(self) -> Path:
        """The one given now, else the one that the group was started with, else the usual one."""
        given = self.options.pid_file or read_options(self.layout).pid_file
        return Path(given) if given else self.layout.pid_file

    @property
    def guard_file(self) -> Path:
        return Path(self.options.guard_file) if self.options.guard_file else self.layout.guard_file

    def running(self) -> ProcessIdentity | None:
        """The group's supervisord, if it runs: by its pid file, or, where that was lost, by its socket."""
        return running_supervisord(self.pid_file) or self._listening()

    def _listening(self) -> ProcessIdentity | None:
        from pyrotorque.supervisord import Supervisord, SupervisordError

        supervisord = Supervisord(self.layout.supervisor_socket)
        if not supervisord.listens():
            return None
        try:
            pid = supervisord.pid()
        except SupervisordError:
            return None
        return running_process(pid)

    def must_run(self) -> ProcessIdentity:
        """Raise Refused (69) where it does not."""
        found = self.running()
        if found is None:
            raise Refused(f"not running ({self.config_dir})", EX_UNAVAILABLE)
        return found
