"""Programs of several versions that tests run: the installed one and one of another release (newer_programs.sh)."""

import os
import re
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

REPOSITORY: Final = Path(__file__).parent.parent
RTORRENT: Final = os.environ.get("RTORRENT", "")
"""Which versions of rTorrent run: the beginning of a version such as `0.9` or `0.16`; empty for all."""

Version: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """An executable and its version, such as `0.16.17`."""

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
def rtorrents() -> tuple[Program, ...]:
    """All rTorrents of this machine that were selected, oldest first, one for each version.

    Raises RuntimeError where one that the tests need is missing, with the command that installs it.
    """
    found = _installed("rtorrent", "-h")
    if RTORRENT:
        chosen = [program for program in found if f"{program.version}.".startswith(f"{RTORRENT.rstrip('.')}.")]
        if not chosen:
            raise RuntimeError(f"RTORRENT={RTORRENT}: there is only {_versions(found)}; run `make packages`")
        return tuple(chosen)
    if len(found) < 2 or not found[0].satisfies("<0.10"):
        raise RuntimeError(
            f"the tests need rTorrent 0.9.8 and a newer one, there is only {_versions(found)}: run `make packages`, "
            "or choose one with RTORRENT=VERSION"
        )
    return found


@cache
def prometheuses() -> tuple[Program, ...]:
    """Prometheus 2 and 3, each with its promtool beside it. Raises RuntimeError where one is missing."""
    found = _installed("prometheus", "--version")
    if {_numbers(program.version)[0] for program in found} < {2, 3}:
        raise RuntimeError(f"the tests need Prometheus 2 and 3, there is only {_versions(found)}: run `make packages`")
    return found


@cache
def nats_servers() -> tuple[Program, ...]:
    """Debian's 2.9, which cannot sync each write, and a newer one. Raises RuntimeError where one is missing."""
    found = _installed("nats-server", "--version")
    if len(found) < 2 or not found[0].satisfies("<2.10"):
        raise RuntimeError(f"the tests need nats-server 2.9 and a newer one, there is only {_versions(found)}: "
                           "run `make packages`")  # fmt: skip
    return found


@contextmanager
def first_on_path(program: Program) -> Generator[Program]:
    """This program is what tests and all their child processes start by its name."""
    folder = str(program.path.parent)
    if shutil.which(program.path.name) == str(program.path):
        yield program  # and nothing moves before the newer programs of other fixtures
        return
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    yield program
    os.environ["PATH"] = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != folder)


def _installed(name: str, option: str) -> tuple[Program, ...]:
    """The program on the PATH and those in the checkout, oldest first, one for each version."""
    installed = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if installed is None:
        raise RuntimeError(f"the program {name} is not installed: run `make packages`")
    paths = [Path(installed), *sorted(REPOSITORY.glob(f".{name}/*/bin/{name}"))]
    found = {program.version: program for program in (_program(path, option) for path in reversed(paths))}
    return tuple(sorted(found.values(), key=lambda program: _numbers(program.version)))


def _program(path: Path, option: str) -> Program:
    text = subprocess.run([path, option], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = re.search(r"(?:version |: v)(\d+(?:\.\d+)+)", text.stdout)
    if found is None:
        raise RuntimeError(f"{path} {option} prints no version: {text.stdout[:200]!r}")
    return Program(path, found[1])


def _versions(programs: tuple[Program, ...]) -> str:
    return ", ".join(program.version for program in programs)


def _numbers(version: str) -> Version:
    return tuple(int(number) for number in version.split("."))
