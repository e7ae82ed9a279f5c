"""Waits of tests: an exception of a predicate means "not yet"; a mistake in a predicate ends the wait."""

import ast
import os
import time
from collections.abc import Iterator

import pytest

from demo.group import REPOSITORY
from tests.waiting import eventually


def test_a_predicate_that_raises_while_something_starts_is_tried_again() -> None:
    errors = [KeyError("item"), ConnectionRefusedError(), AssertionError()]

    def predicate() -> int:
        if errors:
            raise errors.pop()
        return 7

    assert eventually(predicate) == 7


def test_the_last_exception_is_the_cause_of_a_failed_wait() -> None:
    def predicate() -> bool:
        raise FileNotFoundError("its log")

    with pytest.raises(AssertionError, match=r"the log is written \(last exception: FileNotFoundError") as failed:
        eventually(predicate, 0.05, why="the log is written")
    assert isinstance(failed.value.__cause__, FileNotFoundError)


def test_the_last_value_is_shown() -> None:
    values = [(), 0]
    with pytest.raises(AssertionError, match="last value: 0"):
        eventually(lambda: values.pop() if len(values) > 1 else 0, 0.05)


def test_a_mistyped_name_ends_the_wait() -> None:
    def predicate() -> bool:
        raise NameError("mistyped")

    with pytest.raises(NameError):
        eventually(predicate)


def test_a_busy_machine_gets_more_time_also_when_it_becomes_busy_later(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []

    def load() -> tuple[float, float, float]:
        return (0.0 if len(tries) < 2 else 100.0 * (os.cpu_count() or 1), 0.0, 0.0)

    def predicate() -> bool:
        tries.append(time.monotonic())
        return tries[-1] - tries[0] > 0.2

    monkeypatch.setattr(os, "getloadavg", load)
    assert eventually(predicate, 0.05)


def test_a_wait_for_a_thread_or_an_answer_is_longer_on_a_busy_machine() -> None:
    """`bound` gives its limit; a number would be reached while other work runs."""
    found = [where for file in (REPOSITORY / "tests").rglob("*.py") for where in _fixed_waits(file.read_text())]
    assert found == []


def _fixed_waits(text: str) -> Iterator[str]:
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call):
            given = (*_limits(call), *(word.value for word in call.keywords if word.arg == "timeout"))
            limits = [each.value for each in given if isinstance(each, ast.Constant)]
            if _waits(call.func) and any(isinstance(limit, int | float) and limit >= 2 for limit in limits):
                yield ast.unparse(call)


def _waits(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("join", "result") or (name == "ask" and isinstance(function, ast.Name))


def _limits(call: ast.Call) -> list[ast.expr]:
    """`ask(layout, service, request, timeout)`; a scene of the queue has an `ask` with a time."""
    return call.args[3:] if isinstance(call.func, ast.Name) else call.args
