"""Finds texts and words of sets that the grammar accepts, but that cannot mean what was typed.

The rule: without quotes, a value has no separator, quote or invisible character at its end, no second operator at its
beginning, and no syntax of patterns but shell patterns; a set has no patterns, a tracker is a whole announce URL, and
the path of data has no `~`.
"""

import re
from collections.abc import Sequence
from typing import Final

from pyrotorque.conditions import words
from pyrotorque.conditions.error_text import Problem, spelling
from pyrotorque.fields.kinds import Kind

_IN_BRACKETS: Final = re.compile(r"([^({]*)[({]([^(){}]*)[)}]([^(){}]*)")
_REGEX_IN_SLASHES: Final = re.compile(r"/(.+)/[a-z]*")
# rTorrent expands `~` in these, unlike in the path of a metafile.
_ABSOLUTE: Final = ("path", "realpath", "directory")
# Extensions and traits never contain these.
_NO_MARKS: Final = re.compile(r"[?.]")


def misread(name: str, kind: Kind, operator: str, values: Sequence[str]) -> Problem:
    """The problem of the values of a text or a set, with a hint; regular expressions are empty."""
    raw = ",".join(values)
    if kind != "tags" and (problem := braces(raw, f"{name}{operator}")):
        return problem
    for index, value in enumerate(values):
        bang, text = ("!", value[1:]) if value.startswith("!") else ("", value)
        head = f"{name}{operator}{bang}"
        if text and (
            problem := (_operator_twice(name, kind, operator, text) if index == 0 else None)
            or _at_the_ends(name, head, text)
            or (_pattern_in_set(name, head, text) if kind == "tags" else _foreign_pattern(name, head, text))
        ):
            return problem
    return None


def braces(text: str, head: str = "") -> Problem:
    """The problem of `*.{mkv,avi}`; `head` is the beginning of the right spelling."""
    is_group = text.count("{") == text.count("}") == 1 and "," in text.partition("{")[2].partition("}")[0]
    if not is_group or not re.search("[*?]", text):
        return None
    return "braces group no patterns", spelling(f"{head}{_listed(text)}")


def alternatives(text: str, head: str = "") -> Problem:
    """The problem of `*linux*|*bsd*` and `*(linux|bsd)*`."""
    if "|" not in text or "*" not in text:
        return None
    return "`|` separates no patterns", spelling(f"{head}{_listed(text)}")


def _listed(text: str) -> str:
    """Alternatives as a list of values."""
    found = _IN_BRACKETS.fullmatch(text)
    if found is None or not re.search("[|,]", found[2]):
        return text.replace("|", ",")
    return ",".join(f"{found[1]}{part}{found[3]}" for part in re.split("[|,]", found[2]))


def regex_problem(text: str, head: str) -> Problem:
    """The problem of a regular expression without slashes."""
    if not words.REGEX_LIKE.search(text) or "," in text:
        return None
    return "a regular expression is written between slashes", spelling(f"{head}/{text}/")


def _operator_twice(name: str, kind: Kind, operator: str, text: str) -> Problem:
    if operator not in ("==", "!=") or not text.startswith("=") or (operator == "!=" and kind == "tags"):
        return None
    return f"`{operator}=` is not an operator", spelling(f"{name}{operator}{text.lstrip('=')}")


def _at_the_ends(name: str, head: str, text: str) -> Problem:
    if text[-1] in ";&|" and len(text) > 1:
        right = f"{head}{text.rstrip(';&|')}"
        return f"`{text[-1]}` separates no terms", f"{spelling(right)}, or the value in quotes"
    if text[0] in words.INVISIBLE or text[-1] in words.INVISIBLE:
        return f"an invisible character in the value of {name}", spelling(f"{head}{text.strip(words.INVISIBLE)}")
    if text[0] == "`" or (text[0] in words.QUOTES and name != "name"):
        inner = text.strip(f"{words.QUOTES}’”»")
        return f"`{text[0]}` does not quote", spelling(f'{head}"{inner}"')
    return None


def _pattern_in_set(name: str, head: str, text: str) -> Problem:
    if found := _REGEX_IN_SLASHES.fullmatch(text):
        right = found[1].replace("|", ",").strip("^$")
        return f"{name} has words, no regular expressions", spelling(f"{head}{right}")
    has_extensions = name in ("kind", "traits") or name.startswith("kind_")
    if "*" not in text and not (has_extensions and _NO_MARKS.search(text)):
        return None
    right = text.strip("*?.")
    if has_extensions:
        right = right.rpartition(".")[2]
    hint = f"{head}{right}" if right else f"{name}=" if head.endswith("!") else f"{name}=!"
    return f"{name} has words, no patterns", spelling(hint)


def _foreign_pattern(name: str, head: str, text: str) -> Problem:
    if problem := alternatives(text, head) or regex_problem(text, head):
        return problem
    if name == "name" and (problem := unclosed_regex(text, head)):
        return problem
    if text.startswith("~") and len(text) > 1 and name in ("message", "alias", "tracker"):
        return "`=~` is not an operator", spelling(f"{name}~{text[1:]}")
    if name in _ABSOLUTE and text.startswith("~/"):
        return f"rTorrent has no `~` in {name}", f"{spelling(f'{head}*{text[1:]}')}, or the whole path"
    if name == "tracker" and "://" not in text and not re.search(r"[*?\[]", text):
        return "tracker is a whole announce URL", f"{spelling(f'{head}*{text}*')}, or use alias"
    return None


def unclosed_regex(text: str, head: str) -> Problem:
    """The problem of a name with a slash at its beginning."""
    if not text.startswith("/") or len(text) == 1:
        return None
    inner = text.strip("/")
    right = f"path={text}" if "/" in inner else f"{head}/{inner}/"
    return "a name has no slash at its beginning, and a regular expression ends with one", spelling(right)
