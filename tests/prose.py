"""Rejects words of the project's old, literary voice: `python -m tests.prose` lists them and exits with 1."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("services", "shared", "tests", "demo", "chaos", "benchmarks", "docs", "deploy")
SUFFIXES: Final = frozenset(
    (".py", ".md", ".ini", ".rc", ".conf", ".yml", ".yaml", ".html", ".service", ".toml", ".sh")
)
NAMES: Final = frozenset(("Makefile", "Dockerfile", "pyrotorque.json"))
# These files contain the words themselves; benchmarks/theirs runs the code of other projects.
EXCLUDED: Final = (
    "tests/prose.py",
    "tests/unit/test_prose.py",
    "benchmarks/theirs/",
    "shared/pyrotorque/defaults/torque-1.0.0.rc",
)

# Files that are still to be rewritten. Their words are counted only.
PENDING: Final[tuple[str, ...]] = (
    "services/pyrotorque_scheduler/queue/disk_space.py",
    "shared/pyrotorque/bus/publisher.py",
    "shared/pyrotorque/bus/stats.py",
    "shared/pyrotorque/bus/subscriber.py",
    "shared/pyrotorque/rtorrent/address.py",
    "shared/pyrotorque/rtorrent/client.py",
    "shared/pyrotorque/rtorrent/effects.py",
    "shared/pyrotorque/rtorrent/line.py",
    "shared/pyrotorque/rtorrent/scgi.py",
    "shared/pyrotorque/service/lifecycle.py",
    "tests/contracts/test_bus.py",
    "tests/contracts/test_bus_at_its_edges.py",
    "tests/contracts/test_rtorrent_client.py",
    "tests/contracts/test_rtorrent_hostile.py",
    "tests/processes/fire.py",
    "tests/processes/test_bus_under_fire.py",
    "tests/processes/test_reloading.py",
    "tests/unit/test_bus_follower.py",
    "tests/unit/test_outbox.py",
)

# Archaic or literary words, personification of programs, and idioms. An underscore counts as a space, so names are
# checked, too.
REJECTED: Final = (
    *("albeit", "amid", "anew", "aught", "ere", "forthwith", "hark", "hearken", "heed(s|ed)?", "hence", "henceforth"),
    *("hereby", "herein", "lest", "naught", "nobody", "nought", "shall", "thence", "thereby", "therein", "thereof"),
    *("thither", "unto", "whence", "whereby", "wherein", "whosoever", "yonder"),
    *("anybody", "everybody", "somebody", "whoever", "whomever", "whosever"),
    *("hear", "heard", "hears", "told", "tell", "tells", "whisper(s|ed)?", "shout(s|ed)?", "stumble(s|d)?"),
    *("dear", "for ever", "for good", "for show", "grows? old", "in one go", "little by little", "meant by"),
    *("neighbours?", "nudge(s|d)?", "of old", "once more", "politely", "put(s)? away", "strangers?", "trumps"),
    *("be had", "takes? (it|them|nobody|others|the others|everything) down", "in (the|a) user's words"),
)
_PATTERN: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(REJECTED)})(?![A-Za-z0-9])", re.IGNORECASE)
# A method of files, and the account `nobody`, as in `user=nobody`, "nobody" or nobody:nogroup.
_ALLOWED: Final = re.compile(r"\.tell\(|[\"'`]nobody[\"'`]|\bnobody:|\b(user|group)[ =:]+nobody\b|-u nobody\b")

# A stored column of the watcher's ledger.
_COLUMN: Final = re.compile(r"\btold INTEGER\b|\"told\"")


class Finding(NamedTuple):
    """A rejected word and its place."""

    path: str
    line: int
    word: str


def findings() -> Iterator[Finding]:
    """All rejected words in the project's own text."""
    for path in _files():
        name = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for found in rejected_words(line):
                yield Finding(name, number, found)


def rejected_words(line: str) -> list[str]:
    """The rejected words in one line; an underscore and the start of a capital separate words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _COLUMN.sub("", _ALLOWED.sub("", line)).replace("_", " "))
    return [found[0] for found in _PATTERN.finditer(spaced)]


def pending(path: str) -> bool:
    """Whether the file is still to be rewritten."""
    return path.startswith(PENDING)


def _files() -> Iterator[Path]:
    candidates = [*ROOT.iterdir(), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")))]
    for path in candidates:
        name = path.relative_to(ROOT).as_posix()
        wanted = path.suffix in SUFFIXES or path.name in NAMES or path.name.endswith("Dockerfile")
        if wanted and path.is_file() and not name.startswith(EXCLUDED):
            yield path


def main() -> int:
    """Print what must change, and how many words are left in the pending parts."""
    found = list(findings())
    wrong = [finding for finding in found if not pending(finding.path)]
    for finding in wrong:
        print(f"{finding.path}:{finding.line}: {finding.word!r}: use a plain word")
    counts = Counter(_part(finding.path) for finding in found if pending(finding.path))
    for part, number in sorted(counts.items()):
        print(f"{number:5} words pending in {part}")
    print(f"{len(wrong)} rejected words, {sum(counts.values())} pending")
    return 1 if wrong else 0


def _part(path: str) -> str:
    return "/".join(path.split("/")[:2])


if __name__ == "__main__":
    sys.exit(main())
