"""Reads the settings of one part of the group, such as `fleet.*` or `panel.*`."""

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import msgspec

from pyrotorque.settings.ini import Entry
from pyrotorque.settings.problems import Problem, Report
from pyrotorque.suggestions import suggestion


def read_values(
    kind: type[msgspec.Struct],
    prefix: str,
    entries: Mapping[str, Entry],
    convert: Callable[[str, str, Any], Any],
    report: Report,
) -> dict[str, Any]:
    """The values of the fields of `kind` that `entries` set, by name without `prefix`; empty ones are left out.

    `convert(name, text, type)` raises ValueError for a wrong value. Problems are added to `report`.
    """
    known = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, entry in entries.items():
        if name not in known:
            text = f"is not a setting of the {prefix.rstrip('.')}"
            text += suggestion(prefix + name, [prefix + each for each in known])
            report.problems.append(Problem(entry.file, entry.line, prefix + name, text))
        elif entry.value.strip():
            try:
                values[name] = convert(name, entry.value.strip(), known[name])
            except ValueError as error:
                report.problems.append(Problem(entry.file, entry.line, prefix + name, str(error)))
    return values
