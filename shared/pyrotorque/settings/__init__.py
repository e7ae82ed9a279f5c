"""The configuration directory as one frozen value: packaged defaults, config.ini, torque.ini, the command line."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

import pyrotorque
from pyrotorque.errors import SettingsError
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.settings.group import FOLDERS, read_group, read_layout
from pyrotorque.settings.handlers import settled_key
from pyrotorque.settings.ini import Sections, parse_ini, read_ini
from pyrotorque.settings.merge import Merged, merge
from pyrotorque.settings.problems import Problem, Report, SettingsProblems
from pyrotorque.settings.schema import Settings
from pyrotorque.settings.serialization import to_json

__all__ = [
    "Loaded",
    "Origin",
    "Problem",
    "Report",
    "SettingsProblems",
    "configuration_dir",
    "digest_of",
    "layout_of",
    "load",
    "packaged_text",
]

# The name under which users know the packaged defaults.
PACKAGED = "torque.ini.default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was written."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that could be read; `origins` maps `job.NAME.PARAM` (and other keys of [TORQUE]) to its place."""

    settings: Settings
    layout: Layout
    warnings: tuple[Problem, ...]
    origins: Mapping[str, Origin]

    def problem(self, key: str, text: str) -> Problem:
        """A problem of setting `key`, told with its place; where it is not set, with what else its job has set."""
        job, _, _ = key.removeprefix("job.").partition(".")
        mine = [origin for name, origin in self.origins.items() if name.startswith(f"job.{job}.")]
        candidates = [self.origins.get(key), *sorted(mine, key=lambda origin: origin.line)]
        own = (origin for origin in candidates if origin is not None and origin.file != PACKAGED)
        origin = next(own, Origin("", 0))
        return Problem(origin.file, origin.line, key, text)


def load(config_dir: Path, options: Options, report: Report | None = None) -> Loaded:
    """The configuration in `config_dir`, every value typed.

    Raises SettingsProblems with everything that is wrong, or, where a `report` is given, leaves the problems there and
    settings at their defaults in place of them. Conditions, templates and schedules are read later, by
    `pyrotorque.validation`.
    """
    collected = Report() if report is None else report
    home = config_dir.expanduser().absolute()
    merged = merge(_sources(home, options, collected), {"config_dir": str(home)}, collected)
    settings, layout = read_group(home, merged, options, collected)
    if report is None:
        collected.raise_if_any()
    named = msgspec.structs.replace(settings, digest=digest_of(settings))
    return Loaded(named, layout, tuple(collected.warnings), _origins(merged))


def packaged_text() -> str:
    """The packaged defaults, as `torque.ini.default` shows them to users."""
    return (Path(pyrotorque.__file__).parent / "defaults" / "torque.ini").read_text(encoding="utf-8")


def layout_of(config_dir: Path) -> Layout:
    """Where everything of this directory lives, also when its configuration is broken."""
    home = config_dir.expanduser().absolute()
    torque = home / "torque.ini"
    found = read_ini(torque, Report()).get("torque", {})
    merged = merge([{}, {"torque": found}], {"config_dir": str(home)}, Report())
    return read_layout(home, merged.torque)


def configuration_dir(given: str | None) -> Path:
    """`--config-dir`, else `PYRO_CONFIG_DIR`, else `~/.pyroscope`."""
    chosen = given or os.environ.get("PYRO_CONFIG_DIR") or "~/.pyroscope"
    return Path(chosen).expanduser().absolute()


def digest_of(settings: Settings) -> str:
    """A short name of exactly this configuration."""
    return hashlib.sha256(to_json(msgspec.structs.replace(settings, digest=""))).hexdigest()[:16]


def _sources(home: Path, options: Options, report: Report) -> list[Sections]:
    if not home.is_dir():
        raise SettingsError(f"there is no configuration directory {home}: `pyrotorque init` makes one")
    extra = [Path(name).expanduser() for name in options.config_files]
    torque = home / "torque.ini"
    if not _is_there(torque) and not extra:
        raise SettingsError(f"there is no {torque}: `pyrotorque init` writes a minimal one")
    optional = [path for path in (home / "config.ini", torque) if _is_there(path)]
    packaged = parse_ini(packaged_text(), PACKAGED, report)
    own = [read_ini(path, report) for path in optional]
    if not report.problems and not any("torque" in sections for sections in own) and not extra:
        report.warnings.append(Problem(torque.name, 0, "", "has no section [TORQUE]: nothing is configured"))
    return [packaged, *own, *(_extra_source(path, report) for path in extra)]


def _extra_source(path: Path, report: Report) -> Sections:
    """Folders may only be set where every service finds them: all it is told is the configuration directory."""
    sections = read_ini(path, report)
    for key in FOLDERS:
        if entry := sections.get("torque", {}).get(key):
            said = "belongs into torque.ini: what starts later does not know this file yet"
            report.problems.append(Problem(entry.file, entry.line, key, said))
    return sections


def _is_there(path: Path) -> bool:
    """Also when we may not look at it: then reading it says so."""
    try:
        path.stat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def _origins(merged: Merged) -> dict[str, Origin]:
    return {settled_key(key): Origin(entry.file, entry.line) for key, entry in merged.torque.items()}
