"""Compiles trees to predicates, and derives weaker trees that need fewer fields and still never exclude a match."""

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import itemgetter
from typing import Any, TypeAlias

from pyrotorque.conditions.nodes import (
    And,
    Choice,
    Node,
    Not,
    Term,
    conjunction,
    disjunction,
    negations_inward,
    terms,
)
from pyrotorque.conditions.operands import (
    AnyFile,
    HasTag,
    Operand,
    Predicate,
    Regex,
    TimePoint,
    UntypedComparison,
    is_empty,
    lower_tags,
)
from pyrotorque.conditions.regexes import RegexTimeout
from pyrotorque.fields.unknown import is_unknown

Items: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Items], bool]


def bind(node: Node, now: float, cost: Callable[[str], int], strict: Collection[str] = ()) -> Check:
    """One closure for the tree at the time `now`; in each group the cheap parts are evaluated first.

    An unknown value of a field in `strict` makes each comparison with it false, and its negation as well: a NOT is
    moved into the terms, where it can be tested (the three-valued logic of Kleene, with "unknown" as no match).
    """
    if strict and any(term.field in strict for term in terms(node)):
        node = negations_inward(node)
    return _bind(node, now, cost, strict)


def _bind(node: Node, now: float, cost: Callable[[str], int], strict: Collection[str]) -> Check:
    if isinstance(node, Term):
        return _bind_term(node, now, node.field in strict)
    if isinstance(node, Not):
        part = _bind(node.part, now, cost, strict)
        return lambda item: not part(item)
    ordered = sorted(node.parts, key=lambda part: cost_of(part, cost))
    parts = tuple(_bind(part, now, cost, strict) for part in ordered)
    return _joined(parts, isinstance(node, And))


def is_match(check: Check, item: Items) -> bool:
    """Whether an item matches; false if a regular expression exceeds its time limit for it."""
    try:
        return bool(check(item))
    except RegexTimeout:
        return False


def matching_items(check: Check, items: Iterable[Items]) -> list[Items]:
    """The items that match: `is_match` for many items without a call for each."""
    found: list[Items] = []
    for item in items:
        try:
            if check(item):
                found.append(item)
        except RegexTimeout:
            continue
    return found


def depends_on_time(node: Node) -> bool:
    """Whether the result for an unchanged item depends on the time."""
    return any(_is_relative(choice.operand) for term in terms(node) for choice in term.choices)


def weakened(node: Node, keep: Callable[[Term, bool], Node | None]) -> Node | None:
    """A tree that is true wherever `node` is, built from what `keep` leaves of its terms; None if nothing is left.

    `keep(term, True)` returns a tree that the term implies, `keep(term, False)` one that implies the term, or None if
    there is none; the direction is reversed below a NOT.
    """
    return _approximate(node, keep, wider=True)


def _approximate(node: Node, keep: Callable[[Term, bool], Node | None], wider: bool) -> Node | None:
    if isinstance(node, Term):
        return keep(node, wider)
    if isinstance(node, Not):
        part = _approximate(node.part, keep, not wider)
        return None if part is None else Not(part)
    parts = [_approximate(part, keep, wider) for part in node.parts]
    known = [part for part in parts if part is not None]
    # In the wider tree None stands for "true", in the narrower one for "false".
    droppable = isinstance(node, And) == wider
    if not known or (not droppable and len(known) < len(parts)):
        return None
    return conjunction(known) if isinstance(node, And) else disjunction(known)


def cost_of(node: Node, cost: Callable[[str], int]) -> int:
    """The highest cost in a tree: 0 plain fields, 1 regular expressions, 2 and more from the fields' own costs."""
    return max(max(2 * cost(term.field), int(any(map(_is_search, term.choices)))) for term in terms(node))


def _is_relative(operand: Operand) -> bool:
    moment = operand.operand if isinstance(operand, UntypedComparison) else operand
    return isinstance(moment, TimePoint) and not isinstance(moment.when, int)


def _is_search(choice: Choice) -> bool:
    return isinstance(choice.operand, (Regex, AnyFile))


def _bind_term(term: Term, now: float, is_strict: bool) -> Check:
    name = term.field
    tests = [_bind_choice(choice, now, is_strict) for choice in term.choices]
    if len(tests) == 1:
        return _bind_single(name, tests[0])
    tags = {choice.operand.tag for choice in term.choices if isinstance(choice.operand, HasTag) and not choice.negated}
    if len(tags) == len(tests) and "" not in tags:
        return lambda item: not tags.isdisjoint(lower_tags(item[name]))

    def one_of(item: Items) -> bool:
        value = item[name]
        return any(test(value) for test in tests)

    return one_of


def _bind_single(name: str, test: Predicate) -> Check:
    """The most common terms without an extra call: `is_open=yes`, `is_ignored=no`, `message=`."""
    if test is bool:
        return itemgetter(name)
    if test is is_empty:
        return lambda item: not item[name]
    return lambda item: test(item[name])


def _bind_choice(choice: Choice, now: float, is_strict: bool) -> Predicate:
    test = choice.operand.bind(now)
    if not choice.negated:
        return test  # no comparison holds for None
    if is_strict:
        return lambda value: not is_unknown(value) and not test(value)
    return lambda value: not test(value)


def _joined(parts: tuple[Check, ...], every: bool) -> Check:
    """All parts, or any, as a balanced tree of closures: faster than a loop, with bounded depth."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    first, second = _joined(parts[:middle], every), _joined(parts[middle:], every)
    if every:
        return lambda item: first(item) and second(item)
    return lambda item: first(item) or second(item)
