"""The include for rtorrent.rc: timestamps of items, the bell, and the watchdog that starts the group."""

import re
import sys
from pathlib import Path
from shutil import which
from typing import Final

import pyrotorque
from pyrotorque.loadcommands import quoted
from pyrotorque.settings import layout_of

_PLAIN: Final = re.compile(r"[\w./@~+-]+", re.ASCII)


def include_file(config_dir: Path) -> Path:
    """Path of the include, as documented."""
    return config_dir / "rtorrent.d" / "torque.rc.default"


def import_path(config_dir: Path) -> str:
    """Path of the include for `import = …` in rtorrent.rc, quoted if it contains special characters."""
    path = str(include_file(config_dir))
    return path if _PLAIN.fullmatch(path) else _argument(path)


def include_text(config_dir: Path) -> str:
    """The include for this directory, with absolute paths: rTorrent may run without a PATH."""
    template = Path(pyrotorque.__file__).parent / "defaults" / "torque.rc"
    values = {
        "{include}": import_path(config_dir),
        "{command}": ", ".join(map(_argument, own_command())),
        "{config_dir}": _argument(str(config_dir)),
        "{bell}": _argument(str(layout_of(config_dir).run_dir / "bell")),
    }
    text = template.read_text(encoding="utf-8")
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def own_command() -> list[str]:
    """Command that starts this installation of `pyrotorque` from any working directory."""
    beside = Path(sys.executable).with_name("pyrotorque")
    found = str(beside) if beside.exists() else which("pyrotorque")
    return [found] if found else [sys.executable, "-m", "pyrotorque_control"]


def _argument(text: str) -> str:
    return quoted(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
