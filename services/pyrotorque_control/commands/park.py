"""`pyrotorque park`."""

import click

from pyrotorque.actions import park_item
from pyrotorque.settings.values import duration
from pyrotorque_control.client import act
from pyrotorque_control.completion import complete_job
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group
from pyrotorque_control.item_choice import chosen_item


@click.command(short_help="Stop one item for some time.")
@click.argument("item", callback=given_word, metavar="HASH|NAME")
@click.option("--for", "period", default="1h", show_default=True, help="How long: 30m, 2h, 1d.")
@click.option(
    "--job",
    callback=given_word,
    shell_complete=complete_job,
    help="The queue that starts it again; by default the one that started it.",
)
@click.pass_obj
def command(group: Group, item: str, period: str, job: str | None) -> None:
    """Stop one item, which gives up its slot. After the time is over, its queue may start it again, in its order.

    The item is named by its info-hash, 40 hexadecimal digits as `pyrotorque select` shows it, by its name, or by a part
    of the name that no other item has.
    """
    try:
        seconds = duration(period)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    chosen = chosen_item(group, item)
    act(group, lambda actor: park_item(actor, chosen, seconds, job))
