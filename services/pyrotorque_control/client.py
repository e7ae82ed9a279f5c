"""Ask a service for something and tell what it answered."""

from contextlib import suppress

import click

from pyrotorque.configuration import last_good
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.requests import Answer, ExplainQueue, Request, RunJob
from pyrotorque_control.exit_codes import EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import Group, Refused

_FIRST_PATIENCE = 4.0  # seconds


def asked(group: Group, service: str, request: Request, timeout: float = 15.0) -> Answer:
    """The answer to `request`.

    Raises Refused when the group does not run, would do for real what was asked for show, or the service says no;
    ServiceUnreachable when it says nothing.
    """
    group.must_run()
    _refuse_for_show(group, request)
    answer = _asked_again(group, service, request, timeout)
    if not answer.ok:
        raise Refused(answer.text or f"{service} refused", EX_TEMPFAIL)
    return answer


def _refuse_for_show(group: Group, request: Request) -> None:
    """A service does what it is asked for real, unless it was started to do nothing for real."""
    if not group.options.dry_run or isinstance(request, ExplainQueue):
        return
    kept = last_good(group.layout)
    if not (isinstance(request, RunJob) and kept is not None and kept.dry_run):
        said = "the group runs without --dry-run and would do that for real"
        raise Refused(f"{said}: leave out --dry-run, or start the group with it", EX_USAGE)


def _asked_again(group: Group, service: str, request: Request, timeout: float) -> Answer:
    """A service that takes over another configuration opens its door anew: what was asked just then is lost."""
    from pyrotorque.bus.client import ask

    if not isinstance(request, RunJob):  # all others mean the same when they are carried out twice
        with suppress(ServiceUnreachable):
            return ask(group.layout, service, request, _FIRST_PATIENCE)
    return ask(group.layout, service, request, timeout)


def tell(group: Group, service: str, request: Request) -> None:
    """Ask, and print what was done."""
    answer = asked(group, service, request)
    if answer.text:
        click.echo(answer.text)
