"""The reference page is correct: its examples are parsed, and its table lists all fields."""

import re
from pathlib import Path

import pytest

from benchmarks.expressions import ALIKE, OTHERWISE
from pyrotorque.conditions import parse, parse_sort
from pyrotorque.errors import ConditionError
from pyrotorque.fields import FAMILIES, FIELDS, field

PAGE = (Path(__file__).parents[2] / "docs" / "conditions.md").read_text()


def _examples(language: str) -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def _inline() -> list[str]:
    """Terms in the running text, like `size>1.5g`; tables of the grammar use words that are no fields."""
    prose = re.sub(r"```.*?```|^\|.*?$|^## What changed.*", "", PAGE, flags=re.DOTALL | re.MULTILINE)
    terms = re.findall(r"`([a-z_]+(?:=|<|>|~)[^`]*)`", prose)
    return [term for term in terms if not term.startswith("field")]


@pytest.mark.parametrize("text", _examples("condition") + _inline())
def test_each_example_of_a_condition_is_read(text: str) -> None:
    condition = parse(text)
    assert parse(str(condition)) == condition


@pytest.mark.parametrize("text", _examples("sort"))
def test_each_example_of_a_sort_order_is_read(text: str) -> None:
    assert parse_sort(text).fields


def test_the_table_lists_the_fields_of_the_program() -> None:
    rows = [f"| `{field.name}` | {field.kind} | {field.doc} |" for field in FIELDS.values()]
    rows += [f"| `{name}` | {kind} | {doc} |" for name, kind, doc in FAMILIES]
    assert [line for line in PAGE.splitlines() if re.match(r"\| `[a-zA-Z_]+` \| [a-z ]+ \| ", line)] == rows


@pytest.mark.parametrize(
    ("family", "member"), [("kind_N", "kind_25"), ("custom_KEY", "custom_x"), ("d_NAME", "d_name")]
)
def test_the_families_are_those_of_the_program(family: str, member: str) -> None:
    assert [(name, kind) for name, kind, _ in FAMILIES if name == family] == [(family, field(member).kind)]  # type: ignore[union-attr]
    assert len(FAMILIES) == 3


def test_what_rtcontrol_reads_otherwise_is_listed() -> None:
    assert f"{len(ALIKE)} expressions that have the same meaning in both languages" in PAGE
    assert [text for text in OTHERWISE if f"`{text}`" not in PAGE and " OR " not in text] == []


def _mistakes() -> list[tuple[str, str]]:
    section = PAGE.partition("### What is not a condition\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(.*?)` \| `(.*?)` \|", section, re.MULTILINE)
    return [(typed.replace(r"\|", "|"), right) for typed, right in rows]


@pytest.mark.parametrize(("typed", "right"), _mistakes())
def test_each_mistake_of_the_page_is_refused_and_its_right_spelling_is_read(typed: str, right: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(typed)
    hint = str(refused.value).split("\n")[-1]
    assert right in hint or "AND" in hint or "OR" in hint or "quotes" in hint
    assert parse(right)


def test_names_of_the_page_are_names() -> None:
    names = ("[Group]*", "*.mkv", "Some.Name-GRP", "What.If=Yes", "=LOVE*", "~Prayer~")
    assert all(f"`{name}`" in PAGE and parse(name).fields == {"name"} for name in names)
    assert len(_mistakes()) > 20


@pytest.mark.parametrize("text", ALIKE)
def test_what_rtcontrol_reads_alike_is_read(text: str) -> None:
    condition = parse(text)
    assert parse(str(condition)) == condition


def test_there_are_examples() -> None:
    assert len(_examples("condition")) >= 15
    assert len(_inline()) >= 15
