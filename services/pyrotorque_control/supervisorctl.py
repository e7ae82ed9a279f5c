"""`python -m pyrotorque_control.supervisorctl CONFIG_DIR WORDS…`: supervisorctl for the running group.

It always uses the socket of the running group; supervisor.conf contributes its section [supervisorctl] only, if it can
be read. Commands that make supervisord read its files again are refused while these are broken, also in the interactive
shell: supervisord would exit, with all services.
"""

import os
import sys
from pathlib import Path

from supervisor import supervisorctl
from supervisor.options import ClientOptions

from pyrotorque.errors import PyrotorqueError
from pyrotorque.linux.files import read_text_file
from pyrotorque.supervisord.config import control_file
from pyrotorque_control.exit_codes import EX_CONFIG, EX_OK, INTERRUPTED
from pyrotorque_control.group import Group
from pyrotorque_control.terminal import discard_output, print_error, print_warning

_MINIMAL = "[supervisorctl]\nserverurl = unix://unused\n"


class _ProbedOptions(ClientOptions):  # type: ignore[misc]
    """Reads a file; raises ValueError where supervisorctl would print its usage and exit."""

    def usage(self, msg: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise ValueError(str(msg))


def readable_conf(path: Path) -> tuple[str, str]:
    """The file for `supervisorctl -c`, and why that is not `path`; empty if it is."""
    try:
        read_text_file(path)
        _ProbedOptions().realize(["-c", str(path)])
    except Exception as error:  # configparser raises errors of many kinds
        why = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
        return _minimal_conf(), why or type(error).__name__
    return str(path), ""


def _minimal_conf() -> str:
    """A file without a name: the folders of the group may be full or read-only."""
    fd = os.memfd_create("supervisorctl.conf")
    os.write(fd, _MINIMAL.encode())
    return f"/proc/self/fd/{fd}"


class _CheckedCommands(supervisorctl.DefaultControllerPlugin):  # type: ignore[misc]
    """supervisorctl's commands; those that read files are checked first."""

    group: Group

    def do_reload(self, arg: str) -> None:
        if self._permits():
            super().do_reload(arg)

    def do_reread(self, arg: str) -> None:
        if self._permits():
            super().do_reread(arg)

    def do_update(self, arg: str) -> None:
        if self._permits():
            super().do_update(arg)

    def _permits(self) -> bool:
        from pyrotorque.supervisord.validation import require_conf

        running = self.group.running()
        layout = self.group.layout
        try:
            require_conf(layout, supervisord=running.pid if running else 0)
        except PyrotorqueError as error:
            print_error(str(error))
            self.ctl.exitstatus = EX_CONFIG
            return False
        return True


def main(config_dir: Path, words: list[str]) -> None:
    """Run supervisorctl; exits with its code, or 78 where a broken file was refused."""
    group = Group(config_dir)
    conf, why = readable_conf(control_file(group.layout))
    if why:
        print_warning(
            f"{control_file(group.layout)} cannot be used, so its section [supervisorctl] is not in force: {why} "
            "(`pyrotorque check` lists its errors)"
        )
    _CheckedCommands.group = group
    supervisorctl.DefaultControllerPlugin = _CheckedCommands
    supervisorctl.main(["-c", conf, "-s", f"unix://{group.layout.supervisor_socket}", *words])


def run(config_dir: Path, words: list[str]) -> str | int | None:
    """As `main`, but returns the exit code; what cannot be printed ends it as it ends every other command."""
    code: str | int | None = EX_OK
    try:
        try:
            main(config_dir, words)
        except SystemExit as ended:
            code = ended.code
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return EX_OK
    except Exception as error:
        from pyrotorque_control.cli import report_error

        return report_error(error)
    return code


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
