"""Ask a service for something and tell what it answered."""

import click

from pyrotorque.requests import Answer, Request
from pyrotorque_control.exits import EX_TEMPFAIL
from pyrotorque_control.group import Group, Refused


def asked(group: Group, service: str, request: Request, timeout: float = 15.0) -> Answer:
    """The answer to `request`.

    Raises Refused when the group does not run or the service says no, ServiceUnreachable when it says nothing.
    """
    from pyrotorque.bus.asking import ask

    group.must_run()
    answer = ask(group.layout, service, request, timeout)
    if not answer.ok:
        raise Refused(answer.text or f"{service} refused", EX_TEMPFAIL)
    return answer


def tell(group: Group, service: str, request: Request) -> None:
    """Ask, and print what was done."""
    answer = asked(group, service, request)
    if answer.text:
        click.echo(answer.text)
