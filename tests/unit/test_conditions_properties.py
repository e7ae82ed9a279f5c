"""What holds for every condition: its normal form reads back, weaker forms exclude no match, noise never breaks it."""

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrotorque.conditions import Condition, parse
from pyrotorque.errors import ConditionError
from tests.made_conditions import NOISE, NOW, TEXT, items
from tests.waiting import bound


@given(text=TEXT)
@example(text="name=/,]/,[*]")  # the brackets of one value say nothing about those of another
@example(text="name=[*],/]/,[a]")
@example(text="[a]*,/x]/")
@example(text="name=/x[,]y/,[a-c]")
@settings(max_examples=150, deadline=None)
def test_the_normal_form_reads_back_as_an_equal_condition(text: str) -> None:
    condition = parse(text)
    again = parse(str(condition))
    assert again == condition
    assert hash(again) == hash(condition)
    assert str(again) == str(condition)


@given(text=TEXT, item=items())
@settings(max_examples=150, deadline=None)
def test_the_normal_form_gives_the_same_verdict(text: str, item: dict[str, Any]) -> None:
    condition = parse(text)
    assert parse(str(condition)).matches(item, NOW) == condition.matches(item, NOW)


@given(text=TEXT, item=items())
@settings(max_examples=150, deadline=None)
def test_a_condition_without_its_costly_fields_never_excludes_a_match(text: str, item: dict[str, Any]) -> None:
    condition = parse(text)
    cheap = condition.without(lambda field: field.costly)
    assert cheap is None or cheap.matches(item, NOW) or not condition.matches(item, NOW)
    assert cheap is None or not any(field.costly for field in cheap.table.values())


@given(text=TEXT, several=st.lists(items(), max_size=4))
@settings(max_examples=100, deadline=None)
def test_of_many_items_those_that_match_are_found_in_their_order(text: str, several: list[dict[str, Any]]) -> None:
    condition = parse(text)
    numbered = [{**item, "number": number} for number, item in enumerate(several)]
    matching = [item["number"] for item in numbered if condition.matches(item, NOW)]
    assert [item["number"] for item in condition.select(numbered, NOW)] == matching


@given(text=TEXT, item=items())
@settings(max_examples=100, deadline=None)
def test_an_explanation_agrees_with_the_verdict(text: str, item: dict[str, Any]) -> None:
    condition = parse(text)
    assert all(clause.verdict for clause in condition.explain(item, NOW)) == condition.matches(item, NOW)


@given(one=TEXT, other=TEXT, item=items())
@settings(max_examples=80, deadline=None)
def test_two_conditions_joined_match_what_both_match(one: str, other: str, item: dict[str, Any]) -> None:
    both = parse(one).also(parse(other))
    assert both.matches(item, NOW) == (parse(one).matches(item, NOW) and parse(other).matches(item, NOW))
    assert parse(str(both)) == both


@given(text=NOISE)
@example(text="is_open='\x85'")
@example(text="name='\\0\n'")
@example(text="name='\\'\"\n\"")
@example(text="name='-\n'")
@example(text="name='/a\\'\"\n\"'/'")
@example(text="name='/a\\'\"\n'/\"")
@settings(max_examples=400, deadline=None)
def test_random_text_is_read_or_refused_with_a_caret_and_never_breaks(text: str) -> None:
    read = _read(text)
    if isinstance(read, ConditionError):
        assert "^" in str(read).splitlines()[2]
    else:
        assert parse(str(read)) == read


def _read(text: str) -> Condition | ConditionError:
    try:
        return parse(text)
    except ConditionError as error:
        return error


LARGE = {
    "100 kB of words": "foo " * 25_000,
    "100 kB of one word": "x" * 100_000,
    "100 kB of brackets": "[ " * 50_000,
    "1,000 groups deep": "[ " * 1_000 + "prio>0" + " ]" * 1_000,
    "1,000 negations deep": "[ NOT " * 1_000 + "prio>0" + " ]" * 1_000,
    "60 kB of backslashes": "\\" * 60_001,
    "60 kB of slashes": "/" * 60_000 + "," + "'",
    "60 kB of an open quote": "'" + "a" * 60_000,
    "60 kB of a regular expression": "/" + "(a" * 30_000 + "/",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
def test_too_much_is_refused_in_under_a_second(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(ConditionError):
        parse(text)
    assert time.process_time() - begin < bound(1)


ALLOWED = {
    "many words": "foo " * 16_000,
    "many values": "prio=" + ",".join(map(str, range(11_000))),
    "many hashes": "hash=" + ",".join(f"{number:040X}" for number in range(1_500)),
    "many alternatives": " OR ".join(f"prio>{number % 10}" for number in range(6_000)),
    "64 groups deep": "[ NOT " * 64 + "prio>0" + " ]" * 64,
    "many slashes": "path=" + "/a" * 30_000,
    "many regular expressions": "name=" + ",".join(f"/a{number}/" for number in range(5_000)),
}


@pytest.mark.parametrize("text", ALLOWED.values(), ids=ALLOWED.keys())
def test_much_is_read_in_time_that_grows_with_its_length_only(text: str) -> None:
    begin = time.process_time()
    condition = parse(text)
    assert condition.matches({"name": "foo", "prio": 1, "hash": "AA", "path": "/a"}, NOW) in (True, False)
    assert len(str(condition)) > 0
    assert all(condition.filters(NOW))
    assert time.process_time() - begin < bound(3)
