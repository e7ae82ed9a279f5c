"""The last valid configuration of the group: `state/configuration.json`, and a copy of its torque.ini."""

from pathlib import Path

from pyrotorque.errors import StateError
from pyrotorque.layout import Layout
from pyrotorque.linux.files import read_text_file
from pyrotorque.options import write_atomically
from pyrotorque.settings.schema import Settings
from pyrotorque.settings.serialization import from_json


def stored_file(layout: Layout) -> Path:
    """The file with the last valid configuration."""
    return layout.state_dir / "configuration.json"


def last_good(layout: Layout) -> Settings | None:
    """The stored configuration; None if there is none or it cannot be read."""
    try:
        return from_json(stored_file(layout).read_bytes())
    except (OSError, ValueError):
        return None


def copy_file(layout: Layout) -> Path:
    """A copy of torque.ini as it was when the stored configuration was read from it."""
    return layout.state_dir / "torque.ini.last-good"


def keep_copy(layout: Layout) -> None:
    """Copy torque.ini beside the stored configuration, if it can be read."""
    try:
        content = read_text_file(layout.config_dir / "torque.ini")
        if not copy_file(layout).exists() or copy_file(layout).read_bytes() != content:
            write_atomically(copy_file(layout), content)
    except (OSError, StateError):
        return  # a convenience only
