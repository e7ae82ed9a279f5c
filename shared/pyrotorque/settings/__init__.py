"""Loads a configuration directory into typed settings: packaged defaults, config.ini, torque.ini, command line."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

import pyrotorque
from pyrotorque.errors import SettingsError
from pyrotorque.home import expand_home
from pyrotorque.layout import Layout
from pyrotorque.linux.dangling_links import missing_target
from pyrotorque.linux.files import read_text_file
from pyrotorque.options import Options
from pyrotorque.settings.group import FOLDERS, read_group, read_layout
from pyrotorque.settings.handlers import current_key
from pyrotorque.settings.ini import Sections, parse_ini, read_ini
from pyrotorque.settings.merge import MergedSections, merge, unread_sections
from pyrotorque.settings.problems import Problem, Report, SettingsProblems
from pyrotorque.settings.schema import Settings
from pyrotorque.settings.serialization import hashed_json
from pyrotorque.settings.templates import with_templates
from pyrotorque.sha256 import hexdigest
from pyrotorque.text import printable

__all__ = [
    "PACKAGED",
    "LoadedSettings",
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

# The file name of the packaged defaults in messages.
PACKAGED = "torque.ini.default"

_OWN_FILES = ("config.ini", "torque.ini", "config.py", "supervisor.conf")
_REPLACED = (
    "is the file of before a change: it is mounted alone, and was replaced outside of this container, as editors do; "
    "to see the new one, create the container again (docker compose up -d --force-recreate), or mount its folder"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """File and line of a setting."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """A configuration that was read; `origins` maps each key of [TORQUE], such as `job.NAME.PARAM`, to its place."""

    settings: Settings
    layout: Layout
    warnings: tuple[Problem, ...]
    origins: Mapping[str, Origin]
    files: tuple[Path, ...] = ()
    """The files that were read, also those that set nothing, and links to nothing."""

    def problem(self, key: str, text: str) -> Problem:
        """A problem of setting `key` with its place, or, if it is not set, the place of another setting of its job."""
        job, _, _ = key.removeprefix("job.").partition(".")
        of_job = [origin for name, origin in self.origins.items() if name.startswith(f"job.{job}.")]
        candidates = [self.origins.get(key), *sorted(of_job, key=lambda origin: origin.line)]
        own = (origin for origin in candidates if origin is not None and origin.file != PACKAGED)
        origin = next(own, Origin("", 0))
        return Problem(origin.file, origin.line, key, text)


def load(config_dir: Path, options: Options, report: Report | None = None) -> LoadedSettings:
    """The typed configuration in `config_dir`.

    Raises SettingsProblems with all problems. If a `report` is given, problems are added to it instead, and wrong
    settings have their defaults. Conditions, templates and schedules are parsed by `pyrotorque.validation`.
    """
    collected = Report() if report is None else report
    home = config_dir.expanduser().absolute()
    read = _read_files(home, options, collected)
    packaged = parse_ini(packaged_text(), PACKAGED, collected)
    merged = merge([packaged, *read.values()], {"config_dir": str(home)}, collected)
    settings, layout = read_group(home, merged, options, collected)
    settings = msgspec.structs.replace(settings, files=tuple(_setting_files(home, read)))
    settings = with_templates(settings, home / "templates")
    if report is None:
        collected.raise_if_any()
    identified = msgspec.structs.replace(settings, digest=digest_of(settings))
    files = tuple(dict.fromkeys((*read, *_dangling(home), *_config_py(home))))
    return LoadedSettings(identified, layout, tuple(collected.warnings), _origins(merged), files)


def packaged_text() -> str:
    """The packaged defaults, the content of `torque.ini.default`."""
    return (Path(pyrotorque.__file__).parent / "defaults" / "torque.ini").read_text(encoding="utf-8")


def layout_of(config_dir: Path) -> Layout:
    """The paths of this group, even if its configuration is wrong."""
    home = config_dir.expanduser().absolute()
    torque = home / "torque.ini"
    found = read_ini(torque, Report()).get("torque", {})
    merged = merge([{}, {"torque": found}], {"config_dir": str(home)}, Report())
    return read_layout(home, merged.torque)


def configuration_dir(given: str | None) -> Path:
    """`--config-dir`, else `PYRO_CONFIG_DIR`, else `~/.pyroscope`."""
    chosen = given or os.environ.get("PYRO_CONFIG_DIR") or "~/.pyroscope"
    return expand_home(chosen).absolute()


def digest_of(settings: Settings) -> str:
    """A short hash that identifies the configuration."""
    return hexdigest(hashed_json(msgspec.structs.replace(settings, digest="")))[:16]


def sets_something(sections: Sections) -> bool:
    """Whether a file with these sections configures anything here; pyrocore's tools have further sections and keys."""
    address = {"scgi_url", "rtorrent_rc"} & sections.get("global", {}).keys()
    return bool(address) or any(sections.get(name) for name in ("torque", "announce", "traits_by_alias"))


def file_identity(path: Path, home: Path) -> str:
    """The name of a file in the stored configuration: the same after `home` was moved, and by another link to it."""
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)


def _setting_files(home: Path, read: Mapping[Path, Sections]) -> Iterator[str]:
    yield from (file_identity(path, home) for path in read if sets_something(read[path]))
    for path in _config_py(home):
        with suppress(OSError):
            if any(line.strip(b"\0 \t\r") and not line.startswith(b"#") for line in read_text_file(path).split(b"\n")):
                yield file_identity(path, home)


def _config_py(home: Path) -> list[Path]:
    """The file with custom fields, if there is one; `pyrotorque.customfields` runs it."""
    return [path for path in [home / "config.py"] if _exists(path)]


def _dangling(home: Path) -> list[Path]:
    """The files of the configuration that are links to nothing."""
    return [path for name in ("config.ini", "torque.ini", "config.py") if missing_target(path := home / name)]


def _is_replaced(path: Path) -> bool:
    """Whether the name leads to a removed file, which only the mount of a single file shows."""
    try:
        return path.stat().st_nlink == 0
    except OSError:
        return False


def _read_files(home: Path, options: Options, report: Report) -> dict[Path, Sections]:
    """The sections of each file, in increasing precedence."""
    if not home.is_dir():
        raise SettingsError(f"there is no configuration directory {printable(str(home))}: `pyrotorque init` creates it")
    extra = [Path(name) for name in options.config_files]
    torque = home / "torque.ini"
    if (target := missing_target(torque)) and not extra:
        raise SettingsError(f"{torque} is a link to {printable(target)}, which does not exist: is its disk mounted?")
    if not _exists(torque) and not extra:
        raise SettingsError(f"there is no {torque}: `pyrotorque init` writes a minimal one")
    for path in _dangling(home):
        target = printable(missing_target(path))
        text = f"is a link to {target}, which does not exist: it counts as a file without settings"
        report.warnings.append(Problem(path.name, 0, "", text))
    for path in [*(home / name for name in _OWN_FILES), *extra]:
        if _is_replaced(path):
            report.warnings.append(Problem(path.name, 0, "", _REPLACED))
    own = {path: read_ini(path, report) for path in (home / "config.ini", torque) if _exists(path)}
    if not report.problems and not any("torque" in sections for sections in own.values()) and not extra:
        report.warnings.append(Problem(torque.name, 0, "", "has no section [TORQUE]: nothing is configured"))
    read = own | {path: _extra_source(path, report) for path in extra}
    for path in (torque, *extra):
        report.warnings.extend(_unread(read.get(path, {})))
    return read


def _unread(sections: Sections) -> Iterator[Problem]:
    """Warnings of sections in a file for pyrotorque alone; config.ini has further ones, for pyrocore's tools."""
    for name, entries in unread_sections(sections).items():
        key, first = next(iter(entries.items()))
        text = f"is ignored, as all of section [{printable(name)[:80]}]: settings of pyrotorque belong below [TORQUE]"
        yield Problem(first.file, first.line, printable(key)[:80], text)


def _extra_source(path: Path, report: Report) -> Sections:
    """Refuse folders in an extra file: services read them from torque.ini before they read that file."""
    sections = read_ini(path, report)
    for key in FOLDERS:
        if entry := sections.get("torque", {}).get(key):
            text = "belongs into torque.ini: services need it before they read this file"
            report.problems.append(Problem(entry.file, entry.line, key, text))
    return sections


def _exists(path: Path) -> bool:
    """Also true for a file that may not be accessed; reading it reports that."""
    try:
        path.stat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def _origins(merged: MergedSections) -> dict[str, Origin]:
    return {current_key(key): Origin(entry.file, entry.line) for key, entry in merged.torque.items()}
