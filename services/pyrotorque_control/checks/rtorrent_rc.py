"""Warnings about rTorrent's own configuration file: overlapping watch folders and unsafe shell commands."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pyrotorque.loadcommands.shell_hooks import shell_hooks
from pyrotorque.rtorrent_version import RTorrentVersion, version_of
from pyrotorque.settings.rtorrent_rc import loads_in, usual_files
from pyrotorque.settings.schema import Settings, WatchSettings
from pyrotorque.text import printable
from pyrotorque_control.checks.rtorrent_commands import defined_in, outdated_commands

_WILDCARDS: Final = "*?["
_HELP_TIMEOUT: Final = 5.0  # seconds


def overlapping_schedules(settings: Settings, home: Path) -> Iterator[str]:
    """Watched roots from which a schedule in rtorrent.rc loads metafiles, too."""
    patterns = _load_patterns(settings, home)
    for job in settings.jobs:
        if isinstance(job, WatchSettings) and job.active:
            for root in job.path:
                for pattern in patterns:
                    if overlap(Path(os.path.realpath(root)), str(Path(pattern).parent.resolve() / Path(pattern).name)):
                        yield (
                            f"job.{job.name}.path: a schedule in rtorrent.rc also loads metafiles from {root} "
                            f"({printable(pattern)}): remove that schedule, or use another folder"
                        )


def overlap(root: Path, pattern: str) -> bool:
    """Whether files below `root` can match `pattern`, whose folders may contain wildcards."""
    folders = Path(pattern).parent.parts
    plain = Path(*_until_wildcard(folders))
    if plain.is_relative_to(root):
        return True
    return len(plain.parts) < len(folders) and root.is_relative_to(plain)


def _until_wildcard(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        if any(char in part for char in _WILDCARDS):
            return
        yield part


def unsafe_shell_commands(settings: Settings, home: Path) -> Iterator[str]:
    """Lines of rtorrent.rc and its imports that insert a value of an item into the text of a shell command."""
    for name, text in _all_files(settings, home):
        for line, value in shell_hooks(text):
            yield (
                f"{printable(name)}:{line}: a shell command contains {value}, which the creator of a "
                "torrent may choose: it can run commands as you. Pass it as an argument: "
                f'sh, -c, "… \\"$1\\"", sh, ${value}='
            )


def commands_that_fail(settings: Settings, home: Path, version: RTorrentVersion) -> Iterator[str]:
    """Lines of rtorrent.rc and its imports with commands that rTorrent `version` does not have or ignores."""
    files = list(_all_files(settings, home))
    own = {name for _, text in files for name in defined_in(text)}
    for name, text in files:
        for found in outdated_commands(text, version):
            if found.name not in own:
                yield f"{printable(name)}:{found.line}: {found.text}"


def untied_removals(settings: Settings, home: Path, handlers: Iterable[str]) -> Iterator[str]:
    """Lines with `remove_untied`, which erases items, where rTorrent runs programs (`handlers`) for erased items."""
    for handler in handlers:
        for name, text in _all_files(settings, home):
            for number, line in enumerate(text.splitlines(), 1):
                if "remove_untied" in line.partition("#")[0]:
                    yield (
                        f"{printable(name)}:{number}: remove_untied erases each item whose metafile is missing, and "
                        f"rTorrent then runs `{printable(handler)}` for it, which may remove its data, also if "
                        "only the watch folder is not mounted: remove one of the two"
                    )


def installed_version() -> RTorrentVersion | None:
    """The version of the rTorrent on the PATH."""
    program = shutil.which("rtorrent")
    if program is None:
        return None
    try:
        ended = subprocess.run(
            [program, "-h"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_HELP_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_of(ended.stdout.decode("utf-8", "replace"))


def _all_files(settings: Settings, home: Path) -> Iterator[tuple[str, str]]:
    """The configuration files and those that they import, each once."""
    found: dict[str, str] = {}

    def read(name: str) -> str | None:
        text = _text(name)
        if text is not None:
            found.setdefault(name, text)
        return text

    for name, text in _rc_files(settings, home):
        found.setdefault(name, text)
        loads_in(text, home=str(home), environ=os.environ, read=read)
    yield from found.items()


def _load_patterns(settings: Settings, home: Path) -> list[str]:
    texts = (text for _, text in _rc_files(settings, home))
    return [pattern for text in texts for pattern in loads_in(text, home=str(home), environ=os.environ, read=_text)]


def _rc_files(settings: Settings, home: Path) -> Iterator[tuple[str, str]]:
    origin = settings.rtorrent.origin
    configured = origin if origin.startswith("/") and Path(origin).is_file() else None
    for name in usual_files(str(home), configured):
        if text := _text(name):
            yield name, text


def _text(name: str) -> str | None:
    try:
        return Path(name).read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError):
        return None
