"""docs/fleet-guarantees.md names tests that exist, for each of its sentences."""

import re

from demo.group import REPOSITORY

GUARANTEES = 15


def test_each_sentence_has_tests_that_exist() -> None:
    page = (REPOSITORY / "docs/fleet-guarantees.md").read_text()
    rows = [line for line in page.splitlines() if re.match(r"\| F\d+ ", line)]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [f"F{number}" for number in range(1, GUARANTEES + 1)]
    assert all("`test_" in row for row in rows)
    text = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    exist = set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))
    assert set(re.findall(r"`(test_\w+)`", page)) - exist == set()
