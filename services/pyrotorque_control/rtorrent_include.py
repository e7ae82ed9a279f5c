"""The include for rtorrent.rc: timestamps of items, the bell, and the watchdog that starts the group."""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from enum import Enum
from pathlib import Path
from shutil import which
from typing import Final

import pyrotorque
from pyrotorque.loadcommands import quoted
from pyrotorque.options import write_atomically
from pyrotorque.settings import layout_of
from pyrotorque.text import printable

_DEFAULTS: Final = Path(pyrotorque.__file__).parent / "defaults"
_ARGUMENT: Final = r'(?:"(?:[^"\\\n]|\\.)*"|\(cat,\{"(?:[^"\\\n]|\\.)*"\}\))'
# What a placeholder of the template may contain in a file that was not edited.
_VALUES: Final = {
    "include": r"[^\n]+",
    "command": rf'{_ARGUMENT}(?:, "-m", "pyrotorque_control")?',
    "config_dir": _ARGUMENT,
    "bell": _ARGUMENT,
}
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
    values = {
        "{include}": import_path(config_dir),
        "{command}": ", ".join(map(_argument, own_command())),
        "{config_dir}": _argument(str(config_dir)),
        "{bell}": _argument(str(layout_of(config_dir).run_dir / "bell")),
    }
    text = _template("torque.rc")
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


class IncludeState(Enum):
    """How the include on the disk relates to the one that this installation would write."""

    MISSING = "missing"
    CURRENT = "current"
    OUTDATED = "outdated"  # as an earlier version wrote it
    OTHER_PATHS = "other paths"  # as this version wrote it for another installation or directory
    EDITED = "edited"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class IncludeCheck:
    """The state of an include; `text` is its content, `problem` why it cannot be read."""

    state: IncludeState
    text: str = ""
    problem: str = ""


def check_include(config_dir: Path) -> IncludeCheck:
    """Compare the include with the templates of this and earlier versions; changes nothing."""
    try:
        text = include_file(config_dir).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return IncludeCheck(IncludeState.MISSING)
    except OSError as error:
        return IncludeCheck(IncludeState.UNREADABLE, problem=error.strerror or str(error))
    return IncludeCheck(_state(text, include_text(config_dir)), text)


def include_warning(config_dir: Path) -> str | None:
    """What is wrong with the include on the disk and what to do; None if it is missing or current."""
    found = check_include(config_dir)
    name = printable(str(include_file(config_dir)))
    refresh = "run `pyrotorque init --refresh-include`, then restart rTorrent"
    match found.state:
        case IncludeState.MISSING | IncludeState.CURRENT:
            return None
        case IncludeState.OUTDATED:
            return f"{name} was written by an earlier version: {refresh}"
        case IncludeState.OTHER_PATHS:
            return f"{name} contains paths of another installation or directory: {refresh}"
        case IncludeState.EDITED:
            return f"{name} was edited; `pyrotorque init --refresh-include` shows the difference and does not change it"
        case IncludeState.UNREADABLE:
            return f"{name} cannot be read: {found.problem}"


def include_difference(config_dir: Path, text: str) -> Iterator[str]:
    """Lines of a unified difference from the content `text` of the include to the one that this version writes."""
    before, after = text.split("\n"), include_text(config_dir).split("\n")
    yield from unified_diff(before, after, str(include_file(config_dir)), "pyrotorque's include", lineterm="")


def write_include(config_dir: Path) -> None:
    """Replace the include; the target of a symbolic link is replaced, and the link is kept."""
    path = Path(os.path.realpath(include_file(config_dir)))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, include_text(config_dir).encode("utf-8", "surrogateescape"))


def _state(text: str, current: str) -> IncludeState:
    if text == current:
        return IncludeState.CURRENT
    if _pattern(_template("torque.rc")).fullmatch(text):
        return IncludeState.OTHER_PATHS
    earlier = sorted(path.name for path in _DEFAULTS.glob("torque-*.rc"))
    if any(_pattern(_template(name)).fullmatch(text) for name in earlier):
        return IncludeState.OUTDATED
    return IncludeState.EDITED


def _pattern(template: str) -> re.Pattern[str]:
    """Matches the template with any values; a value that occurs several times is the same everywhere."""
    seen: set[str] = set()
    parts: list[str] = []
    for part in re.split(r"\{(include|command|config_dir|bell)\}", template):
        if len(parts) % 2 == 0:
            parts.append(re.escape(part))
        else:
            parts.append(f"(?P={part})" if part in seen else f"(?P<{part}>{_VALUES[part]})")
            seen.add(part)
    return re.compile("".join(parts))


def _template(name: str) -> str:
    return (_DEFAULTS / name).read_text(encoding="utf-8")


def own_command() -> list[str]:
    """Command that starts this installation of `pyrotorque` from any working directory."""
    beside = Path(sys.executable).with_name("pyrotorque")
    found = str(beside) if beside.exists() else which("pyrotorque")
    return [found] if found else [sys.executable, "-m", "pyrotorque_control"]


def _argument(text: str) -> str:
    return quoted(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
