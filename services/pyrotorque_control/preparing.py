"""Before anything is started: the whole configuration is checked, told about, and made the group's."""

import os
from pathlib import Path

import click

from pyrotorque import configuration
from pyrotorque.configuration import Configuration
from pyrotorque.errors import StateError
from pyrotorque.options import write_atomically, write_options
from pyrotorque.settings import packaged_text
from pyrotorque_control.group import Group
from pyrotorque_control.rtorrent_include import include_file, include_text


def prepare(group: Group) -> Configuration:
    """The configuration of `group`, checked and kept for its services, with the options of this command line.

    Raises SettingsProblems and changes nothing where it is wrong.
    """
    found = configuration.read(group.config_dir, group.options)
    for warning in found.warnings:
        click.echo(f"pyrotorque: warning: {warning}", err=True)
    if os.geteuid() == 0:
        click.echo("pyrotorque: warning: running as root; the user that rTorrent runs as would be enough", err=True)
    found.layout.prepare()
    write_options(found.layout, group.options)
    configuration.adopt(found)
    write_defaults(group.config_dir)
    return found


def write_defaults(config_dir: Path) -> None:
    """After an upgrade, bring what `init` wrote and nobody edits up to date; no start fails for it."""
    _refresh(config_dir / "torque.ini.default", packaged_text())
    if include_file(config_dir).exists():
        _refresh(include_file(config_dir), include_text(config_dir))


def _refresh(path: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    try:
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)
    except (OSError, StateError):
        return
