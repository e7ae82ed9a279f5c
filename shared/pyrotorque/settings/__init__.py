"""The configuration directory as one frozen value: packaged defaults, config.ini, torque.ini, the command line."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec

from pyrotorque.errors import SettingsError
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.settings.group import read_group
from pyrotorque.settings.ini import Sections, parse_ini, read_ini
from pyrotorque.settings.merge import Merged, merge
from pyrotorque.settings.problems import Problem, Report, SettingsProblems
from pyrotorque.settings.schema import Settings

__all__ = ["Loaded", "Origin", "Problem", "SettingsProblems", "digest_of", "load", "packaged_text"]


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
        """A problem of setting `key`, told with its place where it has one."""
        origin = self.origins.get(key, Origin("", 0))
        return Problem(origin.file, origin.line, key, text)


def load(config_dir: Path, options: Options) -> Loaded:
    """The configuration in `config_dir`, every value typed.

    Raises SettingsProblems with everything that is wrong. Conditions, templates and schedules are read later, by
    `pyrotorque.configuration.check`.
    """
    report = Report()
    home = config_dir.expanduser().absolute()
    merged = merge(_sources(home, options, report), {"config_dir": str(home)}, report)
    settings, layout = read_group(home, merged, options, report)
    report.raise_if_any()
    named = msgspec.structs.replace(settings, digest=digest_of(settings))
    return Loaded(named, layout, tuple(report.warnings), _origins(merged))


def packaged_text() -> str:
    """The packaged defaults, as `torque.ini.default` shows them to users."""
    return files("pyrotorque").joinpath("defaults/torque.ini").read_text(encoding="utf-8")


def digest_of(settings: Settings) -> str:
    """A short name of exactly this configuration."""
    nameless = msgspec.structs.replace(settings, digest="")
    return hashlib.sha256(msgspec.json.encode(nameless, enc_hook=str)).hexdigest()[:16]


def _sources(home: Path, options: Options, report: Report) -> list[Sections]:
    if not home.is_dir():
        raise SettingsError(f"there is no configuration directory {home}: `pyrotorque init` makes one")
    extra = [Path(name).expanduser() for name in options.config_files]
    torque = home / "torque.ini"
    if not torque.exists() and not extra:
        raise SettingsError(f"there is no {torque}: `pyrotorque init` writes a minimal one")
    optional = [path for path in (home / "config.ini", torque) if path.exists()]
    packaged = parse_ini(packaged_text(), "torque.ini.default", report)
    return [packaged, *(read_ini(path, report) for path in (*optional, *extra))]


def _origins(merged: Merged) -> dict[str, Origin]:
    return {key: Origin(entry.file, entry.line) for key, entry in merged.torque.items()}
