"""Merges configuration files key by key, later files first; a job with another handler inherits no defaults."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pyrotorque.settings.handlers import kind_of
from pyrotorque.settings.ini import DEFAULT_SECTION, Entry, Sections, interpolate
from pyrotorque.settings.problems import Problem, Report

# Sections that are read.
_SECTIONS: Final = ("global", "announce", "traits_by_alias", "torque")
# The beginnings of those that belong to the tools of pyrocore, which reads all its sections from each file.
_OF_PYROCORE: Final = ("formats", "magnet", "stats", "swap", "xmlrpc")


def unread_sections(sections: Sections) -> dict[str, dict[str, Entry]]:
    """The sections with settings that no program reads; their names are in lower case."""
    known = (*_SECTIONS, DEFAULT_SECTION)
    return {
        name: entries
        for name, entries in sections.items()
        if entries and name not in known and not name.startswith(_OF_PYROCORE)
    }


@dataclass(slots=True)
class MergedSections:
    """The sections with all references resolved; `packaged_jobs` are the names of jobs with packaged defaults."""

    global_: dict[str, Entry] = field(default_factory=dict[str, Entry])
    announce: dict[str, Entry] = field(default_factory=dict[str, Entry])
    traits_by_alias: dict[str, Entry] = field(default_factory=dict[str, Entry])
    torque: dict[str, Entry] = field(default_factory=dict[str, Entry])
    packaged_jobs: frozenset[str] = frozenset()


def merge(sources: Iterable[Sections], variables: Mapping[str, str], report: Report) -> MergedSections:
    """`sources` in increasing precedence, packaged defaults first."""
    ordered = list(sources)
    raw: Sections = {}
    for source in ordered:
        for section in (*_SECTIONS, DEFAULT_SECTION):
            raw.setdefault(section, {}).update(source.get(section, {}))
    packaged = ordered[0].get("torque", {})
    names = frozenset(key.split(".")[1] for key in packaged if key.startswith("job."))
    _remove_foreign_defaults(raw["torque"], packaged, names)
    known = dict(variables) | {key: entry.value for key, entry in raw.pop(DEFAULT_SECTION).items()}
    resolved = {section: _resolved(entries, known, report) for section, entries in raw.items()}
    return MergedSections(
        global_=resolved["global"],
        announce=resolved["announce"],
        traits_by_alias=resolved["traits_by_alias"],
        torque=resolved["torque"],
        packaged_jobs=names,
    )


def _remove_foreign_defaults(torque: dict[str, Entry], packaged: Mapping[str, Entry], names: Iterable[str]) -> None:
    """A job with `job.queue.handler = my.jobs:Queue` must not inherit the packaged settings of the queue."""
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
            text = f"%({error.args[0]})s is not a setting of this section; write `%%` for a literal `%`"
            report.problems.append(Problem(entry.file, entry.line, key, text))
            continue
        resolved[key] = replace(entry, value=value)
    return resolved
