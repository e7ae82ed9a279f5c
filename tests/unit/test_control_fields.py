"""`pyrotorque fields` lists what conditions and templates accept, within 80 columns."""

import json

import pytest

from pyrotorque.conditions import parse, parse_sort
from pyrotorque.errors import ConditionError
from pyrotorque.fields import FAMILIES, FIELDS, check_group_field
from pyrotorque.loadcommands.namespace import NAME_DOCS
from pyrotorque_control.cli import run
from pyrotorque_control.commands.fields import ListedField, listed_fields

EXAMPLES = {"kind_N": "kind_25", "custom_KEY": "custom_x", "d_NAME": "d_name"}


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert run(["fields", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_all_fields_and_names_are_listed_once() -> None:
    assert [each.name for each in listed_fields()] == [*FIELDS, *(name for name, *_ in FAMILIES), *NAME_DOCS]


def test_the_lines_fit_into_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys)
    assert max(map(len, lines)) <= 80
    assert len(lines) > len(FIELDS)


@pytest.mark.parametrize("field", [each for each in listed_fields() if "condition" in each.use], ids=lambda f: f.name)
def test_a_field_may_be_used_in_each_listed_place(field: ListedField) -> None:
    name = EXAMPLES.get(field.name, field.name)
    assert parse(f'{name}="no"' if field.kind in ("bool", "text") else f"{name}=0").fields == {name}
    assert parse_sort(f"-{name}").fields == {name}
    if "group_by" in field.use:
        check_group_field(name, {})
    else:
        with pytest.raises(ConditionError, match="no field to group by"):
            check_group_field(name, {})


def test_a_word_filters_by_name_kind_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    found = [json.loads(line) for line in printed(capsys, "Tracker", "--json")]
    assert {"tracker", "alias", "seeds", "tracker_alias"} <= {each["name"] for each in found}
    assert all("tracker" in f"{each['name']} {each['meaning']}".lower() for each in found)
    assert found[0].keys() == {"name", "kind", "meaning", "use", "costly"}
    kinds = {json.loads(line)["kind"] for line in printed(capsys, "duration", "--json")}
    assert "duration" in kinds


def test_a_word_that_matches_nothing_is_an_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fields", "trakcer"]) == 64
    assert "did you mean" in capsys.readouterr().err
