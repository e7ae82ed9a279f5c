"""`pyrotorque explain`: why an item is or is not started."""

import time
from contextlib import suppress

import click

from pyrotorque.actions import ask_service, require_job
from pyrotorque.errors import ActionRefused, PyrotorqueError
from pyrotorque.requests import ExplainQueue
from pyrotorque_control import terminal
from pyrotorque_control.client import actor_of
from pyrotorque_control.completion import complete_job
from pyrotorque_control.exit_codes import EX_OK
from pyrotorque_control.failed_moves import failed_moves, failure_lines, is_chosen
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group


@click.command(short_help="Explain why an item is or is not started.")
@click.argument("item", callback=given_word, required=False, metavar="[HASH|NAME]")
@click.option("--job", callback=given_word, shell_complete=complete_job, help="This queue only.")
@click.option("--history", is_flag=True, help="Recent decisions and their reasons.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object or list.")
@click.pass_obj
def command(group: Group, item: str | None, job: str | None, history: bool, as_json: bool) -> int:
    """Show the state of each queue: its slots, the items that it would start next, in which order and when. For one
    item, named by its hash or part of its name: each clause of the condition, with the item's value.

    \b
      pyrotorque explain                    all queues
      pyrotorque explain 'part of a name'   why this item is or is not started
      pyrotorque explain --history          recent decisions and their reasons

    For an item, active clean-up jobs are explained as well: why it would go or stay; and why a move of it failed.
    The scheduler answers this; the exit code is 69 when it is not running.
    """
    try:
        actor = actor_of(group, changes=False)
        if job is not None:
            require_job(group.layout, job)
        answer = ask_service(actor, "scheduler", ExplainQueue(job=job, item=item, history=history))
    except PyrotorqueError as error:
        # Without a queue, or a running scheduler, failed moves and clean-ups are known all the same.
        if item is None or as_json or history or not _explain_others(group, item):
            raise
        if not isinstance(error, ActionRefused):  # no scheduler has answered
            raise
        terminal.echo(f"\n{error}")
        return EX_OK
    click.echo(terminal.json_line(answer.data)) if as_json else terminal.echo(answer.text)
    if item is not None and not as_json and not history:
        _explain_others(group, item)
    return EX_OK


def _explain_others(group: Group, item: str) -> bool:
    """What jobs other than queues say about the item; whether any of them says something."""
    is_moved, is_cleaned = _explain_moves(group, item), _explain_cleanups(group, item)
    return is_moved or is_cleaned


def _explain_moves(group: Group, item: str) -> bool:
    """Why moves of the item failed, and when they are tried again; nothing where none did."""
    found = [move for move in failed_moves(group.layout) if is_chosen(move, item)]
    if found:
        click.echo()
    for line in failure_lines(found, time.time()):
        terminal.echo(line)
    return bool(found)


def _explain_cleanups(group: Group, item: str) -> bool:
    """Why each active clean-up job removes the item or not, and what is in quarantine; nothing without such jobs."""
    from pyrotorque_control.cleanup_jobs import active_cleanups
    from pyrotorque_control.commands.cleanup import item_lines
    from pyrotorque_control.commands.quarantine import entry_lines

    shown: list[str] = []
    for job in active_cleanups(group):
        try:
            found = job.preview()
        except PyrotorqueError as error:
            terminal.echo(f"\n{job.name}: would remove nothing: {error}")
            continue
        shown += item_lines(job, found, item)
    with suppress(PyrotorqueError):  # wrong settings of a job
        shown += [f"\n{line}" for line in entry_lines(group, item)]
    for line in shown:
        terminal.echo(line)
    return bool(shown)
