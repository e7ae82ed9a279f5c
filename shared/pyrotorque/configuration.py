"""The group's configuration: validated, stored in `state/configuration.json`, and shared by all services.

The process that loads a valid configuration stores it; the services poll that file. An invalid configuration changes
nothing. Validation imports much code, so services run it in a separate process:
`python -m pyrotorque.configuration CONFIG_DIR [--address-only]`.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import PyrotorqueError, RTorrentError, SettingsError, StateError
from pyrotorque.foreign_code import foreign_code, foreign_folder, is_of_another_user, runs_as_root
from pyrotorque.interpreter import import_path, module_command
from pyrotorque.layout import Layout
from pyrotorque.linux.files import read_text_file
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.local_time import offset_problem, zone_problem
from pyrotorque.lost_settings import lost_settings
from pyrotorque.options import Options, read_options, write_atomically
from pyrotorque.settings import (
    LoadedSettings,
    Problem,
    Report,
    SettingsProblems,
    digest_of,
    layout_of,
    load,
)
from pyrotorque.settings.schema import RTorrentSettings, Settings
from pyrotorque.settings.serialization import to_json
from pyrotorque.stored_configuration import copy_file, is_config_py_changed, keep_copies, last_good, stored_file
from pyrotorque.supervisord.config import written_layout

EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
_CHECK_TIMEOUT: Final = 30.0  # seconds
_DISCOVERED: Final = "process "  # beginning of the origin of an address that was found at a process
_ADDRESS_ONLY: Final = "--address-only"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration in force, which may be the stored one instead of that in the files.

    `broken` lists the errors in the files; `unreviewed` is true if they are valid and differ from the stored one.
    """

    settings: Settings
    layout: Layout
    options: Options
    warnings: tuple[Problem, ...] = ()
    broken: str = ""
    unreviewed: bool = False


def adopt(configuration: Configuration) -> bool:
    """Store it for the whole group; True if it differs from the previous one. Folders must exist (`Layout.prepare`)."""
    before = last_good(configuration.layout)
    changed = before is None or before.digest != configuration.settings.digest
    if changed or (before is not None and before.files != configuration.settings.files):
        write_atomically(stored_file(configuration.layout), to_json(configuration.settings))
    keep_copies(configuration.layout)
    return changed


def read(config_dir: Path, options: Options, *, seek: bool = False, strict: bool = False) -> Configuration:
    """The configuration in the files, fully validated; with `seek`, a running rTorrent is searched for.

    Settings with which a group starts, but which can only fail later, are warnings, or errors if `strict`.

    Raises SettingsProblems with all errors. Connects to rTorrent with `seek` only: rTorrent itself may be starting the
    group, and cannot answer meanwhile.
    """
    from pyrotorque.validation import check, failing

    report = Report()
    if offset := offset_problem():
        report.problems.append(Problem("", 0, "", offset))
        report.raise_if_any()
    loaded = load(config_dir, options, report)
    foreign = foreign_code(loaded.layout.config_dir, loaded.settings.jobs)
    if foreign and (not runs_as_root(loaded.layout) if strict else is_of_another_user(loaded.layout)):
        report.problems.append(Problem("", 0, "", foreign))
        report.raise_if_any()
    if folder := foreign_folder(loaded.layout):
        report.problems.append(Problem("", 0, "", folder))
        report.raise_if_any()
    problems, warnings = check(loaded, strict=strict)
    warnings.extend(Problem("", 0, "", text) for text in (foreign, zone_problem()) if text)
    (problems if strict else warnings).extend(failing(loaded))
    reported = {problem.key for problem in report.problems}
    report.problems.extend(problem for problem in problems if problem.key not in reported)
    reported = {problem.key for problem in report.problems if problem.key}
    report.problems.extend(problem for problem in lost_settings(loaded) if problem.key not in reported)
    report.raise_if_any()
    settings = _with_address(loaded, seek=seek)
    return Configuration(settings, loaded.layout, options, (*loaded.warnings, *warnings))


def _unreviewed_changes(layout: Layout) -> Iterator[Problem]:
    """A warning if torque.ini differs from its last good copy, while the stored configuration is lost."""
    copy, torque = copy_file(layout), layout.config_dir / "torque.ini"
    try:
        is_same = not copy.exists() or not torque.exists() or read_regular_file(copy) == read_text_file(torque)
    except OSError:
        return  # what was reviewed is not known
    if not is_same:
        text = f"{stored_file(layout)} was lost, so that changes since {copy} are in force that were not reviewed"
        yield Problem(torque.name, 0, "", text)


def _with_address(loaded: LoadedSettings, *, seek: bool) -> Settings:
    """The settings, with the discovered address of rTorrent if no file contains one."""
    settings = loaded.settings
    if settings.rtorrent.url is not None:
        return settings
    before = last_good(loaded.layout)
    found = before.rtorrent if before is not None and before.rtorrent.origin.startswith(_DISCOVERED) else None
    if seek and (running := _discover(settings.rtorrent)) is not None and (found is None or found.url != running.url):
        found = running
    if found is None:
        return settings
    rtorrent = msgspec.structs.replace(settings.rtorrent, url=found.url, origin=found.origin)
    changed = msgspec.structs.replace(settings, rtorrent=rtorrent)
    return msgspec.structs.replace(changed, digest=digest_of(changed))


def has_configured_address(rtorrent: RTorrentSettings) -> bool:
    """Whether a file contains the address of rTorrent; otherwise a search for a running one finds it."""
    return rtorrent.url is not None and not rtorrent.origin.startswith(_DISCOVERED)


def _discover(settings: RTorrentSettings) -> RTorrentSettings | None:
    """The address of this user's rTorrent, verified by a call; None if several run."""
    from pyrotorque.rtorrent import RTorrent
    from pyrotorque.settings.discovery import listening_rtorrents

    candidates = list(listening_rtorrents())
    if len({candidate.pid for candidate in candidates}) > 1:
        return None
    for candidate in candidates:
        try:
            if RTorrent(candidate.url, connect_timeout=1.0, read_timeout=2.0).identity().pid == candidate.pid:
                return msgspec.structs.replace(settings, url=candidate.url, origin=f"{_DISCOVERED}{candidate.pid}")
        except RTorrentError:
            continue
    return None


def group_layout(config_dir: Path) -> Layout:
    """The folders of this group: for its services those that it was started with, else those in the files."""
    started = written_layout(config_dir) if "SUPERVISOR_ENABLED" in os.environ else None
    return started or layout_of(config_dir)


def load_or_last_good(config_dir: Path) -> Configuration:
    """The configuration for a starting service: the stored one, which was reviewed; without one, that in the files.

    A service restarts by itself, after a crash. Files that were changed since then may be half written, and are read
    only at a start of the group, `pyrotorque --restart`, or SIGHUP.
    Raises SettingsError if there is no valid configuration.
    """
    layout = group_layout(config_dir)
    options = read_options(layout)
    stored = last_good(layout)
    if stored is None:
        changes = tuple(_unreviewed_changes(layout))  # before the copy is replaced
        found = _validated(config_dir, layout, options)
        return dataclasses.replace(found, warnings=(*found.warnings, *changes))
    try:
        loaded = load(config_dir, options)
        problems = tuple(lost_settings(loaded))
    except SettingsError as error:
        return Configuration(stored, layout, options, broken=str(error))
    if problems:
        return Configuration(stored, layout, options, broken="\n".join(map(str, problems)))
    unreviewed = _with_address(loaded, seek=False).digest != stored.digest or is_config_py_changed(layout)
    return Configuration(stored, layout, options, loaded.warnings, unreviewed=unreviewed)


def reload(current: Configuration) -> Configuration:
    """The configuration in the files, stored for the group; raises SettingsError and changes nothing if it is wrong."""
    config_dir = current.layout.config_dir
    return _validated(config_dir, current.layout, read_options(current.layout))


def _validated(config_dir: Path, layout: Layout, options: Options) -> Configuration:
    loaded = load(config_dir, options)
    settings = _with_address(loaded, seek=False)
    stored = last_good(layout)
    if stored is None or stored.digest != settings.digest or is_config_py_changed(layout):
        # A configuration that cannot be stored would be in force in one service only; the first one is used anyway.
        if not check_in_subprocess(config_dir) and stored is not None:
            raise SettingsError(f"valid, but it cannot be stored in {stored_file(layout)}: is the disk full?")
        settings = last_good(layout) or settings
    return Configuration(settings, layout, options, loaded.warnings)


def find_address(layout: Layout) -> bool:
    """Search for this user's rTorrent, and store its address in the stored configuration; True if that has changed.

    The files are not read: a change in them would be adopted without a review.
    """
    stored = last_good(layout)
    if stored is None or has_configured_address(stored.rtorrent):
        return False
    found = _discover(stored.rtorrent)
    if found is None or found.url == stored.rtorrent.url:
        return False
    changed = msgspec.structs.replace(stored, rtorrent=found)
    write_atomically(stored_file(layout), to_json(msgspec.structs.replace(changed, digest=digest_of(changed))))
    return True


def check_in_subprocess(config_dir: Path, *, address_only: bool = False) -> bool:
    """Validate the files in a separate process, which also stores a valid configuration for the group.

    With `address_only`, only an address of rTorrent is searched for and stored.
    False if it is valid but could not be stored (disk full).
    Raises SettingsProblems, or SettingsError if the check itself failed.
    """
    import subprocess

    command = module_command("pyrotorque.configuration", str(config_dir))
    command += [_ADDRESS_ONLY] if address_only else []
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": import_path()},
            timeout=_CHECK_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SettingsError(f"the check of {config_dir} did not finish within {_CHECK_TIMEOUT:.0f} s") from None
    if done.returncode == EX_CONFIG:
        raise SettingsProblems(Problem(**fields) for fields in json.loads(done.stdout))
    if done.returncode not in (0, EX_TEMPFAIL):
        raise SettingsError(f"the check of {config_dir} failed with exit code {done.returncode}")
    return done.returncode == 0


def main(arguments: Sequence[str]) -> int:
    """Validate and store; problems are printed as JSON.

    Services of 1.0.0 pass CONFIG_DIR only, which reads the files.
    """
    config_dir = Path(arguments[0])
    try:
        if _ADDRESS_ONLY in arguments:
            find_address(group_layout(config_dir))
            return 0
        layout = group_layout(config_dir)
        configuration = read(config_dir, read_options(layout), seek=True)
        layout.prepare()
        adopt(dataclasses.replace(configuration, layout=layout))
    except SettingsProblems as error:
        print(json.dumps([msgspec.to_builtins(problem) for problem in error.problems]))
        return EX_CONFIG
    except StateError as error:
        print(error, file=sys.stderr)
        return EX_TEMPFAIL
    except PyrotorqueError as error:
        print(json.dumps([msgspec.to_builtins(Problem("", 0, "", str(error)))]))
        return EX_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
