"""Writes the pages that come from the code: settings.md, events.md, commands.md.

    python -m docs.generate        # in the project's environment

A test compares them with what this would write, so that none of them grows old.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import click
import msgspec

from docs.settings import COMMON, GROUP, INTRO, KINDS
from pyrotorque.events import Durable, Fact, Live
from pyrotorque.settings.handlers import ALIASES, DROPPED
from pyrotorque_control.cli import pyrotorque
from pyrotorque_control.exit_codes import (
    EX_CONFIG,
    EX_IOERR,
    EX_OK,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    INTERRUPTED,
)

HERE: Final = Path(__file__).parent
NOTICE: Final = "<!-- Written by docs/generate.py; change that, or the code that it reads. -->\n"
EXITS: Final = {
    EX_OK: "all is well; `--status`: the group runs",
    EX_USAGE: "wrong usage: an option, a condition, a metafile or a time that cannot be read",
    EX_UNAVAILABLE: "not running: the group (`--status`, `--stop`, and what asks a service), or rTorrent",
    EX_SOFTWARE: "rTorrent refused a call, or something went wrong that nobody foresaw",
    EX_IOERR: "a file or database cannot be read or written",
    EX_TEMPFAIL: "not now: the guard file is missing, the group runs already, or a service refused",
    EX_CONFIG: "the configuration is wrong; everything that is wrong was told",
    INTERRUPTED: "ended by Ctrl-C",
}


def settings_page() -> str:
    return "\n".join(_settings()) + "\n"


def _settings() -> Iterator[str]:
    yield f"# Settings\n\n{NOTICE}"
    yield f"{INTRO}\n"
    yield "## The group\n"
    yield from _table((name, default, text) for name, (default, text) in GROUP.items())
    yield "\n## Every job\n\nWritten `job.NAME.SETTING`; NAME is yours, of letters, digits, `-` and `_`.\n"
    yield from _table((name, default, text) for name, (default, text) in COMMON.items())
    for kind, (title, intro, texts) in KINDS.items():
        yield f"\n## {title}\n\n{intro}\n"
        yield from _table((name, _default(kind, name), text) for name, text in texts.items())
        if aliases := ALIASES.get(kind):
            said = ", ".join(f"`{old}` ({_opposite(new)})" for old, new in aliases.items())
            yield f"\nEarlier names that are understood: {said}."
        for old, instead in DROPPED.get(kind, {}).items():
            yield f"\n`{old}` of pyrosimple: {instead or 'not needed any more, and ignored'}."


def _opposite(name: str) -> str:
    return f"the opposite of `{name[1:]}`" if name.startswith("!") else f"`{name}`"


def _default(kind: Any, name: str) -> str:
    found = {field.name: field for field in msgspec.structs.fields(kind)}.get(name)
    return "" if found is None else shown(found.default)


def shown(value: object) -> str:
    """A default as it is written in torque.ini."""
    if value is msgspec.NODEFAULT or value is None or value == () or value == "":
        return ""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _table(rows: Any) -> Iterator[str]:
    yield "| setting | default | meaning |\n|---|---|---|"
    for name, default, text in rows:
        value = f"`{default}`".replace("|", "\\|") if default else "–"
        yield f"| `{name}` | {value} | {text.replace('|', chr(92) + '|')} |"


def events_page() -> str:
    return "\n".join(_events()) + "\n"


def _events() -> Iterator[str]:
    yield f"# Events\n\n{NOTICE}"
    yield (
        "What the services tell each other, and you: `pyrotorque events --json` prints one object a line with "
        "`source`, `seq`, `at` (Unix seconds), `type` and the fields below.\nInfo-hashes are upper-case hex. Times are "
        "Unix seconds, durations seconds. Bytes that are not UTF-8 are shown as `\\xNN`.\n"
    )
    yield (
        "## Kept\n\nThese are stored before anybody hears of them, and told again to who was not there. "
        "`job.NAME.on = EVENT, …` runs a job for each.\n"
    )
    for event in get_args(Durable):
        yield from _event(event)
    yield "## Live only\n\nThese pass by; nobody tells them again.\n"
    for event in get_args(Live):
        yield from _event(event)


def _event(event: type[Fact]) -> Iterator[str]:
    yield f"### {event.__name__}\n\n{_one_line(inspect.getdoc(event) or '')}\n"
    yield "| field | type |\n|---|---|"
    for field in msgspec.structs.fields(event):
        if field.name != "at":
            yield f"| `{field.name}` | {_type(field.type)} |"
    yield ""


def _type(kind: Any) -> str:
    if values := [value for value in get_args(kind) if isinstance(value, str)]:
        return " or ".join(f"`{value}`" for value in values)
    name = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
    return re.sub(r"\b(?:\w+\.)+", "", name).replace("|", "or")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def commands_page() -> str:
    return "\n".join(_commands()) + "\n"


def _commands() -> Iterator[str]:
    yield f"# The command\n\n{NOTICE}"
    yield "Options of `pyrotorque` itself stand before the sub-command.\n"
    yield f"```text\n{_help('pyrotorque', pyrotorque)}\n```\n"
    context = click.Context(pyrotorque, info_name="pyrotorque")
    for name in pyrotorque.list_commands(context):
        command = pyrotorque.get_command(context, name)
        if command is not None:
            yield f"## pyrotorque {name}\n\n```text\n{_help(name, command, context)}\n```\n"
    yield "## Exit codes\n\n| code | meaning |\n|---|---|"
    for code, meaning in EXITS.items():
        yield f"| {code} | {meaning} |"
    yield (
        "\nServices end with 78 when there is no good configuration at all, 75 when another process has their role, "
        "70 after an error that nobody foresaw; supervisord starts them again."
    )


def _help(name: str, command: click.Command, parent: click.Context | None = None) -> str:
    context = click.Context(command, parent=parent, info_name=name, terminal_width=100, max_content_width=100)
    context.help_option_names = command.context_settings.get("help_option_names", ["-h", "--help"])
    return "\n".join(map(str.rstrip, command.get_help(context).rstrip().split("\n")))


PAGES: Final = {"settings.md": settings_page, "events.md": events_page, "commands.md": commands_page}


def main() -> int:
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
