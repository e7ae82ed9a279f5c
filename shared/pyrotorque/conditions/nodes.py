"""A condition as a tree of frozen nodes, and its normal form as text."""

import re
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TypeAlias

from pyrotorque.conditions import words
from pyrotorque.conditions.operands import Duration, HasTag, Number, OnlyTag, Operand, TimePoint, UntypedComparison

# Without quotes or backslashes.
_IN_BRACKETS = re.compile(r"""[(\[{][^"'\\]*[)\]}]""")
_ESCAPED_SLASH = re.compile(r"(!?)\\(/.*[^/]|/)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a list, or its negation."""

    operand: Operand
    negated: bool = False

    def __str__(self) -> str:
        return f"!{self.operand.text}" if self.negated else self.operand.text


@dataclass(frozen=True, slots=True)
class Term:
    """A field and its accepted values; `source` is the original text."""

    field: str
    choices: tuple[Choice, ...]
    source: str = dataclass_field(default="", compare=False)

    def __str__(self) -> str:
        first, *others = self.choices
        if not others:
            return self.field + _single(first, self.field)
        if isinstance(
            first.operand, UntypedComparison
        ):  # only the first value has the operator, which makes it a number
            return f"{self.field}{_single(first, self.field)},{_joined(tuple(others), self.field)}"
        return f"{self.field}={_joined(self.choices, self.field)}"


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts."""

    parts: tuple["Node", ...]

    def __str__(self) -> str:
        return " ".join(f"[ {part} ]" if isinstance(part, Or) else str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the parts."""

    parts: tuple["Node", ...]

    def __str__(self) -> str:
        return " OR ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Not:
    """Not the part."""

    part: "Node"

    def __str__(self) -> str:
        return f"[ NOT {self.part} ]"


Node: TypeAlias = Term | And | Or | Not


def conjunction(parts: list[Node]) -> Node:
    """The parts joined by AND, in one level."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(parts: list[Node]) -> Node:
    """The parts joined by OR, in one level."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negations_inward(node: Node, negated: bool = False) -> Node:
    """An equivalent tree with each NOT moved into the values of the terms."""
    if isinstance(node, Not):
        return negations_inward(node.part, not negated)
    if isinstance(node, Term):
        if not negated:
            return node
        turned = [Term(node.field, (Choice(choice.operand, not choice.negated),)) for choice in node.choices]
        return conjunction(list(turned))
    parts = [negations_inward(part, negated) for part in node.parts]
    return conjunction(parts) if isinstance(node, And) != negated else disjunction(parts)


def terms(node: Node) -> list[Term]:
    """All terms of a tree, from left to right."""
    if isinstance(node, Term):
        return [node]
    if isinstance(node, Not):
        return terms(node.part)
    return [term for part in node.parts for term in terms(part)]


def _single(choice: Choice, field: str) -> str:
    operand = choice.operand.operand if isinstance(choice.operand, UntypedComparison) else choice.operand
    if isinstance(operand, (Number, Duration, TimePoint)) and operand.relation != "=":
        signs = {("<", False): "<", (">", False): ">", (">", True): "<=", ("<", True): ">="}
        return signs[operand.relation, choice.negated] + operand.text[1:]
    if isinstance(operand, OnlyTag) and not choice.negated:
        return f"={operand.text}"
    if isinstance(operand, (Number, Duration, TimePoint, HasTag)):
        return f"!={operand.text}" if choice.negated and operand.text else f"={choice}"
    return f"={_joined((choice,), field)}"


def _joined(choices: tuple[Choice, ...], field: str) -> str:
    """The values with commas; the leading slash of a path is not escaped if it cannot start a regular expression.

    A list that is not quoted reads back only without what is refused as a slip: brackets around it, and, in a word of
    a set, signs between letters.
    """
    values = [str(choice) for choice in choices]
    if len(values) > 1 and _IN_BRACKETS.fullmatch(",".join(values)):
        values[0] = f'"{values[0]}"'
    if field == "name" or any(isinstance(choice.operand, HasTag) for choice in choices):
        return ",".join(values)
    safe, eased = ",".join(values), ",".join(_ESCAPED_SLASH.sub(r"\1\2", value) for value in values)
    same = _shape(eased) == _shape(safe) and not eased.startswith("=") and words.is_balanced(eased)
    return eased if same else safe


def _shape(text: str) -> list[tuple[str, int]]:
    values = words.split_values(words.cells(text, 0))
    return [(words.plain_text(value), words.regex_end(value, words.bangs(value))) for value in values]
