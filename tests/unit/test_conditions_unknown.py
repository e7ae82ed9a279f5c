"""An unknown value of a new field satisfies no comparison, and no negation of one: the rule, and where it ends."""

import re
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrotorque.conditions import parse
from pyrotorque.fields import FIELDS
from pyrotorque.fields.unknown import UNKNOWN
from tests.made_conditions import DURATIONS, NOW
from tests.released import WHEEL

UNKNOWN_VALUES: dict[str, Any] = {
    "seeds": None, "leeches": None, "seeded": None, "idle": None, "frees": None, "links": UNKNOWN,
}  # fmt: skip
KNOWN: dict[str, Any] = {
    "seeds": 5, "leeches": 0, "seeded": 86_400.0, "idle": 60.0, "frees": 1 << 30, "links": frozenset({"outside"}),
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *("seeds<5", "seeds>5", "seeds<=5", "seeds>=5", "seeds=5", "seeds!=5", "seeds<>5", "seeds=!5", "seeds=5,!5"),
        *("[ NOT seeds<5 ]", "[ NOT seeds>=5 ]", "[ NOT [ NOT seeds<5 ] ]", "[ NOT [ NOT seeds>=5 ] ]"),
        *("[ NOT seeds=0,1,2 ]", "[ NOT seeds<5 OR seeds>5 ]", "seeds<5 OR seeds>=5", "seeds>=0", "leeches>=0"),
        *("idle>=1h", "[ NOT idle<1h ]", "idle>=0", "seeded<=1w", "frees!=0", "frees<=1g", "[ NOT frees>0 ]"),
        *("links=!outside", "links!=outside", "[ NOT links=outside ]", "links=!", "links=", "links==outside"),
        *("[ NOT links=outside,missing ]", "links=!unknown", "[ NOT links=unknown ]"),
    ],
)
def test_an_unknown_value_matches_nothing(text: str) -> None:
    condition = parse(text)
    assert not condition.matches(UNKNOWN_VALUES, NOW)
    assert condition.select([UNKNOWN_VALUES], NOW) == []
    assert not all(clause.verdict for clause in condition.explain(UNKNOWN_VALUES, NOW))
    assert parse(str(condition)) == condition


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        *((text, True) for text in ("seeds>=5", "seeds<=5", "[ NOT seeds<5 ]", "[ NOT seeds>=6 ]", "seeds!=4")),
        *((text, False) for text in ("seeds>=6", "seeds<=4", "[ NOT seeds>4 ]", "[ NOT seeds=5 ]", "seeds!=5")),
        *((text, True) for text in ("leeches=0", "leeches>=0", "idle>=60", "links!=inside", "[ NOT links=inside ]")),
        *((text, False) for text in ("links!=outside", "[ NOT links=outside ]", "idle<60", "frees<1g")),
    ],
)
def test_a_known_value_is_compared_in_both_directions(text: str, matches: bool) -> None:
    assert parse(text).matches(KNOWN, NOW) == matches


@pytest.mark.parametrize("text", ["links=unknown", "links==unknown", "idle<0", "seeded<0", "links=unknown,outside"])
def test_terms_for_unknown_values_match_them(text: str) -> None:
    assert parse(text).matches(UNKNOWN_VALUES, NOW)


@pytest.mark.parametrize("text", ["seeds>=5 OR name=x", "[ NOT seeds<5 name=y ]", "[ NOT seeds<5 ] OR name=x"])
def test_the_other_parts_of_a_group_still_decide(text: str) -> None:
    assert parse(text).matches({**UNKNOWN_VALUES, "name": "x"}, NOW)
    assert not parse(text).matches({**UNKNOWN_VALUES, "name": "y"}, NOW)


@pytest.mark.parametrize("text", ["seedtime>=1w", "leechtime<=1h", "[ NOT seedtime<1w ]", "custom_x>=5", "loaded>=1w"])
def test_fields_of_1_0_0_are_compared_as_before(text: str) -> None:
    assert parse(text).matches({"seedtime": None, "leechtime": None, "custom_x": "", "loaded": 0}, NOW)


def test_each_new_field_that_can_be_unknown_follows_the_rule() -> None:
    with ZipFile(WHEEL) as wheel:
        table = wheel.read("pyrotorque/fields/table.py").decode()
    old = set(re.findall(r'Field\(\s*"(\w+)"', table))
    assert {"prio", *DURATIONS} <= old
    new = {name: each for name, each in FIELDS.items() if name not in old}
    empty: dict[str, Any] = {name: each.read({}, {}, NOW) for name, each in new.items()}
    can_be_unknown = {name for name, value in empty.items() if value is None or value == UNKNOWN}
    assert can_be_unknown == set(UNKNOWN_VALUES) == {name for name, each in FIELDS.items() if each.strict}


_TERM = st.sampled_from(
    ("seeds>5", "seeds>=5", "seeds=5,6", "links=outside", "links=!outside", "prio>1", "prio=!2", "idle<1h", "idle>=1h")
)
_TEXT = st.recursive(
    _TERM,
    lambda inner: st.one_of(
        inner.map(lambda text: f"[ NOT {text} ]"),
        st.tuples(inner, inner).map(lambda two: f"[ {two[0]} ] [ {two[1]} ]"),
        st.tuples(inner, inner).map(lambda two: f"[ [ {two[0]} ] OR [ {two[1]} ] ]"),
    ),
    max_leaves=6,
)
_WORLDS = [
    {"seeds": seeds, "links": links, "idle": idle}
    for seeds in (0, 5, 6, 99)
    for links in (frozenset[str](), frozenset({"outside"}), frozenset({"inside"}))
    for idle in (0.0, 4e3)
]


@given(text=_TEXT, prio=st.integers(0, 3), seeds=st.sampled_from((None, 5)))
@settings(max_examples=300, deadline=None)
def test_what_matches_with_unknown_values_matches_whatever_they_are(text: str, prio: int, seeds: int | None) -> None:
    """No removal follows from a value that may be another one."""
    condition = parse(text)
    item = {**UNKNOWN_VALUES, "prio": prio, "seeds": seeds}
    if condition.matches(item, NOW):
        worlds = [{**world, "prio": prio} | ({"seeds": seeds} if seeds is not None else {}) for world in _WORLDS]
        assert all(condition.matches(world, NOW) for world in worlds)
