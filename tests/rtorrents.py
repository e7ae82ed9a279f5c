"""The rTorrents that tests run against: the installed one, and those of other Debian releases (rtorrents.sh)."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

FOLDER = Path(__file__).parent.parent / ".rtorrent"
SELECTED = os.environ.get("RTORRENT", "")
"""Which versions run: the beginning of a version such as `0.9` or `0.16`; empty for all."""

Version: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """One rTorrent: its executable and its version, such as `0.16.17`."""

    path: Path
    version: str

    def satisfies(self, requirement: str) -> bool:
        """Whether its version meets `requirement`, such as `<0.10` or `>=0.16.14`.

        Raises ValueError for anything else.
        """
        found = re.fullmatch(r"(<|>=)(\d+(?:\.\d+)*)", requirement)
        if found is None:
            raise ValueError(f"a version requirement is <N or >=N, not {requirement!r}")
        is_older = _numbers(self.version) < _numbers(found[2])
        return is_older if found[1] == "<" else not is_older


@cache
def programs() -> tuple[Program, ...]:
    """All rTorrents of this machine that were selected, oldest first, one for each version.

    Raises RuntimeError where one that the tests need is missing, with the command that installs it.
    """
    installed = shutil.which("rtorrent")
    if installed is None:
        raise RuntimeError("the program rtorrent is not installed: make packages")
    paths = [Path(installed), *sorted(FOLDER.glob("*/bin/rtorrent"))]
    found = {program.version: program for program in map(_program, reversed(paths))}
    chosen = [program for program in found.values() if f"{program.version}.".startswith(SELECTED.rstrip(".") + ".")]
    if SELECTED and not chosen:
        raise RuntimeError(f"RTORRENT={SELECTED}: there are only {', '.join(sorted(found))} (make packages)")
    if not SELECTED and (len(found) < 2 or not any(program.satisfies("<0.10") for program in found.values())):
        raise RuntimeError(
            f"the tests need rTorrent 0.9.8 and a newer one, there is only {', '.join(found)}: run `make packages`, "
            "or choose one with RTORRENT=VERSION"
        )
    return tuple(sorted(chosen if SELECTED else found.values(), key=lambda program: _numbers(program.version)))


def _program(path: Path) -> Program:
    text = subprocess.run([path, "-h"], stdout=subprocess.PIPE, text=True, check=False).stdout
    found = re.search(r"version (\d+(?:\.\d+)+)", text)
    if found is None:
        raise RuntimeError(f"{path} -h prints no version: {text[:200]!r}")
    return Program(path, found[1])


def _numbers(version: str) -> Version:
    return tuple(int(number) for number in version.split("."))
