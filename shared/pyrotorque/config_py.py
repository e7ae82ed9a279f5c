"""The copy of config.py that was checked last: the group uses it until the file is checked again.

A module of its own, because running processes of 1.0.0 import those that use it beside modules of theirs.
"""

from pathlib import Path


def config_py_copy(state_dir: Path) -> Path:
    """Where the copy is; without one, the file itself is used."""
    return state_dir / "config.py.last-good"
