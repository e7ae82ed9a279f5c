"""Prints a login link of a panel in which no one has logged in yet."""

import sys
import threading
import time
from collections.abc import Iterable

import click

from pyrotorque.errors import PyrotorqueError, ServiceUnreachable
from pyrotorque.requests import DescribeService, MakeLoginLink
from pyrotorque_control.group import Group

_TIMEOUT = 5.0  # seconds
_START_TIMEOUT = 30.0  # seconds
_POLL_INTERVAL = 0.2  # seconds


def print_first_login(group: Group, services: Iterable[str], *, within: float = 0.0) -> None:
    """Print it to a terminal only: the link is a secret, and must not enter a log. Wait so long for the panel."""
    if "panel" not in services or not sys.stdout.isatty():
        return
    deadline = time.monotonic() + within
    while True:
        try:
            _print(group)
        except ServiceUnreachable as error:
            if time.monotonic() < deadline:
                time.sleep(_POLL_INTERVAL)
                continue
            click.echo(f"pyrotorque: warning: {error}", err=True)
        except PyrotorqueError as error:
            click.echo(f"pyrotorque: warning: {error}", err=True)
        return


def print_first_login_later(group: Group, services: Iterable[str]) -> None:
    """As `print_first_login`, as soon as the panel answers, while this process does something else."""
    thread = threading.Thread(
        target=print_first_login, args=(group, services), kwargs={"within": _START_TIMEOUT}, daemon=True
    )
    thread.start()


def _print(group: Group) -> None:
    from pyrotorque.bus.client import ask
    from pyrotorque_control.client import actor_of

    found = ask(group.layout, "panel", DescribeService(), _TIMEOUT)
    if not isinstance(found.data, dict) or not found.data.get("unused"):
        return
    answer = ask(group.layout, "panel", MakeLoginLink(by=actor_of(group).by), _TIMEOUT)
    if answer.ok:
        click.echo(f"the panel, for ten minutes and one browser: {answer.data['link']}")
    else:
        click.echo(f"pyrotorque: warning: {answer.text}", err=True)
