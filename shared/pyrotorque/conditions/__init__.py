"""The language that selects items: parsed with a grammar, compiled once, evaluated often."""

from collections.abc import Mapping
from typing import Final

from pyrotorque import fields
from pyrotorque.conditions import grammar, sort_order
from pyrotorque.conditions.condition import Clause, Condition
from pyrotorque.conditions.error_text import condition_error
from pyrotorque.conditions.grammar import Report
from pyrotorque.conditions.sort_order import SortOrder
from pyrotorque.errors import ConditionError
from pyrotorque.fields.effects import HINT, effect_of
from pyrotorque.fields.field import Field
from pyrotorque.fields.kinds import Kind
from pyrotorque.suggestions import nearest
from pyrotorque.tolerance import default_report

__all__ = ["Clause", "Condition", "SortOrder", "parse", "parse_sort", "refuse"]

_NONE: Final[Mapping[str, Field]] = {}


def parse(text: str, *, custom: Mapping[str, Field] = _NONE, tolerate: Report | None = None) -> Condition:
    """Parse a condition; `custom` adds fields, or replaces those of the table.

    Raises ConditionError with a caret at the position of the error, and with a suggestion. What has a meaning, but
    cannot mean what was typed (`prio = 2`), or would change items (`d_stop=1`), is an error as well, or is passed to
    `tolerate` instead: 1.0.0 read it.
    """
    table: dict[str, Field] = {}

    def kind_of(name: str) -> Kind:
        found = table.get(name) or custom.get(name) or fields.field(name)
        if found is None:
            raise grammar.UnknownField(f"there is no field `{name}`", _advice(name, custom))
        table[name] = found
        return found.kind

    report = tolerate or default_report() or refuse
    found = Condition(grammar.read(text, kind_of, report), table)
    for name, each in found.table.items():
        if problem := effect_of(each):
            report(condition_error(text, text.find(name), problem, HINT))
    return found


def refuse(error: ConditionError) -> None:
    """For `tolerate`: raises the error, also in a process that reports such errors only."""
    raise error


def parse_sort(text: str, *, custom: Mapping[str, Field] = _NONE) -> SortOrder:
    """Parse a sort order: fields separated by commas or spaces, with `-` before a field to sort it descending."""

    def find(name: str, text: str, at: int) -> Field:
        found = custom.get(name) or fields.field(name)
        if found is None:
            raise condition_error(text, at, f"there is no field `{name}`", _advice(name, custom))
        return found

    return sort_order.read(text, find)


def _advice(name: str, custom: Mapping[str, Field]) -> str:
    if name.startswith("kind_"):
        return "kind_N takes a share in percent, from kind_0 to kind_100"
    # A config.py that cannot be read may define it.
    if problem := getattr(custom, "problem", ""):
        return f"the fields of config.py are unknown because it cannot be read: {problem}"
    near = nearest(name, {**fields.FIELDS, **custom})
    return f"did you mean `{near}`?" if near else "all fields are listed in docs/conditions.md"
