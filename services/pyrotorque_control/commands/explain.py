"""`pyrotorque explain`: why an item is, or is not, started."""

import click

from pyrotorque.requests import ExplainQueue
from pyrotorque_control import terminal
from pyrotorque_control.client import asked
from pyrotorque_control.exit_codes import EX_OK
from pyrotorque_control.group import Group


@click.command(short_help="Say why an item is, or is not, started.")
@click.argument("item", required=False, metavar="[HASH|NAME]")
@click.option("--job", help="Only this queue.")
@click.option("--history", is_flag=True, help="What was decided lately, and why.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object or list.")
@click.pass_obj
def command(group: Group, item: str | None, job: str | None, history: bool, as_json: bool) -> int:
    """Say why the queue does what it does: its slots, what it would start next, in which order and when. For one item,
    named by its hash or a part of its name: each clause of the condition, with the item's value.

    \b
      pyrotorque explain                    all queues
      pyrotorque explain 'part of a name'   why this one is, or is not, started
      pyrotorque explain --history          what was decided lately, and why

    The scheduler answers: the exit code is 69 when it does not run.
    """
    answer = asked(group, "scheduler", ExplainQueue(job=job, item=item, history=history))
    click.echo(terminal.json_line(answer.data) if as_json else answer.text)
    return EX_OK
