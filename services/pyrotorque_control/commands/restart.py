"""`pyrotorque restart`."""

import click

from pyrotorque.actions import restart_service
from pyrotorque.layout import ALL_SERVICES
from pyrotorque_control import terminal
from pyrotorque_control.client import actor_of
from pyrotorque_control.exit_codes import EX_TEMPFAIL
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.service_answers import ServiceAnswers, processes, require_memory


@click.command(short_help="Restart one service.")
@click.argument("service", metavar="SERVICE", type=click.Choice([name for name in ALL_SERVICES if name != "guardian"]))
@click.pass_obj
def command(group: Group, service: str) -> None:
    """Restart one service of the running group, and wait until it answers: scheduler, watcher, exporter, panel or
    fleet.

    Pending work is kept. `pyrotorque --restart` restarts all services, with a changed configuration.
    """
    actor = actor_of(group)
    supervisord = group.must_run()
    require_memory()
    answers = ServiceAnswers(group.layout, [service])
    before = _pids(group)
    text = restart_service(actor, service).text
    try:
        warnings = answers.wait(supervisord, before)
    except CommandError as error:
        raise _explained(group, service, before, error) from error
    for warning in warnings:
        terminal.print_warning(warning)
    click.echo(text)


def _pids(group: Group) -> dict[str, int]:
    return {name: process.pid for name, process in (processes(group.layout) or {}).items()}


def _explained(group: Group, service: str, before: dict[str, int], error: CommandError) -> CommandError:
    """Whether the service has not even ended, or does not start again."""
    is_old = _pids(group).get(service) == before.get(service, 0) != 0
    cause = f"the old process of {service} has not ended yet" if is_old else str(error)
    return CommandError(f"{cause}; it is tried again (see `pyrotorque status`)", EX_TEMPFAIL)
