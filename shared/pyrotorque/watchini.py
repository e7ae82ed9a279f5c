"""Reads watch.ini files, which set options for the metafiles in a folder of a watched tree and below it.

Such a file may be part of a folder from someone else, so its commands may set and read values, but run nothing.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from pyrotorque.errors import UserError
from pyrotorque.loadcommands import LoadCommand, ValueCommand, compile_command, compile_value
from pyrotorque.settings.ini import Entry, interpolate, parse_ini
from pyrotorque.settings.problems import Problem, Report, SettingsProblems
from pyrotorque.settings.schema import Disposal
from pyrotorque.settings.values import load_mode, truth
from pyrotorque.suggestions import suggestion
from pyrotorque.templates.limits import METAFILE_SECONDS, limited

SIZE_MAX: Final = 65_536
_SETTINGS_MAX: Final = 200
"""Each may be a template, which takes milliseconds to compile."""

# Equal to `settings.schema.Place`, which a running watcher of 1.0.0 does not have when it imports this module.
Place: TypeAlias = Literal["local", "fleet"]
_HEADER: Final = re.compile(r"^\[[^\]\n]+\]", re.MULTILINE)
_DEFAULT_HEADER: Final = "[watch]\n"
_PRIORITIES: Final = {"off": "0", "low": "1", "normal": "2", "high": "3"}
_CUSTOM: Final = re.compile(r"custom(?:([1-5])|\.([A-Za-z0-9_.-]+))")
_COMMAND: Final = re.compile(r"cmd\.([A-Za-z0-9_.-]+)")
_KEYS: Final = (
    *("load_mode", "queued", "priority", "target", "on_loaded", "place"),
    *("cmd.NAME", "custom.KEY", "custom1"),
)
# What others may choose for the metafiles in a folder; custom1 is the label.
_UNTRUSTED_KEYS: Final = ("load_mode", "queued", "priority", "custom1")

FolderCommand: TypeAlias = LoadCommand | ValueCommand


@dataclass(frozen=True, slots=True)
class Overrides:
    """The options that are set; for None and absent keys the folders above and the job decide.

    `commands` are `cmd.NAME` as text, to be merged with those of the job; an empty text removes a command.
    `values` are the commands for priority, target and custom values, by their keys.
    """

    load_mode: str | None = None
    queued: bool | None = None
    on_loaded: Disposal | None = None
    place: Place | None = None
    commands: Mapping[str, str] = field(default_factory=dict[str, str])
    values: Mapping[str, FolderCommand] = field(default_factory=dict[str, FolderCommand])

    def below(self, outer: "Overrides") -> "Overrides":
        """These options on top of those of the folder above."""
        return Overrides(
            load_mode=outer.load_mode if self.load_mode is None else self.load_mode,
            queued=outer.queued if self.queued is None else self.queued,
            on_loaded=outer.on_loaded if self.on_loaded is None else self.on_loaded,
            place=outer.place if self.place is None else self.place,
            commands={**outer.commands, **self.commands},
            values={**outer.values, **self.values},
        )


def inherited(*levels: Overrides) -> Overrides:
    """The options of a folder whose watch.ini is the last of `levels`, the outermost folder first."""
    return reduce(lambda outer, inner: inner.below(outer), levels, Overrides())


def parse(text: str, *, file: str = "watch.ini", templates: Path | None = None, distrust: str = "") -> Overrides:
    """The options in a watch.ini; section headers are allowed and ignored.

    With `distrust`, the reason why others may have written it, only load mode, queue, label and priority are allowed.
    Every template and command in it is checked. Raises SettingsError (SettingsProblems) with all errors.
    """
    with limited(METAFILE_SECONDS):
        return _parsed(text, file, templates, distrust)


def _parsed(text: str, file: str, templates: Path | None, distrust: str) -> Overrides:
    report = Report()
    headed = bool(_HEADER.search(text))
    sections = parse_ini(text if headed else _DEFAULT_HEADER + text, file, report)
    shift = 0 if headed else 1
    found = Overrides()
    settings = [(key, entry) for section in sections.values() for key, entry in section.items()]
    if len(settings) > _SETTINGS_MAX:
        raise SettingsProblems([Problem(file, 0, "", f"has {len(settings)} settings, the limit is {_SETTINGS_MAX}")])
    for key, entry in settings:
        try:
            if distrust and key not in _UNTRUSTED_KEYS:
                raise ValueError(f"is not allowed in this file, as {distrust}: only {', '.join(_UNTRUSTED_KEYS)} are")
            found = _with(found, key, _plain(entry), templates)
        except (ValueError, UserError) as error:
            report.problems.append(Problem(file, entry.line, key, str(error)))
    if shift:
        report.problems = [replace(problem, line=max(0, problem.line - shift)) for problem in report.problems]
    report.raise_if_any()
    return found


def _plain(entry: Entry) -> str:
    """The value with `%%` as percent sign; `%(field)s` stays for the template."""
    return interpolate(entry.value, _Untouched())


class _Untouched(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"%({name})s"


def _with(found: Overrides, key: str, text: str, templates: Path | None) -> Overrides:
    if setter := _SETTERS.get(key):
        return setter(found, text)
    if text.startswith("file:"):
        raise ValueError("file: is not allowed in a watch.ini, as it could reveal any of your files")
    if named := _COMMAND.fullmatch(key):
        if text:
            compile_command(named[1], text, templates=templates, restricted=True)
        return replace(found, commands={**found.commands, named[1]: text})
    return replace(found, values={**found.values, key: _value(key, text, templates)})


def _value(key: str, text: str, templates: Path | None) -> FolderCommand:
    if key == "priority":
        level = _PRIORITIES.get(text.lower(), text)
        return compile_value(key, "d.priority.set", (), level, templates=templates)
    if key == "target":
        return compile_value(key, "d.custom.set", ("targetdir",), _absolute(text), templates=templates)
    custom = _CUSTOM.fullmatch(key)
    if custom is None:
        raise ValueError(f"is not an option of watch.ini{suggestion(key, _KEYS)}; there are {', '.join(_KEYS)}")
    if custom[1]:
        return compile_value(key, f"d.custom{custom[1]}.set", (), text, templates=templates)
    return compile_value(key, "d.custom.set", (custom[2],), text, templates=templates)


def _absolute(text: str) -> str:
    """`~/` is the home of the service's user, as everywhere: rTorrent may have another one."""
    if text.startswith("{{"):
        return text
    expanded = os.path.expanduser(text)
    if not expanded.startswith("/"):
        raise ValueError(f"expected an absolute path, got {text!r}")
    return expanded


def _set_on_loaded(found: Overrides, text: str) -> Overrides:
    for disposal in get_args(Disposal):
        if text.lower() == disposal:
            return replace(found, on_loaded=disposal)
    raise ValueError(f"expected one of {', '.join(get_args(Disposal))}, got {text!r}")


def _set_place(found: Overrides, text: str) -> Overrides:
    for place in get_args(Place):
        if text.lower() == place:
            return replace(found, place=place)
    raise ValueError(f"expected one of {', '.join(get_args(Place))}, got {text!r}")


_SETTERS: Final[Mapping[str, Callable[[Overrides, str], Overrides]]] = {
    "load_mode": lambda found, text: replace(found, load_mode=load_mode(text)),
    "queued": lambda found, text: replace(found, queued=truth(text)),
    "on_loaded": _set_on_loaded,
    "place": _set_place,
}
