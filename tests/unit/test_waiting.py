"""Waits of tests: an exception of a predicate means "not yet"; a mistake in a predicate ends the wait."""

import pytest

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
