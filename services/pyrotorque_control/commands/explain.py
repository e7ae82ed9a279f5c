"""`pyrotorque explain`: why an item is, or is not, started."""

import click

from pyrotorque.requests import ExplainQueue
from pyrotorque_control import terminal
from pyrotorque_control.asking import asked
from pyrotorque_control.exits import EX_OK
from pyrotorque_control.group import Group


@click.command(short_help="Say why an item is, or is not, started.")
@click.argument("item", required=False, metavar="[HASH|NAME]")
@click.option("--job", help="Only this queue.")
@click.option("--history", is_flag=True, help="What was decided lately, and why.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object or list.")
@click.pass_obj
def command(group: Group, item: str | None, job: str | None, history: bool, as_json: bool) -> int:
    """Why the queue does what it does: order, slots, what is next and when; for one item each clause with its value."""
    answer = asked(group, "scheduler", ExplainQueue(job=job, item=item, history=history))
    click.echo(terminal.json_line(answer.data) if as_json else answer.text)
    return EX_OK
