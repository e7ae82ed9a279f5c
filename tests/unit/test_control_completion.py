"""Completion and the man page have every command, option and job."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pyrotorque import configuration
from pyrotorque.options import Options
from pyrotorque_control.cli import pyrotorque
from tests.exporter_process import REPOSITORY


def completed(home: Path, words: str) -> list[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYRO_CONFIG_DIR": str(home),
        "_PYROTORQUE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"pyrotorque {words}",
        "COMP_CWORD": str(len(words.split(" "))),
    }
    code = "from pyrotorque_control.cli import pyrotorque; pyrotorque(prog_name='pyrotorque')"
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
    return [line.partition(",")[2] for line in ended.stdout.splitlines() if "," in line]


def test_the_shell_completes_commands_and_names_of_jobs(tmp_path: Path) -> None:
    (tmp_path / "torque.ini").write_text("[TORQUE]\nscgi_url = scgi:///nowhere/x\njob.queue.active = True\n")
    assert completed(tmp_path, "pau") == ["pause"]
    assert completed(tmp_path, "pause ") == []
    found = configuration.read(tmp_path, Options())
    found.layout.prepare()
    configuration.adopt(found)
    assert "queue" in completed(tmp_path, "pause ")
    assert completed(tmp_path, "pause qu") == ["queue"]


def commands(
    name: str, command: click.Command, above: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    """Each command with its path, sub-commands of sub-commands too."""
    context = click.Context(command, info_name=name, parent=above, **command.context_settings)
    yield context.command_path, command
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            if (found := command.get_command(context, below)) is not None:
                yield from commands(below, found, context)


COMMANDS = dict(commands("pyrotorque", pyrotorque))


@pytest.mark.parametrize("path", COMMANDS)
def test_the_man_page_has_every_command_with_every_option(path: str) -> None:
    text = (REPOSITORY / "docs" / "pyrotorque.1").read_text().replace("\\-", "-")
    section = text if path == "pyrotorque" else text.partition(f"\n.SS {path}\n")[2].partition("\n.S")[0]
    assert section, path
    options = [name for param in COMMANDS[path].params if isinstance(param, click.Option) for name in param.opts]
    assert [name for name in options if name not in section] == []


def test_the_man_page_is_made_of_known_macros() -> None:
    text = (REPOSITORY / "docs" / "pyrotorque.1").read_text()
    macros = set(re.findall(r"^\.(\w+)", text, re.MULTILINE))
    assert macros <= {"TH", "SH", "SS", "B", "BR", "I", "TP", "nf", "fi"}
    assert not re.search(r"(?<!\\)-", re.sub(r"^\.TH.*$", "", text, flags=re.MULTILINE).replace("\\-", ""))


def test_every_parameter_that_takes_a_job_completes_it() -> None:
    jobs = {
        f"{path} {param.name}": param
        for path, command in COMMANDS.items()
        for param in command.params
        if param.name in ("job", "run_once")
    }
    assert len(jobs) >= 7
    assert [name for name, param in jobs.items() if param._custom_shell_complete is None] == []  # pyright: ignore[reportPrivateUsage]


# These change something, have only commands below them, or are supervisorctl.
NO_LISTINGS = (
    *("", "accept-rtorrent", "add", "ctl", "forget", "init", "panel", "park", "pause", "quarantine", "restart"),
    *("resume", "retry", "start", "stop", "fleet release", "panel logout", "panel password", "panel token"),
    *("quarantine purge", "quarantine restore"),
)


def test_everything_that_lists_or_shows_something_has_json() -> None:
    without = {path for path, each in COMMANDS.items() if not any("--json" in param.opts for param in each.params)}
    assert without == {f"pyrotorque {name}".strip() for name in NO_LISTINGS}
