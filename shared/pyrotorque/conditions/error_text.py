"""Error messages of conditions: one sentence, a caret at the position, and a hint."""

from collections.abc import Iterable

from pyrotorque.errors import ConditionError
from pyrotorque.text import printable

_BEFORE, _AFTER = 60, 40


def condition_error(text: str, at: int, problem: str, hint: str = "") -> ConditionError:
    """An error that shows the line of `text` around offset `at`, with a caret below that position."""
    at = max(0, min(at, len(text)))
    begin = max(text.rfind("\n", 0, at) + 1, at - _BEFORE)
    newline = text.find("\n", at)
    end = min(len(text) if newline < 0 else newline, at + _AFTER)
    before, after = printable(text[begin:at]), printable(text[at:end])
    advice = f"\n{hint}" if hint else ""
    return ConditionError(f"{problem}\n  {before}{after}\n  {' ' * len(before)}^{advice}")


def nearest(name: str, right: Iterable[str]) -> str:
    """A hint with the entry of `right` that is most similar to `name`; empty if there is none."""
    from difflib import get_close_matches  # only few conditions need it

    found = get_close_matches(name.lower(), list(right), n=1, cutoff=0.6)
    return f"did you mean `{found[0]}`?" if found else ""
