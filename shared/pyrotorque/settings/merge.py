"""Files laid over each other: the later one wins key by key, and a job of another handler inherits nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pyrotorque.settings.handlers import kind_of
from pyrotorque.settings.ini import DEFAULT_SECTION, Entry, Sections, interpolate
from pyrotorque.settings.problems import Problem, Report

# Sections whose text is ours; all others (formats, themes, InfluxDB, …) belong to the tools of pyrocore.
_OURS: Final = ("global", "announce", "traits_by_alias", "torque")


@dataclass(slots=True)
class Merged:
    """The sections that matter, resolved; `packaged_jobs` are the names that have packaged defaults."""

    global_: dict[str, Entry] = field(default_factory=dict[str, Entry])
    announce: dict[str, Entry] = field(default_factory=dict[str, Entry])
    traits_by_alias: dict[str, Entry] = field(default_factory=dict[str, Entry])
    torque: dict[str, Entry] = field(default_factory=dict[str, Entry])
    packaged_jobs: frozenset[str] = frozenset()


def merge(sources: Iterable[Sections], variables: Mapping[str, str], report: Report) -> Merged:
    """`sources` from the weakest (the packaged defaults) to the strongest."""
    ordered = list(sources)
    raw: Sections = {}
    for source in ordered:
        for section in (*_OURS, DEFAULT_SECTION):
            raw.setdefault(section, {}).update(source.get(section, {}))
    packaged = ordered[0].get("torque", {})
    names = frozenset(key.split(".")[1] for key in packaged if key.startswith("job."))
    _forget_foreign_defaults(raw["torque"], packaged, names)
    known = dict(variables) | {key: entry.value for key, entry in raw.pop(DEFAULT_SECTION).items()}
    resolved = {section: _resolved(entries, known, report) for section, entries in raw.items()}
    return Merged(
        global_=resolved["global"],
        announce=resolved["announce"],
        traits_by_alias=resolved["traits_by_alias"],
        torque=resolved["torque"],
        packaged_jobs=names,
    )


def _forget_foreign_defaults(torque: dict[str, Entry], packaged: Mapping[str, Entry], names: Iterable[str]) -> None:
    """A user's `job.queue.handler = my.jobs:Queue` must not get settings of ours."""
    for name in names:
        handler = f"job.{name}.handler"
        if kind_of(torque[handler].value)[0] is not kind_of(packaged[handler].value)[0]:
            prefix = f"job.{name}."
            for key in [key for key in torque if key.startswith(prefix) and torque[key] is packaged.get(key)]:
                del torque[key]


def _resolved(entries: dict[str, Entry], known: Mapping[str, str], report: Report) -> dict[str, Entry]:
    variables = {key: entry.value for key, entry in entries.items()} | dict(known)
    resolved: dict[str, Entry] = {}
    for key, entry in entries.items():
        try:
            value = interpolate(entry.value, variables)
        except KeyError as error:
            said = f"%({error.args[0]})s names no setting of this section; a `%` that is meant as such is written `%%`"
            report.problems.append(Problem(entry.file, entry.line, key, said))
            continue
        resolved[key] = replace(entry, value=_at_home(value))
    return resolved


def _at_home(value: str) -> str:
    return str(Path.home() / value[2:]) if value.startswith("~/") else value
