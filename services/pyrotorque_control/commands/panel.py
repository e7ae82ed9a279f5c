"""`pyrotorque panel`: login links, the password, tokens and sessions of the panel."""

import sys
from typing import Literal

import click

from pyrotorque.actions import ask_service
from pyrotorque.errors import UserError
from pyrotorque.requests import (
    Answer,
    EndPanelSessions,
    MakeLoginLink,
    MakePanelToken,
    RemovePanelToken,
    Request,
    SetPanelPassword,
)
from pyrotorque_control.client import actor_of, require_service
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group

_PASSWORD_MIN = 8


@click.group(invoke_without_command=True, short_help="Print a login link of the panel.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print a link that logs in a browser, once within ten minutes. The panel runs with `panel.active = True`.

    \b
      pyrotorque panel                           a login link
      pyrotorque panel password                  set a password
      pyrotorque panel token homepage            a token that may read
      pyrotorque panel token phone --scope act   one that may act
    """
    if ctx.invoked_subcommand is None:
        click.echo(_ask(ctx.obj, MakeLoginLink(by=_by(ctx.obj))).data["link"])


@command.command(short_help="Set or remove the password.")
@click.option("--remove", is_flag=True, help="Logins by links only.")
@click.pass_obj
def password(group: Group, remove: bool) -> None:
    """Set a password, asked for twice, or read from standard input if that is no terminal. All sessions end."""
    from pyrotorque.passwords import password_hash

    stored = ""
    if not remove:
        given = _entered() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        if not _PASSWORD_MIN <= len(given) <= 1024:
            raise UserError(f"a password has {_PASSWORD_MIN} to 1024 characters")
        stored = password_hash(given)
    click.echo(_ask(group, SetPanelPassword(stored=stored, by=_by(group))).text)


@command.command(short_help="Make a token of the API.")
@click.argument("name", callback=given_word)
@click.option("--scope", type=click.Choice(["read", "act"]), default="read", show_default=True, help="What it may do.")
@click.option("--remove", is_flag=True, help="The token of this name is no longer valid.")
@click.pass_obj
def token(group: Group, name: str, scope: Literal["read", "act"], remove: bool) -> None:
    """Print a new token, which replaces one of the same name. It is shown once; only its hash is stored."""
    if remove:
        click.echo(_ask(group, RemovePanelToken(name=name, by=_by(group))).text)
        return
    click.echo(_ask(group, MakePanelToken(name=name, scope=scope, by=_by(group))).data["token"])


@command.command(short_help="Log out all browsers.")
@click.pass_obj
def logout(group: Group) -> None:
    """End all sessions; tokens stay valid."""
    click.echo(_ask(group, EndPanelSessions(by=_by(group))).text)


def _entered() -> str:
    found: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return found


def _ask(group: Group, request: Request) -> Answer:
    require_service(group, "panel", "panel.active = True")
    return ask_service(actor_of(group), "panel", request)


def _by(group: Group) -> str:
    return actor_of(group).by
