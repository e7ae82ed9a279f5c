"""The hint `did you mean X?` for a misspelt word.

A module of its own: a running 1.0.0 process imports it late, together with what uses it.
"""

from collections.abc import Iterable
from typing import Final

# A longer word has no suggestion: comparing takes quadratic time.
_WORD_MAX: Final = 100


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most similar to `word`, whatever the case; empty if there is none."""
    from difflib import get_close_matches  # only errors need it

    by_case = {each.lower(): each for each in known} if len(word) <= _WORD_MAX else {}
    found = get_close_matches(word.lower(), by_case, n=1, cutoff=0.6)
    return by_case[found[0]] if found else ""


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean X?` for the nearest known word, or nothing."""
    found = nearest(word, known)
    return f", did you mean {found}?" if found else ""
