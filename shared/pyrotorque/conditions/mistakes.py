"""Finds terms that the grammar accepts, but that cannot mean what was typed: most would be patterns for names.

The rule: without quotes or backslashes before its value, a word is no pattern for names if it is a part of a
comparison. That is an operator on its own or split from its field or value by a space, a field and an operator behind a
bracket, `!` or `-` or with another spelling, a field of the kind bool without a value, a bracket that opens no group,
and a term as other languages write it (`foreign_terms`). `name_mistakes` has words that no name is; values are judged
in `value_mistakes`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pyrotorque.conditions import foreign_terms, name_mistakes, words
from pyrotorque.conditions.error_text import Problem, condition_error, for_name, shown, spelling
from pyrotorque.errors import ConditionError
from pyrotorque.fields import field
from pyrotorque.fields.kinds import Kind

_OPERATOR: Final = r"<=|>=|=>|=<|<>|!=|==|=|<|>|~"
_LIKE_OPERATOR: Final = {
    "≤": "<=",
    "≥": ">=",
    "≦": "<=",
    "≧": ">=",
    "⩽": "<=",
    "⩾": ">=",
    "≠": "!=",
    "=>": ">=",
    "=<": "<=",
    ":": "=",
    "＝": "=",
    "＜": "<",
    "＞": ">",
}
_PLAINER: Final = str.maketrans({"¬": "!", **dict.fromkeys("‐‑‒–—−", "-"), **dict.fromkeys(words.INVISIBLE, "")})
_MARKS: Final = re.compile(r"#+|--+|[-+./]")
# A comparison in a word: punctuation that is no syntax, a field, an operator.
_COMPARISON: Final = re.compile(
    rf"(?P<lead>(?:NOT|OR|AND)?[\[({{!+&|-]*)(?P<field>[A-Za-z_][\w.-]*)(?P<operator>{_OPERATOR}|[:≤≥≦≧⩽⩾≠＝＜＞])(?P<value>.*)",
    re.DOTALL | re.ASCII,
)
_SPLIT: Final = re.compile(rf"(?P<operator>{_OPERATOR}|[≤≥≦≧⩽⩾≠＝＜＞])(?P<value>.*)", re.DOTALL)
_PUNCTUATION: Final = re.compile(r"[=<>!~&|(){},;≤≥≦≧⩽⩾≠＝＜＞∧∨¬∈⊻]+")
_QUANTITY: Final = re.compile(r"[+-]?[\d.]+[a-zA-Z]?", re.ASCII)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_IN_QUOTES: Final = re.compile(rf"(^|\s)([!(\[]*)([a-z][a-z_0-9]*)(\s*)({_OPERATOR})", re.ASCII)
_OTHER_OPERATORS: Final = {
    "&": "leave it out: terms are joined by AND",
    "|": "write OR",
    "!": "write [ NOT … ]",
    "∧": "leave it out: terms are joined by AND",
    "∨": "write OR",
    "¬": "write [ NOT … ]",
    "∈": "write FIELD=VALUE,VALUE",
    "(": "groups are written [ … ], with spaces",
    ")": "groups are written [ … ], with spaces",
    "{": "groups are written [ … ], with spaces",
    "}": "groups are written [ … ], with spaces",
    ",": "write the values of a list without spaces: kind=mkv,avi",
    ";": "leave it out: terms are joined by AND",
}


class ConditionWord(NamedTuple):
    """A word of a condition as written, its offset, and whether the word before it belongs to the same group."""

    text: str
    at: int
    follows: bool


def misread_words(text: str, found: Sequence[ConditionWord], kind_of: foreign_terms.Lookup) -> Iterator[ConditionError]:
    """The errors for words that cannot mean what was typed; `kind_of` is None for a name that is no field."""
    for index, word in enumerate(found):
        before = found[index - 1].text if index and word.follows else ""
        after = found[index + 1].text if index + 1 < len(found) and found[index + 1].follows else ""
        problem = _problem(word.text, before, after, kind_of)
        if problem:
            yield condition_error(text, word.at, *problem)


def _problem(word: str, before: str, after: str, kind_of: foreign_terms.Lookup) -> Problem:
    if "\\\n" in word:
        return r"`\` continues no line", "remove it: an indented line continues the condition"
    if words.is_quoted(word):
        return (
            _in_quotes(word) or name_mistakes.escaped_operator(word) or _with_quoted_value(word, before, after, kind_of)
        )
    if words.is_comparison(word):
        return _in_comparison(word, after)
    return (
        _operator_alone(word, before, after)
        or _split_comparison(word, before)
        or _misspelt_comparison(word, kind_of)
        or foreign_terms.problem(word, before, after, kind_of)
        or _bare_field(word, after, kind_of)
        or _bracket(word)
        or _lookalike(word, kind_of)
        or name_mistakes.problem(word, before, after, kind_of)
    )


def _with_quoted_value(word: str, before: str, after: str, kind_of: foreign_terms.Lookup) -> Problem:
    """Quotes in a value say nothing about what is before it: `!tagged="a"` is no name."""
    if words.is_comparison(word):
        return _in_comparison(word, after)
    return (
        _split_comparison(word, before)
        or _comparison_with_marks(word, kind_of)
        or foreign_terms.unequal(word)
        or _lookalike(word, kind_of)
    )


def _operator_alone(word: str, before: str, after: str) -> Problem:
    if _MARKS.fullmatch(word) and (before or after):
        return f"`{word}` stands alone", f"leave it out{for_name(word)}"
    if not _PUNCTUATION.fullmatch(word):
        return None
    operator = _LIKE_OPERATOR.get(word, word)
    if not re.fullmatch(_OPERATOR, operator):
        return f"`{shown(word)}` is not an operator", _OTHER_OPERATORS.get(word[0], "leave it out") + for_name(word)
    value = after if after and not _PUNCTUATION.fullmatch(after) else "…"
    name = before if _IDENTIFIER.fullmatch(before) else "FIELD"
    return f"`{shown(word)}` stands alone", spelling(f"{name}{operator}{value}", word)


def _split_comparison(word: str, before: str) -> Problem:
    if word.startswith(",") and before:
        return "a list has no spaces", spelling(before + word, word)
    found = _SPLIT.match(word)
    if not found:
        return None
    name, operator = before, _LIKE_OPERATOR.get(found["operator"], found["operator"])
    is_name = _IDENTIFIER.fullmatch(before) is not None
    if (
        not is_name
        and not (operator != "~" and _QUANTITY.fullmatch(found["value"]))
        and found["operator"] not in ("!=", "<>")
    ):
        return None
    name = before if is_name else "FIELD"
    return "a comparison has no spaces", spelling(f"{name}{operator}{found['value']}", word)


def _misspelt_comparison(word: str, kind_of: foreign_terms.Lookup) -> Problem:
    return _comparison_with_marks(word, kind_of) or _unbalanced(word)


def _comparison_with_marks(word: str, kind_of: foreign_terms.Lookup) -> Problem:
    """A field with another spelling, or behind brackets, `!` or `-`, and an operator."""
    found = _COMPARISON.fullmatch(word)
    if not found:
        return None
    if found["field"].startswith("custom_") and field(found["field"]) is None:
        return f"`{shown(found['field'])}` is not a field", "a key has letters, digits, _ and -" + for_name(word)
    name = _field_meant(found["field"], found["operator"], found["lead"], kind_of)
    if not name:
        return None
    operator = _LIKE_OPERATOR.get(found["operator"], found["operator"])
    lead, value = found["lead"], found["value"]
    if set(lead) & set("[({"):
        value = value.rstrip("])}")
    right = f"{name}{operator}{value}" if value else f"{name}{operator}…"
    if "NOT" in lead or "!" in lead:
        right = f"[ NOT {right} ]"
    elif set(lead) & set("[({"):
        right = f"[ {right} ]"
    return f"`{shown(word)}` is not a comparison", spelling(right, word)


def _lookalike(word: str, kind_of: foreign_terms.Lookup) -> Problem:
    """A comparison with invisible, typographic or wide characters, as they are pasted from other programs."""
    if word.isascii():
        return None
    import unicodedata  # few words need it

    plain = unicodedata.normalize("NFKC", word).translate(_PLAINER).strip(f"{words.QUOTES}’”»")
    if plain == word:
        return None
    head = words.OPERATOR.match(plain)
    if head is not None and kind_of(head[1]) is not None:
        return f"`{shown(word)}` is not a comparison", spelling(plain, word)
    is_open = head is not None or plain.count("(") != plain.count(")")
    found = None if is_open else _misspelt_comparison(plain, kind_of)
    return None if found is None else (f"`{shown(word)}` is not a comparison", found[1])


def _field_meant(name: str, operator: str, lead: str, kind_of: foreign_terms.Lookup) -> str:
    """The field that a name before an operator is, or was meant to be; empty if it is a part of a pattern."""
    if lead and operator != ":" and _IDENTIFIER.fullmatch(name):
        lower = name.lower()
        return name if kind_of(name) is not None else lower if field(lower) is not None else ""
    if field(name) is not None:
        return name
    meant = re.sub(r"[.-]", "_", name)
    if operator in ("~", ":") or name != name.lower() or (meant.startswith("d_") and not name.startswith("d.")):
        return ""
    return meant if field(meant) is not None else ""


def _unbalanced(word: str) -> Problem:
    """A round or curly bracket that is opened before a word and not closed in it, as for a group."""
    found = re.match(r"(?:NOT|OR|AND)?!*[({]", word)
    if not found or word.count("(") + word.count("{") == word.count(")") + word.count("}"):
        return None
    return f"`{shown(word)}` opens no group", "groups are written [ … ], with spaces" + for_name(word)


def _bare_field(word: str, after: str, kind_of: foreign_terms.Lookup) -> Problem:
    negated = word.startswith("!")
    inner = word.lstrip("![(").rstrip("])")
    kind = _kind_of_bare(inner, kind_of) if _IDENTIFIER.fullmatch(inner) else None
    if kind is None:
        return None
    if inner.startswith("custom_") and not after:
        return f"`{shown(word)}` has no operator", spelling(f"{inner}=!", word)
    if after and (_COMPARISON.fullmatch(after) or _SPLIT.match(after) or _PUNCTUATION.match(after)):
        return None  # an error of the next word
    if after.startswith(":"):
        return f"`{shown(word)}` has no operator", spelling(f"{word}={after.lstrip(':=') or '…'}", word)
    if inner == word and after and not words.has_wildcards(after) and not words.is_comparison(after):
        return f"`{shown(word)}` has no operator", spelling(f"{word}={after}", word)
    if kind == "bool":
        return f"`{shown(word)}` has no value", spelling(f"{inner}={'no' if negated else 'yes'}", word)
    return None


def _kind_of_bare(word: str, kind_of: foreign_terms.Lookup) -> Kind | None:
    """The kind of a field; config.py, which may define more, is only run for a name like those of the kind bool."""
    if word.startswith(("is_", "has_")):
        return kind_of(word)
    known = field(word)
    return known.kind if known is not None else None


def _bracket(word: str) -> Problem:
    if re.fullmatch(r"[\[\]]+", word):
        return "a bracket needs spaces around it", f"write {' '.join(word)}, with a condition in it" + for_name(word)
    if not re.fullmatch(r"!?\[[^\[\]]*\]", word) or not re.search("[*?]", word):
        return None
    inner = word.strip("![]")
    right = f"[ NOT {inner} ]" if word.startswith("!") else f"[ {inner} ]"
    return "a bracket needs spaces around it", spelling(right, word)


def _in_comparison(word: str, after: str) -> Problem:
    head = words.OPERATOR.match(word)
    if head is None:
        return None
    name, operator, value = head[1], head[2], word[head.end() :]
    if after and "\\\n" not in after and not words.is_comparison(after):
        if words.bare_text(words.cells(word, 0))[-1:] == "," == word[-1]:
            return "a list has no spaces", f'write `{word}{after}`, or `{word}""` for a list with the empty text'
        is_text = not (words.has_wildcards(after) or _COMPARISON.fullmatch(after) or _SPLIT.match(after))
        if not value and is_text and not after.startswith(","):
            empty = f', or `{word}""` for the empty text' if operator != "~" else ""
            return "a comparison has no spaces", spelling(word + after) + empty
    if not value and operator == "~":
        return "a value is missing here", f"write `{name}~TEXT`"
    if value.startswith(("“", "„", "«")) and not re.search("[”“»]", value[1:]):
        return f"`{value[0]}` does not quote", f'write `{name}{operator}"…"`' + for_name(value)
    return None


def _in_quotes(word: str) -> Problem:
    """A whole condition in quotes would be one pattern for names."""
    inner = word[1:-1]
    if len(word) < 2 or word[0] not in "\"'" or word[-1] != word[0] or words.is_quoted(inner):
        return None
    for found in _IN_QUOTES.finditer(inner):
        is_term = not found[1] and not found[2] and not found[4]
        if not is_term and field(found[3]) is not None:
            return "a comparison in quotes is a name", "remove the quotes" + for_name(inner)
    return None
