"""`pyrotorque restart`."""

import click

from pyrotorque.actions import restart_service
from pyrotorque.layout import ALL_SERVICES
from pyrotorque_control.client import act
from pyrotorque_control.group import Group


@click.command(short_help="Restart one service.")
@click.argument("service", metavar="SERVICE", type=click.Choice([name for name in ALL_SERVICES if name != "guardian"]))
@click.pass_obj
def command(group: Group, service: str) -> None:
    """Restart one service of the running group: scheduler, watcher, exporter, panel or fleet.

    Pending work is kept. `pyrotorque --restart` restarts all services, with a changed configuration.
    """
    act(group, lambda actor: restart_service(actor, service))
