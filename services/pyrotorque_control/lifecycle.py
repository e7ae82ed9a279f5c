"""Starts, restarts and stops the group, after the whole configuration has been checked."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
import msgspec

from pyrotorque import configuration
from pyrotorque.configuration import Configuration
from pyrotorque.errors import LayoutError, StateError
from pyrotorque.group_lock import reads_file
from pyrotorque.group_state import state_problem
from pyrotorque.guard_file import adopted, guard_command
from pyrotorque.layout import SERVICES, Layout
from pyrotorque.linux.foreign_links import foreign_link
from pyrotorque.linux.processes import ProcessIdentity
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.linux.signals import handled_ends
from pyrotorque.options import Options, read_options, write_atomically, write_options
from pyrotorque.settings import Problem, Report, SettingsProblems, layout_of, packaged_text
from pyrotorque.supervisord import launch
from pyrotorque.supervisord.config import control_file
from pyrotorque.supervisord.restart import keep_guard, restart_services
from pyrotorque.supervisord.running import STOP_TIMEOUT, end
from pyrotorque.supervisord.validation import check_conf
from pyrotorque.text import printable
from pyrotorque_control.backup.swap import require_no_unfinished_restore
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL
from pyrotorque_control.first_login import print_first_login, print_first_login_later
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.restart_lock import restart_lock
from pyrotorque_control.rtorrent_include import include_file, include_text
from pyrotorque_control.service_answers import ServiceAnswers, processes, require_memory
from pyrotorque_control.stopping import running_after_stop


def start(group: Group, *, quiet: bool) -> int:
    """Start the group in the background and wait until its services answer; if one does not, nothing is left running.

    `quiet` prints nothing, does not wait for services, and accepts a group that runs already.
    """
    if quiet and group.running():
        return EX_OK
    if found := running_after_stop(group):
        raise CommandError(
            f"already running, pid {found.pid}",
            EX_TEMPFAIL,
            hint="`pyrotorque --restart` applies a changed configuration",
        )
    if not group.may_start() and group.config_dir.is_dir():
        raise _guard_missing(group, ", or use --fg")
    # The guardian stops the group when this file is removed.
    guarded = group.options.guarded_by(adopted(group.layout, group.guard_file))
    prepared = prepare_supervisord(Group(group.config_dir, guarded))

    def report(pid: int) -> None:
        if not quiet:
            click.echo(f"pyrotorque has started, pid {pid}; its log is {prepared.layout.log_dir / 'torque.log'}")

    _launch(prepared, verify=not quiet, report=report)
    if not quiet:
        print_first_login(group, prepared.services)
    return EX_OK


def _guard_missing(group: Group, alternative: str = "") -> CommandError:
    return CommandError(
        f"the guard file {printable(str(group.guard_file))} is missing",
        EX_TEMPFAIL,
        hint=f"run `{guard_command(group.guard_file)}` to let the group run in the background{alternative}",
    )


def run_in_foreground(group: Group) -> int:
    """Run the group in this terminal until it is stopped."""
    from pyrotorque_control.foreground import run

    if found := running_after_stop(group):
        raise CommandError(f"already running, pid {found.pid}", EX_TEMPFAIL, hint="`pyrotorque --stop` stops it")
    prepared = prepare_supervisord(group)
    print_first_login_later(group, prepared.services)
    return run(prepared.configuration, prepared.directory, store=prepared.store)


def restart(group: Group, *, quiet: bool = False) -> int:
    """Restart all services with the current configuration; when that is wrong, the group keeps running as it is.

    A restart of another command is waited for. Raises GuardRemoved while the group is being stopped.
    """
    with restart_lock(group.config_dir):
        return _restart(group, quiet=quiet)


def _restart(group: Group, *, quiet: bool) -> int:
    found = group.running()
    if found is None:
        return start(group, quiet=quiet)
    if problem := state_problem(group.layout, found.pid):
        raise StateError(problem)
    before = read_options(group.layout)
    options = msgspec.structs.replace(
        group.options,
        foreground=before.foreground,
        pid_file=str(group.pid_file),
    ).guarded_by(_guard_files(group, before))
    if group.options.guard_file not in (None, before.guard_file) and not before.foreground and not group.may_start():
        raise _guard_missing(group)  # another one than that of the running group, which keeps its own
    keep_guard(group.layout, options)
    prepared = prepare_supervisord(Group(group.config_dir, options), found.pid)
    if prepared.layout != group.layout:
        launch.require_free(prepared.layout, found)

    def report(_pid: int) -> None:
        if not quiet:
            click.echo("pyrotorque has restarted")

    running = processes(prepared.layout)
    if running is not None and reads_file(found.pid, control_file(prepared.layout)):
        _restart_programs(prepared, found, {name: process.pid for name, process in running.items()})
        report(found.pid)
    else:
        # It cannot be reached: its socket was removed, or it hangs. Or it would read another file than it was started
        # with: supervisor.conf was removed, or written by `init`.
        # Checked again: the check of the configuration takes seconds, in which a cleaner may run.
        keep_guard(prepared.layout, prepared.options)
        end(found)
        _launch(prepared, verify=True, report=report)
    if not quiet:
        print_first_login(group, prepared.services)
    return EX_OK


def _guard_files(group: Group, before: Options) -> tuple[Path, ...]:
    """Those of the running group, which was started with the options `before`; or what this command line gives."""
    recorded, given = before.guard_files(group.layout), group.options.guard_file
    if given is not None and Path(given) not in recorded:
        return adopted(group.layout, Path(given))
    by_1_0_0 = before.guard_file in (None, str(group.layout.earlier_guard_file))
    return adopted(group.layout, *recorded) if by_1_0_0 and not before.foreground else recorded


def stop(group: Group, *, quiet: bool = False) -> int:
    """Stop the group and wait until it has stopped; what does not stop in time is killed."""
    found = group.must_run()
    if not end(found):
        click.echo(f"pyrotorque: pid {found.pid} did not stop within {STOP_TIMEOUT:.0f} s and was killed", err=True)
    if quiet:
        return EX_OK
    click.echo("pyrotorque has stopped")
    if group.may_start() and include_file(group.config_dir).exists():
        click.echo(f"while {group.guard_file} exists, rTorrent's include starts it again within 300 s")
    return EX_OK


def _launch(prepared: "PreparedStart", *, verify: bool, report: Callable[[int], None]) -> None:
    """Start supervisord; with `verify`, also wait for the services; then `report` its pid.

    When it fails or is interrupted, nothing is left running; once it has succeeded, it is not interrupted any more.
    """
    if verify:
        require_memory()
    answers = ServiceAnswers(prepared.layout, prepared.services)
    succeeded = False

    def verified(supervisord: ProcessIdentity) -> None:
        nonlocal succeeded
        if verify:
            try:
                _print_lines(answers.wait(supervisord))
            except CommandError as error:
                raise CommandError(f"{error}; the group was stopped again", error.exit_code) from error
        succeeded = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not succeeded:
            raise KeyboardInterrupt

    with handled_ends(interrupt):
        pid = launch.start(
            prepared.layout,
            prepared.options,
            directory=prepared.directory,
            optional=prepared.optional_services,
            store=prepared.store,
            verify=verified,
        )
        report(pid)


def _restart_programs(prepared: "PreparedStart", supervisord: ProcessIdentity, before: Mapping[str, int]) -> None:
    """Restart the programs of a supervisord that can be reached; those that answer go on when another one does not."""
    require_memory()
    answers = ServiceAnswers(prepared.layout, prepared.services)
    restart_services(prepared.layout, prepared.options, prepared.optional_services, store=prepared.store)
    try:
        _print_lines(answers.wait(supervisord, before))
    except CommandError as error:
        if processes(prepared.layout) is not None:
            text = f"{error}; the other services run, and it is tried again (see `pyrotorque status`)"
            raise CommandError(text, error.exit_code) from error
        end(supervisord)
        raise CommandError(f"{error}; the group was stopped", error.exit_code) from error


@dataclass(frozen=True)
class PreparedStart:
    """A checked configuration, and the working directory for supervisord."""

    configuration: Configuration
    directory: str

    @property
    def layout(self) -> Layout:
        return self.configuration.layout

    @property
    def options(self) -> Options:
        return self.configuration.options

    @property
    def optional_services(self) -> tuple[str, ...]:
        return self.configuration.settings.optional_services

    @property
    def services(self) -> tuple[str, ...]:
        """All services that this configuration has."""
        return (*SERVICES, *self.optional_services)

    def store(self) -> None:
        """Give configuration and options to the services: only while the group is ours, by its lock or as a restart."""
        store(self.configuration)


def prepare_supervisord(group: Group, supervisord: int = 0) -> PreparedStart:
    """As `prepare`; also checks the files that supervisord reads. `supervisord` is the pid of the running one."""
    require_no_unfinished_restore(group.config_dir)
    report = Report()
    directory = check_conf(layout_of(group.config_dir), group.options, report, supervisord=supervisord)
    try:
        found = configuration.read(group.config_dir, group.options)
    except SettingsProblems as error:
        raise SettingsProblems((*error.problems, *report.problems)) from None
    report.raise_if_any()
    _make_folders(found)
    _print_warnings(report.warnings)
    return PreparedStart(found, directory)


def prepare(group: Group) -> Configuration:
    """The configuration for the options of this command line; it is checked, and only folders are created.

    Raises SettingsProblems when it is wrong.
    """
    require_no_unfinished_restore(group.config_dir)
    found = configuration.read(group.config_dir, group.options)
    _make_folders(found)
    return found


def _make_folders(found: Configuration) -> None:
    _print_warnings(found.warnings)
    if os.geteuid() == 0:
        click.echo("pyrotorque: warning: running as root; run it as the user that rTorrent runs as", err=True)
    found.layout.prepare()
    for obstruction in found.layout.obstructed():
        raise LayoutError(printable(obstruction))


def store(checked: Configuration) -> None:
    """Store a configuration that was checked for the services, together with the options of this command line."""
    write_options(checked.layout, msgspec.structs.replace(checked.options, log_format=checked.settings.log_format))
    configuration.adopt(checked)
    update_generated_files(checked.layout.config_dir)


def _print_warnings(warnings: Iterable[Problem]) -> None:
    _print_lines(str(warning) for warning in warnings)


def _print_lines(warnings: Iterable[str]) -> None:
    for warning in warnings:
        click.echo(f"pyrotorque: warning: {warning}", err=True)


def update_generated_files(config_dir: Path) -> None:
    """Rewrite the files of `init` that users do not edit, as after an upgrade; a failure does not prevent the start."""
    _update(config_dir / "torque.ini.default", packaged_text())
    if include_file(config_dir).exists():
        _update(include_file(config_dir), include_text(config_dir))


def _update(path: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    try:
        if not foreign_link(path.parent) and (not path.exists() or read_regular_file(path) != content):
            write_atomically(path, content)
    except (OSError, StateError):
        return
