"""The part of a condition that rTorrent evaluates itself, as a filter command for `d.multicall.filtered`.

rTorrent parses the filter again for each item, so a filter is kept short: a bare command (`d.complete=`, true if it is
not 0 and not empty) costs about as much as a field of the result, a comparison three times that. A filter only contains
what the condition implies, and of that the few most selective parts within a budget, the cheapest first;
`pyrotorque.items` measures which of them pay off:

- if a term cannot hold for the zero value of its field (no, 0, the empty text), the field's command must be true;
- if it holds for the zero value only, the command must be false;
- sizes, counts and ratios are compared as whole numbers, a hash as text; other texts and times are not compared.
"""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pyrotorque.conditions import regexes
from pyrotorque.conditions.nodes import And, Choice, Node, Or, Term, negations_inward
from pyrotorque.conditions.operands import Glob, Number, Operand, TimePoint
from pyrotorque.fields.kinds import Tags

BUDGET: Final = 6
_BARE, _COMPARED = 1, 3
_WHOLE_MAX: Final = 1 << 62

# Fields whose value is zero exactly if their command's is; the most selective first.
_BARE_COMMANDS: Final[dict[str, tuple[str, Any]]] = {
    "is_complete": ("d.complete=", False),
    "is_wanted_done": ("d.is_partially_done=", False),
    "prio": ("d.priority=", 0),
    "is_check_failed": ("d.hashing_failed=", False),
    "message": ("d.message=", ""),
    "down": ("d.down.rate=", 0),
    "up": ("d.up.rate=", 0),
    "is_active": ("d.is_active=", False),
    "is_open": ("d.is_open=", False),
    "done": ("d.completed_chunks=", 0.0),
    "is_private": ("d.is_private=", False),
    "is_multi_file": ("d.is_multi_file=", False),
    "uploaded": ("d.up.total=", 0),
    "metafile": ("d.tied_to_file=", ""),
    "tagged": ("d.custom=tags", Tags()),
    "is_ignored": ("d.ignore_commands=", False),
}
# Fields that are 0 only if their command is: `started` prefers the time that the rTorrent include records.
_TIME_COMMANDS: Final = {
    "started": "d.timestamp.started=",
    "completed": "d.timestamp.finished=",
    "loaded": "d.load_date=",
}
# Whole numbers in rTorrent, with the factor between its number and the field's.
_COMPARABLE: Final = {
    "size": ("d.size_bytes=", 1),
    "fno": ("d.size_files=", 1),
    "ratio": ("d.ratio=", 1000),
    "prio": ("d.priority=", 1),
}
# Stored in each item's session data, scattered over rTorrent's memory: 1.5 to 2 µs per item slower than others.
_SLOW_COMMANDS: Final = (
    "d.complete=",
    "d.priority=",
    "d.tied_to_file=",
    "d.custom",
    "d.ignore_commands=",
    "d.timestamp.",
)
_RANKS: Final = {name: rank for rank, name in enumerate(_BARE_COMMANDS)}


@dataclass(frozen=True, slots=True)
class _FilterPart:
    """A filter command, its cost, its rank, and its field if it is only one."""

    command: str
    cost: int
    rank: int
    field: str = ""


_FilterParts: TypeAlias = list[_FilterPart]


def filters(node: Node, now: float, known: Collection[str] = ()) -> tuple[str, ...]:
    """Filters that pass every item for which `node` can hold at `now`: all parts together, then each part alone.

    Terms on the fields in `known` are omitted: the caller has already ensured them.
    """
    parts = _affordable([part for part in _parts(negations_inward(node), now) if part.field not in known])
    if len(parts) < 2:
        return tuple(part.command for part in parts)
    return (_group("and", parts), *(part.command for part in parts))


def excludes(node: Node, field: str, value: object, now: float) -> bool:
    """Whether the node certainly holds for no item whose `field` has this value."""
    turned = negations_inward(node)
    parts = turned.parts if isinstance(turned, And) else (turned,)
    return any(isinstance(part, Term) and part.field == field and not _holds(part, value, now) for part in parts)


def _parts(node: Node, now: float) -> _FilterParts:
    """Filters that hold for every item that matches the node, in any order."""
    if isinstance(node, Term):
        found = _term_part(node, now)
        return [found] if found else []
    if isinstance(node, And):
        return [part for each in node.parts for part in _parts(each, now)]
    assert isinstance(node, Or), "negations are inside of the terms"
    sides = [_affordable(_parts(each, now)) for each in node.parts]
    if not all(sides):
        return []
    cost = _BARE + sum(part.cost for side in sides for part in side)
    rank = max(part.rank for side in sides for part in side)
    return [_FilterPart(_group("or", [_FilterPart(_group("and", side), 0, 0) for side in sides]), cost, rank)]


def _affordable(parts: _FilterParts) -> _FilterParts:
    """The most selective parts within the budget, fast ones first: rTorrent's `and` stops at the first false one."""
    chosen: _FilterParts = []
    for part in sorted(dict.fromkeys(parts), key=lambda part: (part.rank, part.cost)):
        if sum(each.cost for each in chosen) + part.cost <= BUDGET:
            chosen.append(part)
    return sorted(chosen, key=lambda part: any(name in part.command for name in _SLOW_COMMANDS))


def _term_part(term: Term, now: float) -> _FilterPart | None:
    name = term.field
    rank = _RANKS.get(name, len(_RANKS))
    command, cost = _bare_command(term, now), _BARE
    if name in _COMPARABLE and (not command or not _only_compares_zero(term)):
        command, cost = _comparison(term, *_COMPARABLE[name]) or command, _COMPARED
    elif name == "hash":
        command, cost, rank = _hash_comparison(term), _COMPARED, -1
    elif name in _TIME_COMMANDS:
        command = f"not=${_TIME_COMMANDS[name]}" if _only_zero(term, TimePoint) else ""
    return _FilterPart(command, cost, rank, name) if command else None


def _bare_command(term: Term, now: float) -> str:
    """The field's command, or its negation, if the term implies it; else empty."""
    command, zero = _BARE_COMMANDS.get(term.field) or _custom(term.field) or ("", None)
    if not command:
        return ""
    if not _holds(term, zero, now):
        return command
    if zero is False and not _holds(term, True, now):
        return f"not=${command}"
    if (zero == "" and _only_empty(term)) or (zero == 0 and zero is not False and _only_zero(term, Number)):
        return f"not=${command}"
    return ""


def _only_compares_zero(term: Term) -> bool:
    """Whether a number is only compared with zero: the bare command is then as selective as a comparison."""
    return all(isinstance(choice.operand, Number) and choice.operand.value == 0 for choice in term.choices)


def _custom(name: str) -> tuple[str, str] | None:
    """The command of a custom value and its zero value."""
    key = name.removeprefix("custom_")
    if key == name:
        return None
    return (f"d.custom{key}=" if key in "12345" else f"d.custom={key}"), ""


def _holds(term: Term, value: object, now: float) -> bool:
    """Whether the term can hold for this value; true if that is uncertain."""
    try:
        return any(bool(choice.operand.bind(now)(value)) != choice.negated for choice in term.choices)
    except (regexes.RegexTimeout, TypeError, ValueError):
        return True


def _only_empty(term: Term) -> bool:
    return all(choice == Choice(Glob("")) for choice in term.choices)


def _only_zero(term: Term, kind: type[Operand]) -> bool:
    """Whether every choice is `=0` or `<=0`: numbers are never negative, times that were never set are 0."""
    return all(isinstance(choice.operand, kind) and _is_zero(choice) for choice in term.choices)


def _is_zero(choice: Choice) -> bool:
    operand = choice.operand
    if not isinstance(operand, (Number, TimePoint)):
        return False
    limit = operand.value if isinstance(operand, Number) else operand.when
    return limit == 0 and (operand.relation, choice.negated) in (("=", False), (">", True))


def _comparison(term: Term, command: str, factor: int) -> str:
    """A comparison of whole numbers, widened by one if the field is a fraction of rTorrent's number."""
    if len(term.choices) != 1 or not isinstance(term.choices[0].operand, Number):
        return ""
    operand, negated = term.choices[0].operand, term.choices[0].negated
    limit, slack = operand.value * factor, 0 if factor == 1 else 1
    if limit >= _WHOLE_MAX:
        return ""
    if operand.relation == "=":
        return "" if negated or slack or limit != int(limit) else f"equal={command},value={int(limit)}"
    if operand.relation == ">":
        if negated:
            return f"less={command},value={math.floor(limit) + 1 + slack}"
        return f"greater={command},value={math.floor(limit) - slack}"
    if negated:
        return f"greater={command},value={math.ceil(limit) - 1 - slack}"
    return f"less={command},value={math.ceil(limit) + slack}"


def _hash_comparison(term: Term) -> str:
    if len(term.choices) != 1 or term.choices[0].negated or not isinstance(term.choices[0].operand, Glob):
        return ""
    pattern = term.choices[0].operand.pattern.upper()
    return f"equal=d.hash=,cat={pattern}" if re.fullmatch(r"[0-9A-F]{40}", pattern) else ""


def _group(name: str, parts: _FilterParts) -> str:
    if len(parts) == 1:
        return parts[0].command
    return f"{name}={{{','.join(_argument(part.command) for part in parts)}}}"


def _argument(command: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.=$]+", command):
        return command
    escaped = command.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
