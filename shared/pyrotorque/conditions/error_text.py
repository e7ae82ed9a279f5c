"""Error messages of conditions: one sentence, a caret at the position, and a hint."""

from typing import Final, TypeAlias

from pyrotorque.conditions.words import quoted
from pyrotorque.errors import ConditionError
from pyrotorque.text import printable

Problem: TypeAlias = tuple[str, str] | None
"""An error and a hint with the right spelling."""

_BEFORE, _AFTER = 60, 40
_TEXT_MAX = 600
_SHOWN: Final = 120


def condition_error(text: str, at: int, problem: str, hint: str = "") -> ConditionError:
    """An error that shows the line of `text` around offset `at`, with a caret below that position."""
    at = max(0, min(at, len(text)))
    begin = max(text.rfind("\n", 0, at) + 1, at - _BEFORE)
    newline = text.find("\n", at)
    end = min(len(text) if newline < 0 else newline, at + _AFTER)
    before, after = printable(text[begin:at]), printable(text[at:end])
    problem, hint = _cut(problem), _cut(hint)
    advice = f"\n{hint}" if hint else ""
    error = ConditionError(f"{problem}\n  {before}{after}\n  {' ' * len(before)}^{advice}")
    error.condition, error.summary = text, f"{problem}: {hint}" if hint else problem
    return error


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"


def spelling(right: str, word: str = "") -> str:
    """A hint with the right spelling, and with that of a name that looks like `word`."""
    return f"write `{shown(right)}`" + (for_name(word) if word else "")


def for_name(word: str) -> str:
    """The spelling of a term for an item with this name."""
    return f"; for an item of that name: `{shown(f'name={quoted(word)}')}`"


def shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
