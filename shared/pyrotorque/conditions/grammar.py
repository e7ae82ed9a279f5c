"""The grammar of conditions: words, AND by juxtaposition, OR, brackets, and NOT at the start of a group."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, TypeAlias

from pyrotorque.conditions import mistakes, value_mistakes, words
from pyrotorque.conditions.error_text import condition_error
from pyrotorque.conditions.nodes import Choice, Node, Not, Term, conjunction, disjunction
from pyrotorque.conditions.operands import Flag, Relation
from pyrotorque.conditions.values import ORDERED, InvalidValue, RawValue, operand
from pyrotorque.errors import ConditionError
from pyrotorque.fields.kinds import Kind
from pyrotorque.light_imports import placeholders

# 2 MiB: a cache of grammars and a package of regular expressions, which Lark uses only where asked to.
with placeholders("hashlib", absent=["regex"]):
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

LENGTH_MAX: Final = 65_536
DEPTH_MAX: Final = 64
GRAMMAR: Final = r"""
    ?start: group
    ?group: NOT alternatives -> negation
          | alternatives
    ?alternatives: run (_OR run)*
    ?run: part+
    ?part: WORD | _OPEN group _CLOSE

    NOT.2: /NOT(?=\s|$)/
    _OR.2: /OR(?=\s|$)/
    _OPEN.2: /\[(?=\s|$)/
    _CLOSE.2: /\](?=\s|$)/
    WORD: /(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/s
    %ignore /\s+/
"""
_RELATIONS: Final[dict[str, tuple[bool, Relation | None]]] = {
    "=": (False, None),
    "==": (False, None),
    "~": (False, None),
    "!=": (True, "="),
    "<>": (True, "="),
    "<": (False, "<"),
    ">": (False, ">"),
    "<=": (True, ">"),
    ">=": (True, "<"),
}

KindOf = Callable[[str], Kind]
Report: TypeAlias = Callable[[ConditionError], None]


class UnknownField(Exception):
    """No field has this name; the arguments are the error text and a hint."""


@dataclass(frozen=True, slots=True)
class _Source:
    text: str
    kind_of: KindOf
    mistake: Report


def read(text: str, kind_of: KindOf, mistake: Report) -> Node:
    """The tree of a condition; `kind_of` returns the kind of a field or raises UnknownField.

    `mistake` gets an error for each term that has a meaning, but cannot mean what was typed.
    """
    if len(text) > LENGTH_MAX:
        raise condition_error(
            text, LENGTH_MAX, f"a condition may have at most {LENGTH_MAX} characters, got {len(text)}"
        )
    try:
        tokens = list(_parser().lex(text))
    except UnexpectedCharacters as error:
        raise _bad_character(text, error.pos_in_stream or 0) from None
    for token in tokens:
        if token.type == "WORD":
            _check_spelling(token, text, token.start_pos or 0)
    _check_depth(text, tokens)
    if not tokens:
        raise condition_error(text, 0, "there is no condition here", "`*` matches every item")
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        raise _misplaced(text, tokens, error.token) from None
    source = _Source(text, kind_of, mistake)
    node = _node(tree, source)
    for misread in mistakes.misread_words(text, _words_of(tokens), partial(_kind_or_none, kind_of)):
        mistake(misread)
    return node


def _words_of(tokens: list[Token]) -> list[mistakes.ConditionWord]:
    found: list[mistakes.ConditionWord] = []
    before = ""
    for token in tokens:
        if token.type == "WORD":
            found.append(mistakes.ConditionWord(str(token), token.start_pos or 0, before == "WORD"))
        before = token.type
    return found


def _kind_or_none(kind_of: KindOf, name: str) -> Kind | None:
    try:
        return kind_of(name)
    except UnknownField:
        return None


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="basic", maybe_placeholders=False)


def _node(tree: Tree[Token] | Token, source: _Source) -> Node:
    if isinstance(tree, Token):
        return _term(tree, source)
    if tree.data == "negation":
        return Not(_node(tree.children[1], source))
    parts = [_node(child, source) for child in tree.children]
    return conjunction(parts) if tree.data == "run" else disjunction(parts)


def _term(token: Token, source: _Source) -> Term:
    text, begin = source.text, token.start_pos or 0
    found = words.cells(str(token), begin)
    head = words.OPERATOR.match(words.bare_text(found))
    name, operator = (head[1], head[2]) if head else ("name", "=")
    try:
        kind = source.kind_of(name)
    except UnknownField as error:
        raise condition_error(text, begin, *error.args) from None
    choices: dict[Choice, None] = {}  # an ordered set: repeated values are one
    position = head.end() if head else 0
    values = words.split_values(found[position:])
    for number, value in enumerate(values):
        at = found[position].at if position < len(found) else begin + len(token)
        position += len(value) + 1
        try:
            choice = _choice(kind, name, operator if number == 0 else "=", value)
        except InvalidValue as error:
            raise condition_error(text, error.at or at, f"{name}: {error}", error.hint) from None
        choices[choice] = None
    plain = [words.plain_text(each) for each in values]
    if head and (problem := value_mistakes.impossible_tags(name, operator, plain)):
        source.mistake(condition_error(text, begin, *problem))
    elif head and not words.is_quoted(str(token)):
        can_be_regex = kind != "tags" and operator != "~"
        is_regex = [can_be_regex and words.regex_end(value, words.bangs(value)) > 0 for value in values]
        texts = ["" if each else value for each, value in zip(is_regex, plain, strict=True)]
        if problem := value_mistakes.misread_values(name, kind, operator, texts, tuple(choices)):
            source.mistake(condition_error(text, begin, *problem))
    return Term(name, tuple(choices), str(token))


def _choice(kind: Kind, name: str, operator: str, value: list[words.Cell]) -> Choice:
    negated, relation = _RELATIONS[operator]
    if operator in ("<", ">", "<=", ">=") and kind not in ORDERED:
        raise InvalidValue(f"`{operator}` needs numbers, and this field is of the kind {kind}", "use = or !=")
    if operator == "~" and kind not in ("text", "files", "any"):
        raise InvalidValue(f"`~` needs a text, and this field is of the kind {kind}", "use = or !=")
    if operator == "==" and kind in ("text", "files", "any"):
        raise InvalidValue("`==` is for sets", f"write {name}=… to match the whole text")
    if operator == "==" and kind == "tags":
        value = [words.Cell("=", False, value[0].at if value else 0), *value]
    bang = bool(value) and value[0][:2] == ("!", False)
    if bang and (operator not in ("=", "==") or (len(value) > 1 and value[1][:2] == ("!", False))):
        raise InvalidValue("negated twice", r"write `\!` for an exclamation mark that is part of the text")
    written = RawValue(value[1:] if bang else value, relation, operator == "~")
    found = operand(kind, written)
    if isinstance(found, Flag):  # `!yes` is `no`: the normal form has one spelling for both
        return Choice(Flag(found.value != (negated != bang)))
    return Choice(found, negated != bang)


def _check_spelling(token: Token, text: str, begin: int) -> None:
    """Reject bare words that look like operators but are not; pyrocore and pyrosimple treated them as names."""
    word = str(token)
    if words.is_quoted(word):
        return
    if word.lower() in ("or", "not", "and"):
        advice = {
            "or": "write OR in upper case",
            "not": "write [ NOT … ]",
            "and": "leave it out: terms are joined by AND",
        }
        raise condition_error(
            text,
            begin,
            f"`{word}` is not an operator",
            f"{advice[word.lower()]}; for an item of that name: name={word}",
        )
    if words.begins_group(word):
        raise condition_error(text, begin + 1, "a bracket needs a space after it", f"write `{word[0]} {word[1:]}`")
    if words.ends_group(word):
        raise condition_error(
            text, begin + len(word) - 1, "a bracket needs a space before it", f"write `{word[:-1]} ]`"
        )


def _check_depth(text: str, tokens: list[Token]) -> None:
    open_at: list[int] = []
    for token in tokens:
        if token.type == "_OPEN":
            open_at.append(token.start_pos or 0)
        elif token.type == "_CLOSE":
            if not open_at:
                raise condition_error(
                    text, token.start_pos or 0, "`]` closes nothing", "remove it, or open a group with `[`"
                )
            open_at.pop()
        if len(open_at) > DEPTH_MAX:
            raise condition_error(text, open_at[-1], f"brackets may be nested at most {DEPTH_MAX} deep")
    if open_at:
        raise condition_error(text, open_at[-1], "`[` is never closed", "add ` ]`")


def _bad_character(text: str, at: int) -> Exception:
    if text[at] == "\\":
        return condition_error(text, at, "a backslash at the end escapes nothing", r"write `\\` for a backslash")
    return condition_error(text, at, f"the quote {text[at]} is never closed", f"add {text[at]}")


def _misplaced(text: str, tokens: list[Token], wrong: Token) -> Exception:
    at_end = wrong.type == "$END"
    index = len(tokens) if at_end else next(i for i, each in enumerate(tokens) if each.start_pos == wrong.start_pos)
    at = len(text) if at_end else tokens[index].start_pos or 0
    before = tokens[index - 1] if index else None
    if wrong.type == "NOT" and not at_end:
        hint = "NOT negates a whole group and must be first in it: write [ NOT … ]"
        return condition_error(text, at, "NOT in the middle of a group", hint)
    if before is not None and before.type == "NOT":
        return condition_error(text, at, "NOT has nothing after it", "write [ NOT … ]")
    if before is not None and before.type == "_OR":
        return condition_error(text, before.start_pos or 0, "OR has nothing on its right side")
    if wrong.type == "_OR" and not at_end:
        return condition_error(text, at, "OR has nothing on its left side")
    return condition_error(text, at, "a group is empty", "write a condition between `[` and `]`")
