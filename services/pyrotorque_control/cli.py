"""The command line: options, sub-commands, and one line on standard error for each error."""

import importlib
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any, Final

import click

from pyrotorque.errors import LayoutError, PyrotorqueError
from pyrotorque.foreign_errors import explain
from pyrotorque.home import UnknownHome, expand_home
from pyrotorque.humanize import duration
from pyrotorque.options import Options
from pyrotorque.settings import configuration_dir
from pyrotorque.text import printable
from pyrotorque_control.completion import complete_job
from pyrotorque_control.exit_codes import EX_IOERR, EX_OK, EX_SOFTWARE, EX_UNAVAILABLE, EX_USAGE, INTERRUPTED, exit_code
from pyrotorque_control.group import Group
from pyrotorque_control.terminal import discard_output, print_error

# Modules below `commands`, each with an attribute `command`; imported when used, or for --help.
_COMMANDS: Final = (
    "status",
    "check",
    "init",
    "ctl",
    "events",
    "select",
    "explain",
    "pause",
    "resume",
    "start",
    "stop",
    "park",
    "watched",
    "retry",
    "forget",
    "add",
    "restart",
    "cleanup",
    "quarantine",
    "retrack",
    "accept-rtorrent",
    "expand",
    "fields",
    "backup",
    "restore",
    "panel",
    "fleet",
)


class _ReaderLeft(Exception):
    """The reader of a pipe has left: no OSError, because click ends the process with 1 for that."""


class _UnknownGroup:
    """Instead of a group whose folder is unknown: an error for the sub-commands that use it, not for help."""

    def __init__(self, error: UnknownHome) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


class _LazyGroup(click.Group):
    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError as error:
            raise _ReaderLeft from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderLeft from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            from pyrotorque.suggestions import suggestion

            ctx.fail(f"No such command {cmd_name!r}{suggestion(cmd_name, _COMMANDS)}")
        command: click.Command = importlib.import_module(
            f"pyrotorque_control.commands.{cmd_name.replace('-', '_')}"
        ).command
        return command


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are printed to standard error."""
    try:
        return _run(arguments)
    except (BrokenPipeError, _ReaderLeft):
        discard_output()
        return EX_OK


def _run(arguments: Sequence[str]) -> int:
    """As `run`. Raises BrokenPipeError or _ReaderLeft when the reader of a pipe has left, also that of errors."""
    try:
        code = pyrotorque.main(args=list(arguments), prog_name="pyrotorque", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # on a full disk it fails here, with a message, instead of at the exit
        return code if isinstance(code, int) else EX_OK
    except click.exceptions.Exit as exit:
        return exit.exit_code
    except click.UsageError as error:
        _show_usage_error(error)
        return EX_USAGE
    except click.ClickException as error:
        error.show()
        return EX_IOERR
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except (BrokenPipeError, _ReaderLeft):
        raise
    except Exception as error:
        return report_error(error, is_debug="--debug" in arguments)


def _show_usage_error(error: click.UsageError) -> None:
    """As click does in a pipe; on a terminal as every other error."""
    hint = ""
    if isinstance(error, click.NoSuchOption) and any(error.option_name in each.opts for each in pyrotorque.params):
        hint = f"{error.option_name} must precede the sub-command: pyrotorque {error.option_name} … COMMAND"
    if sys.stderr is None or not sys.stderr.isatty():
        error.show()
        if hint:
            print_error(hint)
        return
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        hint = hint or f"`{error.ctx.command_path} --help` shows the options"
    print_error(error.format_message(), hint)


def report_error(error: Exception, *, is_debug: bool = False) -> int:
    """Print cause and cure, and return the exit code; the traceback of a fault of this program with `is_debug` only."""
    if isinstance(error, PyrotorqueError):
        from pyrotorque_control.hints import general_hint

        print_error(error.without_hint, error.hint, further=general_hint(error))
        return exit_code(error)
    if (foreign := explain(error)) is not None:
        if isinstance(error, OSError) and error.filename is None:
            discard_output()
        print_error(foreign.text)
        return foreign.exit_code
    if is_debug:
        traceback.print_exception(error)
    from pyrotorque.workers.handlers import error_summary

    print_error(
        f"unexpected error, please report it (`pyrotorque --debug …` prints a traceback): {error_summary(error)}"
    )
    return EX_SOFTWARE


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 success; 64 wrong usage; 69 not running; 75 cannot start now (guard file missing, already "
    "running); 78 wrong configuration.",
)
@click.option("--fg", "--no-fork", "foreground", is_flag=True, help="Stay in the foreground and print all logs.")
@click.option("--stop", is_flag=True, help="Stop the group.")
@click.option("--restart", is_flag=True, help="Check the configuration, and restart the group if it is valid.")
@click.option("--status", "-?", "status", is_flag=True, help="Print whether the group runs (exit code 0 or 69).")
@click.option("--cron", is_flag=True, help="Start the group unless it runs; quiet, reads files only.")
@click.option(
    "--run-once", metavar="JOB", shell_complete=complete_job, help="Run one job now, wait for its result, and exit."
)
@click.option("-n", "--dry-run", is_flag=True, help="Jobs log what they would do, and do nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Log at level INFO; overrides torque.ini.")
@click.option("-q", "--quiet", is_flag=True, help="Log only warnings and errors.")
@click.option("--debug", is_flag=True, help="Log everything.")
@click.option("--config-dir", metavar="DIR", help="Instead of PYRO_CONFIG_DIR or ~/.pyroscope.")
@click.option("--config-file", metavar="FILE", multiple=True, help="Read this after torque.ini; may be repeated.")
@click.option("--pid-file", metavar="FILE", help="Instead of run/pyrotorque.pid.")
@click.option("--guard-file", metavar="FILE", help="Instead of run/pyrotorque; required to run in the background.")
@click.version_option(package_name="pyrotorque", message="%(prog)s %(version)s")
@click.pass_context
def pyrotorque(ctx: click.Context, /, **given: Any) -> int:
    """Background jobs beside rTorrent: a queue, a tree watch, a clean-up, an exporter, a panel, and jobs of your own.

    Without a sub-command, the group is started in the background (with --fg in the foreground).

    \b
    First steps:
      pyrotorque init       writes torque.ini and shows what to add to rtorrent.rc
      pyrotorque check      lists all errors, and shows what the settings mean
      pyrotorque            starts the group
      pyrotorque status     shows the services and what they do
      pyrotorque panel      prints a login link for the panel in your browser
    \b
    Daily use:
      pyrotorque explain "part of a name"        why an item is not started
      pyrotorque watched --state failed          what was not loaded, and why
      pyrotorque events --since 1h               what happened
      pyrotorque select 'done<100 loaded>1w'     the items that match a condition
      pyrotorque cleanup                         what clean-up jobs would remove
      pyrotorque ctl tail -f watcher             the log of one service
    \b
    Files, in ~/.pyroscope:
      torque.ini            settings; torque.ini.default lists all of them
      log/torque.log        the main log; log/NAME.log for each service
      run/pyrotorque        the guard file: required to run in the background
    """
    _require_one_action(ctx.invoked_subcommand, given)
    options = _options(given)
    try:
        group = Group(configuration_dir(given["config_dir"]), options)
    except UnknownHome as error:
        if ctx.invoked_subcommand is None:
            raise
        ctx.obj = _UnknownGroup(error)
        return EX_OK
    ctx.obj = group
    if ctx.invoked_subcommand is not None:
        return EX_OK
    if given["cron"] and not given["status"] and given["run_once"] is None:
        from pyrotorque_control.cron import with_output_in_log

        return with_output_in_log(group.layout, lambda: _act(group, given))
    return _act(group, given)


def _require_one_action(command: str | None, given: dict[str, Any]) -> None:
    """One of them would be left out without a word; `--stop --restart` is a restart, as it always was."""
    words = ["--restart" if given["restart"] else "--stop"] if given["restart"] or given["stop"] else []
    words += [f"--{name.replace('_', '-')}" for name in ("status", "run_once") if given[name]]
    words += [] if command is None else [f"`{command}`"]
    if len(words) > 1:
        raise click.UsageError(f"{' and '.join(words)} cannot be used together: nothing was done")


def _act(group: Group, given: dict[str, Any]) -> int:
    from pyrotorque_control import lifecycle

    if given["status"]:
        return _print_status(group)
    if given["run_once"] is not None:
        from pyrotorque_control.single_run import run_once

        return run_once(group, given["run_once"])
    if given["stop"] and not given["restart"]:
        if group.options.dry_run:
            from pyrotorque_control.client import require_real_run

            require_real_run(group)
        return lifecycle.stop(group, quiet=given["cron"])
    if given["restart"]:
        return lifecycle.restart(group, quiet=given["cron"])
    return lifecycle.run_in_foreground(group) if given["foreground"] else lifecycle.start(group, quiet=given["cron"])


def _print_status(group: Group) -> int:
    found = group.running()
    if found is None:
        click.echo(f"pyrotorque is not running ({printable(str(group.config_dir))})")
        return EX_UNAVAILABLE
    click.echo(f"pyrotorque is running, pid {found.pid}, up {duration(time.time() - found.started)}")
    return EX_OK


def _options(given: dict[str, Any]) -> Options:
    """Paths are made absolute: the services have another working directory."""
    level = "DEBUG" if given["debug"] else "INFO" if given["verbose"] else "WARNING" if given["quiet"] else None
    return Options(
        dry_run=given["dry_run"],
        log_level=level,
        config_files=tuple(_absolute(name) for name in given["config_file"]),
        foreground=given["foreground"],
        guard_file=_absolute(given["guard_file"]) if given["guard_file"] else None,
        pid_file=_absolute(given["pid_file"]) if given["pid_file"] else None,
    )


def _absolute(name: str) -> str:
    """Raises LayoutError for what the file with the options cannot contain."""
    found = str(expand_home(name).absolute())
    try:
        found.encode()
    except UnicodeEncodeError:
        raise LayoutError(
            f"cannot use the path {printable(found)}: it contains bytes that are not UTF-8; use another path"
        ) from None
    return found
