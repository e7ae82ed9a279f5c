"""Carries out the actions of the command line in the running group."""

import os
import pwd
from collections.abc import Callable

import click

from pyrotorque.actions import ACTOR, Actor, record_action
from pyrotorque.errors import PyrotorqueError
from pyrotorque.requests import Answer
from pyrotorque.stored_configuration import last_good
from pyrotorque.supervisord.config import table_services
from pyrotorque_control.exit_codes import EX_UNAVAILABLE, EX_USAGE
from pyrotorque_control.group import CommandError, Group


def actor_of(group: Group, *, changes: bool = True, job_may_run: bool = False) -> Actor:
    """The user of the command line.

    Raises CommandError when the group is not running, or when `--dry-run` was given but the group runs without it.
    """
    group.must_run()
    if changes and group.options.dry_run:
        _require_dry_run(group, job_may_run=job_may_run)
    return Actor(group.layout, who())


def require_service(group: Group, service: str, setting: str) -> None:
    """Raise CommandError if the group is not running, or has no such optional service."""
    group.must_run()
    if service not in table_services(group.config_dir):
        hint = f"set {setting} in torque.ini, then `pyrotorque --restart`"
        raise CommandError(f"this group has no {service}", EX_UNAVAILABLE, hint=hint)


def who() -> str:
    """Who acts: the user of the command line, or of the panel that runs this command for them."""
    return os.environ.get(ACTOR) or f"command line ({_user()})"


def require_real_run(group: Group) -> None:
    """Raise CommandError if `--dry-run` was given to a command that changes something by itself."""
    if group.options.dry_run:
        raise CommandError("this command would do that for real", EX_USAGE, hint="leave out --dry-run")


def recorded(group: Group, action: str, target: str, carry_out: Callable[[], str]) -> str:
    """Carry out an action in this process; a running scheduler stores its event. CommandError with `--dry-run`."""
    require_real_run(group)
    try:
        text = carry_out()
    except PyrotorqueError as error:
        _record(group, action, target, False, str(error))
        raise
    _record(group, action, target, True, text)
    return text


def _record(group: Group, action: str, target: str, ok: bool, text: str) -> None:
    if group.running() is not None:
        record_action(Actor(group.layout, who()), action, target, ok, text)


def act(group: Group, action: Callable[[Actor], Answer]) -> None:
    """Carry out an action and print the text of the answer."""
    answer = action(actor_of(group))
    if answer.text:
        click.echo(answer.text)


def _require_dry_run(group: Group, *, job_may_run: bool) -> None:
    """A service carries out a request for real unless it was started with `--dry-run`."""
    settings = last_good(group.layout)
    if not (job_may_run and settings is not None and settings.dry_run):
        raise CommandError(
            "the group runs without --dry-run and would do that for real",
            EX_USAGE,
            hint="leave out --dry-run, or start the group with it",
        )


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
