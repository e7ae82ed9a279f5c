"""rTorrent's include: timestamps for the fields, and the watchdog that starts the group from inside rTorrent."""

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
    """Where the manual says that it is."""
    return config_dir / "rtorrent.d" / "torque.rc.default"


def import_path(config_dir: Path) -> str:
    """The include as `import = …` in rtorrent.rc takes it: quoted only where a character means something there."""
    path = str(include_file(config_dir))
    return path if _PLAIN.fullmatch(path) else _argument(path)


def include_text(config_dir: Path) -> str:
    """The include for this directory; rTorrent has no PATH to rely on, so the command is named in full."""
    template = Path(pyrotorque.__file__).parent / "defaults" / "torque.rc"
    blanks = {
        "{include}": import_path(config_dir),
        "{command}": ", ".join(map(_argument, own_command())),
        "{config_dir}": _argument(str(config_dir)),
        "{bell}": _argument(str(layout_of(config_dir).run_dir / "bell")),
    }
    text = template.read_text(encoding="utf-8")
    for blank, value in blanks.items():
        text = text.replace(blank, value)
    return text


def own_command() -> list[str]:
    """What starts this very `pyrotorque`, whatever the working directory."""
    beside = Path(sys.executable).with_name("pyrotorque")
    found = str(beside) if beside.exists() else which("pyrotorque")
    return [found] if found else [sys.executable, "-m", "pyrotorque_control"]


def _argument(text: str) -> str:
    return quoted(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
