"""Rejects words of the project's old, literary voice: `python -m tests.prose` lists them and exits with 1."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("services", "shared", "tests", "demo", "chaos", "benchmarks", "docs", "deploy")
SUFFIXES: Final = frozenset(
    (".py", ".md", ".ini", ".rc", ".conf", ".yml", ".yaml", ".html", ".service", ".toml", ".sh")
)
NAMES: Final = frozenset(("Makefile", "Dockerfile", "pyrotorque.json"))
# The first two contain the words themselves; benchmarks/theirs runs the code of other projects; the last is compared
# with files that 1.0.0 has written.
EXCLUDED: Final = (
    "tests/prose.py",
    "tests/unit/test_prose.py",
    "benchmarks/theirs/",
    "shared/pyrotorque/defaults/torque-1.0.0.rc",
)

_PROGRAMS: Final = (
    "r ?Torrent|supervisord|Prometheus|kernel|service|watcher|scheduler|exporter|guardian|program|process|worker|queue|"
    "ledger|server|client|subscriber|publisher|tracker|file|page|schedule|setting"
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
    *("afresh", "at hand", "becomes? of", "brings? back", "(goes|going|went) on", "impatien(t|ce)", "in (spite|vain)"),
    *("oddly", "patience", "sa(ys|id) so", "speaks?", "(takes?|took|taken) up(?! to)", "(are|be|is|was|were) asked"),
    rf"(it|{_PROGRAMS}) (asks?|asked|believes|forgets|hopes|knows?|remembers|says?|said|thinks?|wants?|wanted)",
    *("be had", "takes? (it|them|nobody|others|the others|everything) down", "in (the|a) user's words"),
)
_PATTERN: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(REJECTED)})(?![A-Za-z0-9])", re.IGNORECASE)
# A method of files, and the account `nobody`, as in `user=nobody`, "nobody" or nobody:nogroup.
_ALLOWED: Final = re.compile(r"\.tell\(|[\"'`]nobody[\"'`]|\bnobody:|\b(user|group)[ =:]+nobody\b|-u nobody\b")

# Names that are contracts: a column of the watcher's ledger, and a label value of a metric.
_CONTRACT: Final = re.compile(r"\btold INTEGER\b|\"told\"|\"too large to tell\"")


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
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _CONTRACT.sub("", _ALLOWED.sub("", line)).replace("_", " "))
    return [found[0] for found in _PATTERN.finditer(spaced)]


def _files() -> Iterator[Path]:
    candidates = [*ROOT.iterdir(), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")))]
    for path in candidates:
        name = path.relative_to(ROOT).as_posix()
        wanted = path.suffix in SUFFIXES or path.name in NAMES or path.name.endswith("Dockerfile")
        if wanted and path.is_file() and not name.startswith(EXCLUDED):
            yield path


def main() -> int:
    """Print each rejected word with its place."""
    found = list(findings())
    for finding in found:
        print(f"{finding.path}:{finding.line}: {finding.word!r}: use a plain word")
    print(f"{len(found)} rejected words")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
