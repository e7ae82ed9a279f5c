"""CONTRIBUTING.md and docs/architecture.md name files that exist, and the search terms lead to the first of them."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.group import REPOSITORY

# Paths of an installation or of a test run, not of this checkout.
INSTALLED = frozenset(("run/", "run/bell"))


@dataclass(frozen=True)
class Change:
    """One row of the table."""

    name: str
    term: str
    files: tuple[str, ...]


def changes() -> list[Change]:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| ([^|`]+) \| `([^|]+)` \| ([^|]+) \|$", text, re.MULTILINE)
    return [Change(name, term, tuple(re.findall(r"`([\w./@-]+\.\w+)`", files))) for name, term, files in rows]


def test_the_table_covers_the_likely_changes() -> None:
    assert len(changes()) >= 12


@pytest.mark.parametrize("change", changes(), ids=lambda change: change.name)
def test_the_files_for_a_change_exist_and_the_term_is_in_the_first(change: Change) -> None:
    assert [name for name in change.files if not (REPOSITORY / name).is_file()] == []
    assert change.term in (REPOSITORY / change.files[0]).read_text()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_each_file_on_the_page_exists(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    named = re.findall(r"`((?:[\w.@-]+/)+[\w.-]*)`", text)
    assert [name for name in named if not (REPOSITORY / name).exists() and name not in INSTALLED] == []


def test_the_architecture_names_all_packages_and_only_modules_that_exist() -> None:
    text = (REPOSITORY / "docs/architecture.md").read_text()
    packages = [
        path.parent.relative_to(REPOSITORY).as_posix()
        for top in ("services", "shared/pyrotorque")
        for path in sorted((REPOSITORY / top).glob("*/*/__init__.py" if top == "services" else "*/__init__.py"))
    ]
    assert [package for package in packages if f"`{package}/`" not in text] == []
    for row in re.findall(r"^\| (`(?:services|shared)/.*?) \|", text, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        for name in others:
            assert any((REPOSITORY / place / name).exists() for place in (".", *_folders(first))), name


def _folders(first: str) -> tuple[Path, Path]:
    return Path(first.rstrip("/")).parent, Path(first)
