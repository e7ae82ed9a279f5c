"""One good configuration for the whole group: found, checked, kept in `state/`, and what a service falls back to.

Who loads a configuration that is good makes it everybody's by writing it to `state/configuration.json`; the services
look at that file. What is broken changes nothing. The checks load much code, so services have them done by
`python -m pyrotorque.configuration CONFIG_DIR`, which leaves their own memory alone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import PyrotorqueError, RTorrentError, SettingsError, StateError
from pyrotorque.layout import Layout
from pyrotorque.options import Options, read_options, write_atomically
from pyrotorque.settings import Loaded, Problem, Report, SettingsProblems, digest_of, layout_of, load
from pyrotorque.settings.schema import RTorrentSettings, Settings
from pyrotorque.settings.serialization import from_json, to_json

EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
_CHECK_DEADLINE: Final = 30.0  # seconds
_FOUND: Final = "process "
_LOOK_EVERY: Final = 2.0  # seconds
_SEEK_FIRST, _SEEK_MAX = 15.0, 600.0  # seconds between two searches for a running rTorrent


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a service runs on; `broken` says why the files were not used, in lines to shout."""

    settings: Settings
    layout: Layout
    options: Options
    warnings: tuple[Problem, ...] = ()
    broken: str = ""


def kept_file(layout: Layout) -> Path:
    """Where the last good configuration is."""
    return layout.state_dir / "configuration.json"


def last_good(layout: Layout) -> Settings | None:
    """The configuration that the group agreed on; None where there is none, or it can no longer be read."""
    try:
        return from_json(kept_file(layout).read_bytes())
    except (OSError, ValueError):
        return None


def adopt(configuration: Configuration) -> bool:
    """Make it the group's; True when it was another one before. The folders must exist (`Layout.prepare`)."""
    before = last_good(configuration.layout)
    if before is not None and before.digest == configuration.settings.digest:
        return False
    write_atomically(kept_file(configuration.layout), to_json(configuration.settings))
    return True


def read(config_dir: Path, options: Options, *, seek: bool = False) -> Configuration:
    """The configuration in the files, checked through and through; with `seek`, a running rTorrent is looked for.

    Raises SettingsProblems with everything that is wrong. Only `seek` ever talks to rTorrent: the group is also started
    from inside rTorrent's own loop, which cannot answer then.
    """
    from pyrotorque.validation import check

    report = Report()
    loaded = load(config_dir, options, report)
    problems, warnings = check(loaded)
    told = {problem.key for problem in report.problems}
    report.problems.extend(problem for problem in problems if problem.key not in told)
    report.raise_if_any()
    settings = _addressed(loaded, seek=seek)
    return Configuration(settings, loaded.layout, options, (*loaded.warnings, *warnings))


def _addressed(loaded: Loaded, *, seek: bool) -> Settings:
    """Where no file names rTorrent's address, the one that was found before, or is found now."""
    settings = loaded.settings
    if settings.rtorrent.url is not None:
        return settings
    before = last_good(loaded.layout)
    found = before.rtorrent if before is not None and before.rtorrent.origin.startswith(_FOUND) else None
    if seek and (running := _running(settings.rtorrent)) is not None and (found is None or found.url != running.url):
        found = running
    if found is None:
        return settings
    rtorrent = msgspec.structs.replace(settings.rtorrent, url=found.url, origin=found.origin)
    changed = msgspec.structs.replace(settings, rtorrent=rtorrent)
    return msgspec.structs.replace(changed, digest=digest_of(changed))


def _running(settings: RTorrentSettings) -> RTorrentSettings | None:
    """The address of this user's own rTorrent; a listening socket is believed when the same process answers.

    Where several run, nobody but their owner knows which is meant.
    """
    from pyrotorque.rtorrent import RTorrent
    from pyrotorque.settings.discovery import listening_rtorrents

    candidates = list(listening_rtorrents())
    if len({candidate.pid for candidate in candidates}) > 1:
        return None
    for candidate in candidates:
        try:
            if RTorrent(candidate.url, connect_timeout=1.0, read_timeout=2.0).identity().pid == candidate.pid:
                return msgspec.structs.replace(settings, url=candidate.url, origin=f"{_FOUND}{candidate.pid}")
        except RTorrentError:
            continue
    return None


def load_or_last_good(config_dir: Path) -> Configuration:
    """What a service runs on when it starts: the files' configuration, or the last good one where they are broken.

    Raises SettingsError when there never was a good one.
    """
    layout = layout_of(config_dir)
    options = read_options(layout)
    try:
        return _good(config_dir, layout, options)
    except SettingsError as error:
        if (kept := last_good(layout)) is None:
            raise
        return Configuration(kept, layout, options, broken=str(error))


def reload(current: Configuration) -> Configuration:
    """The configuration in the files, made the group's; raises SettingsError and changes nothing where it is broken."""
    config_dir = current.layout.config_dir
    return _good(config_dir, current.layout, read_options(current.layout))


def _good(config_dir: Path, layout: Layout, options: Options) -> Configuration:
    loaded = load(config_dir, options)
    settings = _addressed(loaded, seek=False)
    kept = last_good(layout)
    if kept is None or kept.digest != settings.digest:
        # What cannot be kept would not be everybody's; where there is none yet, what was checked is good all the same.
        if not check_apart(config_dir) and kept is not None:
            raise SettingsError(f"good, but it cannot be kept in {kept_file(layout)} (is the disk full?)")
        settings = last_good(layout) or settings
    return Configuration(settings, loaded.layout, options, loaded.warnings)


def check_apart(config_dir: Path) -> bool:
    """Check the files in a process of its own, which also makes them the group's configuration when they are good.

    False when they are good and that could not be written down (disk full).
    Raises SettingsProblems, or SettingsError when the check itself did not come to an end.
    """
    command = [sys.executable, "-m", "pyrotorque.configuration", str(config_dir)]
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            timeout=_CHECK_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SettingsError(f"the check of {config_dir} took longer than {_CHECK_DEADLINE:.0f} s") from None
    if done.returncode == EX_CONFIG:
        raise SettingsProblems(Problem(**fields) for fields in json.loads(done.stdout))
    if done.returncode not in (0, EX_TEMPFAIL):
        raise SettingsError(f"the check of {config_dir} ended with exit code {done.returncode}")
    return done.returncode == 0


class ConfigurationWatch:
    """Tells a service when the group's configuration is another one; asks the file system at most every 2 seconds."""

    def __init__(self, configuration: Configuration) -> None:
        self._layout = configuration.layout
        self._settings = configuration.settings
        self._seen = self._stamp()
        self._looked = self._sought = float("-inf")
        self._patience = _SEEK_FIRST

    def changed(self, now: float) -> Settings | None:
        """The new settings, once; `now` is any clock that never goes back, in seconds."""
        if now - self._looked < _LOOK_EVERY:
            return None
        self._looked = now
        self._seek(now)
        if (stamp := self._stamp()) == self._seen:
            return None
        self._seen = stamp
        found = last_good(self._layout)
        if found is None or found.digest == self._settings.digest:
            return None
        self._settings = found
        return found

    def took(self, configuration: Configuration) -> None:
        """The service has reloaded by itself (HUP): that one is not news any more."""
        self._settings, self._seen = configuration.settings, self._stamp()

    def _seek(self, now: float) -> None:
        """Look for a running rTorrent where nothing says its address, less and less often."""
        rtorrent = self._settings.rtorrent
        known = rtorrent.url is not None and not rtorrent.origin.startswith(_FOUND)
        if known or now - self._sought < self._patience:
            return
        self._patience = min(2 * self._patience, _SEEK_MAX) if self._sought > float("-inf") else _SEEK_FIRST
        self._sought = now
        try:
            check_apart(self._layout.config_dir)
        except SettingsError:
            return

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = kept_file(self._layout).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


def main(arguments: Sequence[str]) -> int:
    """Check and adopt; problems go to stdout as JSON."""
    config_dir = Path(arguments[0])
    try:
        configuration = read(config_dir, read_options(layout_of(config_dir)), seek=True)
        configuration.layout.prepare()
        adopt(configuration)
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
