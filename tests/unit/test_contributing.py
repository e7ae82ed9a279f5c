"""The table of changes in CONTRIBUTING.md leads to existing files, and its search terms to the first of them."""

import re
from dataclasses import dataclass

import pytest

from demo.group import REPOSITORY


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
