"""`pyrotorque park`."""

import click

from pyrotorque.actions import park_item, required_hash
from pyrotorque.settings.values import duration
from pyrotorque_control.client import act
from pyrotorque_control.group import Group


@click.command(short_help="Stop one item for some time.")
@click.argument("info_hash", metavar="HASH")
@click.option("--for", "period", default="1h", show_default=True, help="How long: 30m, 2h, 1d.")
@click.option("--job", help="The queue that starts it again; by default the one that started it.")
@click.pass_obj
def command(group: Group, info_hash: str, period: str, job: str | None) -> None:
    """Stop one item, which gives up its slot. After the time is over, its queue may start it again, in its order.

    HASH is its info-hash, 40 hexadecimal digits, as `pyrotorque select` shows it.
    """
    chosen = required_hash(info_hash)
    try:
        seconds = duration(period)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    act(group, lambda actor: park_item(actor, chosen, seconds, job))
