"""A regular expression of a user cannot block a service: each search has a deadline, and each pattern a time budget."""

import logging
import re
import time
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrotorque.conditions import parse, regexes
from pyrotorque.conditions.regexes import BUDGET, DEADLINE, RegexTimeout, compile_search
from tests.waiting import bound

BAD = "a" * 4_000 + "!"
CATASTROPHIC = [r"(a+)+$", r"(a|aa)+$", r"(.*a){20}$", r"(a+)+\1$"]


def test_what_cannot_backtrack_runs_without_a_deadline() -> None:
    assert compile_search("^$|ghost")("a Ghost") is True
    assert compile_search("[(]")("(") is True
    assert not compile_search(r"a\.b")("axb")


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_a_catastrophic_pattern_costs_little_more_than_its_account_over_thousands_of_items(pattern: str) -> None:
    condition = parse(f"name='/{pattern}/'")
    begin = time.process_time()
    for number in range(3_000):
        condition.matches({"name": f"{BAD}{number}"}, now=0)
    assert time.process_time() - begin < bound(2 * (BUDGET + DEADLINE) + 1)


@pytest.mark.parametrize("waits", [0.0, 0.5, 5.0])
def test_a_search_that_waits_for_a_processor_neither_fills_nor_empties_its_account(
    monkeypatch: pytest.MonkeyPatch, waits: float
) -> None:
    now, searches = 1000.0, 0
    monkeypatch.setattr(regexes, "time", SimpleNamespace(monotonic=lambda: now))
    search: Any = compile_search(f"(w+)+{waits}$")

    def run(_text: str, timeout: float) -> None:
        nonlocal now, searches
        searches += 1
        now += timeout + waits
        raise TimeoutError

    search._search = run
    for _ in range(1_000):
        with pytest.raises(RegexTimeout):
            search(BAD)
    assert BUDGET / DEADLINE <= searches <= BUDGET / DEADLINE + 1


def test_an_undecided_item_does_not_match_even_under_not(caplog: pytest.LogCaptureFixture) -> None:
    condition = parse(r"[ NOT '/(aa|aab?)+$/' ]")
    with caplog.at_level(logging.WARNING):
        assert condition.matches({"name": "ok"}, now=0)
        assert not any(condition.matches({"name": BAD}, now=0) for _ in range(60))
        assert not condition.matches({"name": "ok"}, now=0), "the account is empty, so it rests"
    assert [record.getMessage()[:40] for record in caplog.records] == ["the regular expression /(aa|aab?)+$/ is "]


def test_an_explanation_of_an_undecided_item_agrees_that_it_does_not_match() -> None:
    condition = parse(r"prio>0 [ NOT '/(d|dd)+$/' ]")
    (prio, turned) = condition.explain({"name": "d" * 4_000 + "!", "prio": 1}, now=0)
    assert (prio.verdict, turned.verdict, turned.parts[0].verdict) == (True, False, False)


def test_other_alternatives_still_decide_when_they_are_evaluated_first() -> None:
    condition = parse(r"'/(b+)+$/' OR prio>0")
    bad = "b" * 4_000 + "!"
    assert condition.matches({"name": bad, "prio": 1}, now=0)
    assert not condition.matches({"name": bad, "prio": 0}, now=0)


def test_each_of_many_items_is_evaluated_once_and_undecided_ones_are_left_out() -> None:
    condition = parse(r"prio>0 '/(e|ee?)+$/' message~foo.?bar")
    names = ["e", "x", "e" * 4_000 + "!", "ee", "e" * 4_000 + "?", "eee"]
    items = [Counting(name=name, prio=1, message="foobar") for name in names]
    assert [item.get("name") for item in condition.select(items, now=0)] == ["e", "ee", "eee"]
    assert [item.asked.count("name") for item in items] == [1, 1, 1, 1, 1, 1]
    assert [item.asked.count("message") for item in items] == [1, 0, 0, 1, 0, 1]


class Counting(dict[str, Any]):
    """An item that records the fields that are read, except by its test."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.asked.append(name)
        return super().__getitem__(name)


def test_a_search_within_its_time_is_decided() -> None:
    search = compile_search(r"s\d+e\d+")
    assert search("Show S01E02")
    assert not search("Show")


def test_a_single_search_is_cut_at_its_deadline() -> None:
    begin = time.process_time()
    with pytest.raises(RegexTimeout):
        compile_search(r"(c+)+$")("c" * 10_000 + "!")
    assert time.process_time() - begin < bound(10 * DEADLINE)


@pytest.mark.parametrize("pattern", ["((((a{999}){999}){999}){999})", "(a{1,9999}){1,9999}", "a{99999999}"])
def test_counted_repeats_that_would_eat_the_memory_are_refused(pattern: str) -> None:
    with pytest.raises(re.error, match="too large"):
        compile_search(pattern)


def test_usual_counted_repeats_are_taken() -> None:
    assert compile_search(r"\d{4}-\d{2}-\d{2}")("on 2026-12-31")
    assert compile_search(r"^.{10,200}$")("x" * 100)


def test_the_language_is_that_of_re() -> None:
    with pytest.raises(re.error):
        compile_search(r"(\p{Lu})+")
    assert compile_search(r"[[a]+")("[")


@pytest.mark.parametrize(
    ("pattern", "text", "other"),
    [
        ("a{e}", "a{e}", "a"),
        ("(a{e<=1})", "a{e<=1}", "b"),
        (r"x{i|\{", "{", "x"),
        ("[[:alpha:]]+", "a]", "b]"),
        (r"[^[:\]a]+", "b", "[a"),
        (r"[]{}]{2}\N{DIGIT ONE}{2}", "]{11", "{}1"),
        ("a{,2}b{2}c{1,}", "bbcc", "bc"),
    ],
)
def test_what_another_language_reads_as_more_is_literal(pattern: str, text: str, other: str) -> None:
    """The `regex` package knows fuzzy matching and POSIX classes."""
    search = compile_search(pattern)
    assert search(text)
    assert not search(other)
    for each in (text, other):
        with warnings.catch_warnings(action="ignore"):
            assert search(each) == (re.search(pattern, each, re.IGNORECASE | re.DOTALL) is not None)


PIECES = st.sampled_from(
    [
        *("a", "b", "B", "1", "<", ",", "é", "ß", "-", ".", "^", "$", "|", "{", "}", "{2}", "{,2}", "{e}", "{e<=1}"),
        *("*", "+", "?", "*?", "++", "(", ")", "(?:", "(?=", "(?!", "(?<=", "(?>", "(?i:", "[", "]", "[^", "[:alpha:]"),
        *("&&", "--", r"\d", r"\D", r"\w", r"\b", r"\s", r"\S", r"\1", r"\\", r"\{", r"\[", r"\N{DASH}", r"\x41"),
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join), st.text("ab1{}e<=[]:-&ßé", max_size=8))
@settings(max_examples=500, deadline=None)
def test_a_pattern_is_refused_or_means_what_it_means_to_re(pattern: str, text: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        try:
            expected = re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None
        except re.error:
            with pytest.raises(re.error):
                compile_search(pattern)
            return
    assert compile_search(pattern)(text) == expected
