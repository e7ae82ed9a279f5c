"""`pyrotorque` in the home of a made-up user, as pipx puts it there."""

import sys
from pathlib import Path

from demo.group import environment


def install(home: Path) -> None:
    """As `~/.local/bin/pyrotorque`."""
    command = home / ".local/bin/pyrotorque"
    command.parent.mkdir(parents=True)
    paths = environment()["PYTHONPATH"]
    command.write_text(f'#!/bin/sh\nPYTHONPATH={paths} exec {sys.executable} -m pyrotorque_control "$@"\n')
    command.chmod(0o755)
