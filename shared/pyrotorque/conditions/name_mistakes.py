"""Finds words that the grammar reads as patterns for names, but that no item can match, or that were typed as a term.

These are two whole names for one item, a list with spaces, alternatives and regular expressions without slashes, a
comment, a separator at a word, an escaped operator, and a name that is almost that of a field of the kind bool.
"""

import re
from collections.abc import Callable
from typing import Final

from pyrotorque.conditions import words
from pyrotorque.conditions.error_text import Problem, for_name, shown, spelling
from pyrotorque.conditions.text_mistakes import alternatives, braces, regex_problem, unclosed_regex
from pyrotorque.fields import FIELDS, field
from pyrotorque.fields.kinds import Kind

_WILD: Final = re.compile(r"[*?\[\]]")
_GLUED_GROUPS: Final = re.compile(r"\]+[^\[\]]*\[+")
_ESCAPED: Final = re.compile(r"(?P<field>[a-z][a-z_0-9]*)\\(?P<rest>(?:<=|>=|<>|!=|==|<|>|=|~)[^\"'\\]*)", re.ASCII)
_BOOL_LIKE: Final = re.compile(r"(is|has)[_-]\w{1,100}", re.IGNORECASE | re.ASCII)
_BOOLS: Final = tuple(name for name, each in FIELDS.items() if each.kind == "bool")
_SIMILAR: Final = 0.85


def problem(word: str, before: str, after: str, kind_of: Callable[[str], Kind | None]) -> Problem:
    """The problem of a word without an operator, between these two of its group (empty: none)."""
    return (
        _near_bool(word, kind_of)
        or _separator(word, before, after)
        or _glued(word)
        or _with_name(alternatives(word) or braces(word), word)
        or _with_name(regex_problem(word, "name="), word)
        or _unclosed(word)
        or _two_names(word, before)
    )


def escaped_operator(word: str) -> Problem:
    """`size\\>1g`, as it is typed in a shell."""
    found = _ESCAPED.fullmatch(word)
    if found is None or field(found["field"]) is None:
        return None
    right = f"{found['field']}{found['rest']}"
    return (
        "an operator with a backslash is a part of a name",
        f"{spelling(right)}; for an item of that name: `name={word}`",
    )


def _with_name(found: Problem, word: str) -> Problem:
    return None if found is None else (found[0], found[1] + for_name(word))


def _near_bool(word: str, kind_of: Callable[[str], Kind | None]) -> Problem:
    """`IS_OPEN`, `is-open` and `is_opne`; a name is no such word."""
    inner = word.strip("![]()")
    if not _BOOL_LIKE.fullmatch(inner) or kind_of(inner) is not None:
        return None
    from difflib import get_close_matches  # only few words need it

    found = get_close_matches(inner.lower().replace("-", "_"), _BOOLS, n=1, cutoff=_SIMILAR)
    if not found:
        return None
    right = f"{found[0]}={'no' if word.startswith('!') else 'yes'}"
    return f"`{shown(word)}` is not a field", spelling(right, word)


def _separator(word: str, before: str, after: str) -> Problem:
    """A mark between two terms that is written without a space, a list with a space, and a comment."""
    if after and word.endswith(",") and len(word) > 1:
        listed = after if words.is_quoted(after) else word + after
        return "a list has no spaces", spelling(listed, word)
    if (before or after) and len(word) > 1 and (word[-1] in ";&|" or word[0] in ";&|"):
        mark = word[-1] if word[-1] in ";&|" else word[0]
        advice = "write OR" if mark == "|" else "leave it out: terms are joined by AND"
        return f"`{mark}` is not an operator", advice + for_name(word)
    is_comment = re.match(r"//+$|/\*", word) or (word.startswith("#") and words.is_comparison(before))
    if (before or after) and is_comment:
        return f"`{shown(word)}` begins no comment", f"a condition has no comments{for_name(word)}"
    return None


def _glued(word: str) -> Problem:
    if not _GLUED_GROUPS.fullmatch(word):
        return None
    return "a bracket needs spaces around it", f"write `] OR [` or `] [`{for_name(word)}"


def _unclosed(word: str) -> Problem:
    if words.regex_end(words.cells(word, 0), 0):
        return None
    return _with_name(unclosed_regex(word, "name="), word)


def _two_names(word: str, before: str) -> Problem:
    """Two names without wildcards in one group: no item has both."""
    if not before or not _is_whole_name(word) or not _is_whole_name(before) or word.casefold() == before.casefold():
        return None
    hint = spelling(f'"{before} {word}"')
    return "an item has one name, and these are two", f"{hint}, or `*{shown(before)}* *{shown(word)}*`"


def _is_whole_name(word: str) -> bool:
    return not (
        words.is_quoted(word)
        or words.is_comparison(word)
        or _WILD.search(word)
        or "," in word
        or word.startswith(("!", "/", "{"))
    )
