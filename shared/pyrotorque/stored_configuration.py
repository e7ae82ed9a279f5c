"""The last valid configuration of the group: `state/configuration.json`, and copies of its torque.ini and config.py."""

from pathlib import Path

from pyrotorque.config_py import config_py_copy
from pyrotorque.errors import StateError
from pyrotorque.layout import Layout
from pyrotorque.linux.files import read_text_file
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.settings.schema import Settings
from pyrotorque.settings.serialization import from_json


def stored_file(layout: Layout) -> Path:
    """The file with the last valid configuration."""
    return layout.state_dir / "configuration.json"


def last_good(layout: Layout) -> Settings | None:
    """The stored configuration; None if there is none or it cannot be read."""
    try:
        return from_json(read_regular_file(stored_file(layout)))
    except (OSError, ValueError):
        return None


def copy_file(layout: Layout) -> Path:
    """A copy of torque.ini as it was when the stored configuration was read from it."""
    return layout.state_dir / "torque.ini.last-good"


def keep_copies(layout: Layout) -> None:
    """Copy torque.ini and config.py beside the stored configuration, if they can be read."""
    for name, copy in (("torque.ini", copy_file(layout)), ("config.py", config_py_copy(layout.state_dir))):
        try:
            content = read_text_file(layout.config_dir / name)
            if not copy.exists() or read_regular_file(copy) != content:
                write_atomically(copy, content)
        except FileNotFoundError:
            if name == "config.py" and not (layout.config_dir / name).is_symlink():
                copy.unlink(missing_ok=True)
        except (OSError, StateError):
            continue


def is_config_py_changed(layout: Layout) -> bool:
    """Whether config.py is another one than the group uses; false if there was none when the copy would be made."""
    copy, path = config_py_copy(layout.state_dir), layout.config_dir / "config.py"
    try:
        return read_regular_file(copy) != (read_text_file(path) if path.exists() else b"")
    except OSError:
        return False
