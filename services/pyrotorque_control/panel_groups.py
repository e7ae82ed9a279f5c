"""Finds the groups of this user that have a panel, running or configured."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pyrotorque.errors import PyrotorqueError
from pyrotorque.home import home_folder
from pyrotorque.linux.processes import PROC
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.settings.problems import Report

_MODULE: Final = b"pyrotorque_panel"


def panel_of_another(config_dir: Path, proc: Path | None = None) -> Path | None:
    """The configuration directory of another group of this user with a panel; None without one."""
    for found in (*_running(proc or PROC), *_configured()):
        if not _is_same(found, config_dir):
            return found
    return None


def _running(proc: Path) -> Iterator[Path]:
    try:
        entries = sorted(entry for entry in proc.iterdir() if entry.name.isdecimal())
    except OSError:
        return
    for entry in entries:
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            is_ours = entry.stat().st_uid == os.geteuid()
        except OSError:
            continue
        if is_ours and _MODULE in words and b"--config-dir" in words[:-1]:
            found = Path(os.fsdecode(words[words.index(b"--config-dir") + 1]))
            # A relative path leads elsewhere from here.
            if found.is_absolute():
                yield found


def _configured() -> Iterator[Path]:
    """In the home folder, where groups have such names."""
    home = home_folder()
    for folder in sorted(Path(home).glob(".pyroscope*")) if home else ():
        if (folder / "torque.ini").is_file() and _has_panel(folder):
            yield folder


def _has_panel(folder: Path) -> bool:
    try:
        return load(folder, Options(), Report()).settings.panel.active
    except (PyrotorqueError, OSError):
        return False


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other
