"""Trees as predicates, and weaker trees that ask less and still never exclude a match."""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, TypeAlias

from pyrotorque.conditions.nodes import And, Choice, Node, Not, Term, conjunction, disjunction, terms
from pyrotorque.conditions.operands import AnyFile, Loose, Member, Moment, Operand, Predicate, Regex, is_empty, lowered
from pyrotorque.conditions.regexes import Undecided

Items: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Items], bool]


def bind(node: Node, now: float, cost: Callable[[str], int]) -> Check:
    """One closure for the tree at the moment `now`; in each group the cheap parts are asked first."""
    if isinstance(node, Term):
        return _bind_term(node, now)
    if isinstance(node, Not):
        part = bind(node.part, now, cost)
        return lambda item: not part(item)
    ordered = sorted(node.parts, key=lambda part: cost_of(part, cost))
    parts = tuple(bind(part, now, cost) for part in ordered)
    return _joined(parts, isinstance(node, And))


def decided(check: Check, item: Items) -> bool:
    """The verdict of a closure on an item; one for which a regular expression takes too long does not match."""
    try:
        return bool(check(item))
    except Undecided:
        return False


def deciding(check: Check, items: Iterable[Items]) -> list[Items]:
    """The items for which a closure is decided and true: `decided` for many, without a call for each."""
    found: list[Items] = []
    for item in items:
        try:
            if check(item):
                found.append(item)
        except Undecided:
            continue
    return found


def moves(node: Node) -> bool:
    """Whether the verdict on an item can change by the clock alone."""
    return any(_is_relative(choice.operand) for term in terms(node) for choice in term.choices)


def weakened(node: Node, keep: Callable[[Term, bool], Node | None]) -> Node | None:
    """A tree that holds wherever `node` does, made of what `keep` leaves of its terms; None when nothing is left.

    `keep(term, True)` returns a tree implied by the term, `keep(term, False)` one that implies it, or None where it
    has none to offer: below a NOT the direction turns.
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
    """The dearest thing that a tree asks: 0 plain, 1 regular expressions, 2 and more as the fields say."""
    return max(max(2 * cost(term.field), int(any(map(_is_search, term.choices)))) for term in terms(node))


def _is_relative(operand: Operand) -> bool:
    moment = operand.operand if isinstance(operand, Loose) else operand
    return isinstance(moment, Moment) and not isinstance(moment.when, int)


def _is_search(choice: Choice) -> bool:
    return isinstance(choice.operand, (Regex, AnyFile))


def _bind_term(term: Term, now: float) -> Check:
    name = term.field
    tests = [_bind_choice(choice, now) for choice in term.choices]
    if len(tests) == 1:
        return _bind_single(name, tests[0])
    tags = {choice.operand.tag for choice in term.choices if isinstance(choice.operand, Member) and not choice.negated}
    if len(tags) == len(tests) and "" not in tags:
        return lambda item: not tags.isdisjoint(lowered(item[name]))

    def one_of(item: Items) -> bool:
        value = item[name]
        return any(test(value) for test in tests)

    return one_of


def _bind_single(name: str, test: Predicate) -> Check:
    """The commonest terms without a call in between: `is_open=yes`, `is_ignored=no`, `message=`."""
    if test is bool:
        return itemgetter(name)
    if test is is_empty:
        return lambda item: not item[name]
    return lambda item: test(item[name])


def _bind_choice(choice: Choice, now: float) -> Predicate:
    test = choice.operand.bind(now)
    return (lambda value: not test(value)) if choice.negated else test


def _joined(parts: tuple[Check, ...], every: bool) -> Check:
    """All parts, or any, as a balanced tree of closures: faster than a loop, and never deep."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    first, second = _joined(parts[:middle], every), _joined(parts[middle:], every)
    if every:
        return lambda item: first(item) and second(item)
    return lambda item: first(item) or second(item)
