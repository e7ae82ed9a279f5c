"""Recognises a link to nothing: its file was not removed, it cannot be reached, as while its disk is not mounted."""

import os
from pathlib import Path

from pyrotorque.linux.missing import is_missing


def missing_target(path: Path) -> str:
    """Where a link to nothing leads; empty for everything else, and where that is unknown."""
    try:
        return os.readlink(path) if is_missing(path) else ""
    except OSError:
        return ""
