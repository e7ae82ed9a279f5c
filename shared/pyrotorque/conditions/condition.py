"""A condition: its fields, whether an item matches and why, and which part of it rTorrent can evaluate itself."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyrotorque.conditions import predicates, prefilters
from pyrotorque.conditions.nodes import And, Node, Not, Term, conjunction, terms
from pyrotorque.fields import Field
from pyrotorque.fields.kinds import Value


@dataclass(frozen=True, slots=True)
class Clause:
    """One part of an explanation: the text, the item's value, the result; a group has parts and no field."""

    text: str
    field: str
    value: Value
    verdict: bool
    parts: tuple["Clause", ...] = ()


class Condition:
    """A condition on items, compiled once; conditions are equal if their normal forms are."""

    def __init__(self, node: Node, table: Mapping[str, Field]) -> None:
        self._node = node
        self.table = {name: table[name] for name in {term.field for term in terms(node)}}
        self._strict = frozenset(name for name, each in self.table.items() if each.strict)
        self._depends_on_time = predicates.depends_on_time(node)
        self._bound: tuple[float, Callable[[predicates.Items], bool]] | None = None
        # Of a condition without times, for the next check of its queue.
        self._filters: dict[frozenset[str], tuple[str, ...]] = {}
        self._excluded: dict[tuple[str, object], bool] = {}

    @property
    def fields(self) -> frozenset[str]:
        """The names of all fields that it uses."""
        return frozenset(self.table)

    def at(self, now: float) -> Callable[[predicates.Items], bool]:
        """The predicate at the time `now`, for items that are mappings; efficient for many items.

        The predicate raises `regexes.RegexTimeout` if a regular expression exceeds its time limit.
        """
        if self._bound is None or (self._depends_on_time and self._bound[0] != now):
            self._bound = (now, predicates.bind(self._node, now, self._cost, self._strict))
        return self._bound[1]

    def matches(self, item: Any, now: float) -> bool:
        """Whether an item matches: a mapping, or an object with the fields as attributes.

        An item for which a regular expression exceeds its time limit does not match.
        """
        return predicates.is_match(self.at(now), item if isinstance(item, Mapping) else _Attributes(item))

    def select(self, items: Iterable[Mapping[str, Any]], now: float) -> list[Any]:
        """The items that match, in their order."""
        found = list(items)
        for part in self.parts:
            found = predicates.matching_items(part.at(now), found)
        return found

    def explain(self, item: Any, now: float) -> list[Clause]:
        """Each clause with the item's value and its result, nested like the condition; all at the top must hold."""
        values = item if isinstance(item, Mapping) else _Attributes(item)
        parts = self._node.parts if isinstance(self._node, And) else (self._node,)
        return [self._clause(part, values, now) for part in parts]

    def filters(self, now: float, known: Collection[str] = ()) -> tuple[str, ...]:
        """Filter commands for `d.multicall.filtered` that never exclude a match; empty if there are none.

        The most selective filter is first, its cheaper parts follow. Terms on the fields in `known` are omitted.
        """
        if self._depends_on_time:
            return prefilters.filters(self._node, now, known)
        kept = frozenset(known)
        if kept not in self._filters:
            self._filters[kept] = prefilters.filters(self._node, now, known)
        return self._filters[kept]

    def excludes(self, field: str, value: object, now: float) -> bool:
        """Whether it is certain that no item matches whose `field` has this value."""
        if self._depends_on_time:
            return prefilters.excludes(self._node, field, value, now)
        if (field, value) not in self._excluded:
            self._excluded[field, value] = prefilters.excludes(self._node, field, value, now)
        return self._excluded[field, value]

    @cached_property
    def parts(self) -> "tuple[Condition, ...]":
        """The conditions whose conjunction is this one; the cheapest to evaluate first."""
        if not isinstance(self._node, And):
            return (self,)
        ordered = sorted(self._node.parts, key=lambda node: predicates.cost_of(node, self._cost))
        return tuple(Condition(node, self.table) for node in ordered)

    @cached_property
    def cheap(self) -> "Condition | None":
        """The part of it without fields that need a request per item; itself if there are none."""
        left = self.without(lambda field: bool(field.details))
        return self if left == self else left

    def without(self, unknown: Callable[[Field], bool]) -> "Condition | None":
        """A weaker condition that uses no field for which `unknown` holds; None if nothing is left."""
        node = predicates.weakened(self._node, lambda term, _: None if unknown(self.table[term.field]) else term)
        return None if node is None else Condition(node, self.table)

    def also(self, other: "Condition") -> "Condition":
        """The conjunction of both conditions."""
        return Condition(conjunction([self._node, other._node]), {**self.table, **other.table})

    def __str__(self) -> str:
        return str(self._node)

    def __repr__(self) -> str:
        return f"<Condition {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and self._node == other._node

    def __hash__(self) -> int:
        return hash(self._node)

    def _cost(self, name: str) -> int:
        field = self.table[name]
        return int(field.costly) + ("custom" in field.details)

    def _clause(self, node: Node, values: Mapping[str, Any], now: float) -> Clause:
        # Each group is evaluated as a whole: with a regular expression over its limit it is false, even below NOT.
        verdict = predicates.is_match(predicates.bind(node, now, self._cost, self._strict), values)
        if isinstance(node, Term):
            return Clause(node.source or str(node), node.field, values[node.field], verdict)
        parts = (node.part,) if isinstance(node, Not) else node.parts
        return Clause(str(node), "", None, verdict, tuple(self._clause(part, values, now) for part in parts))


class _Attributes(Mapping[str, Any]):
    """An object's attributes as a mapping."""

    def __init__(self, item: object) -> None:
        self._item = item

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self._item, name)
        except AttributeError:
            raise KeyError(name) from None

    def __iter__(self) -> Any:
        return iter(vars(self._item))

    def __len__(self) -> int:
        return len(vars(self._item))
