"""Converts the settings of one job to its struct, including names used by earlier daemons."""

from collections.abc import Mapping
from typing import Any, Final, cast, get_origin

import msgspec

from pyrotorque.settings.handlers import (
    ALIASES,
    DROPPED,
    IGNORED,
    NEEDS_OWNER,
    NOTIFY,
    PATHS,
    PROBLEMS,
    RETIRED,
    Kind,
    handler_class,
    is_earlier,
    kind_of,
    known_handlers,
)
from pyrotorque.settings.ini import Entry
from pyrotorque.settings.problems import Problem, Report
from pyrotorque.settings.schema import AnyJob, CustomSettings, ExporterSettings, QueueSettings, WatchSettings
from pyrotorque.settings.values import at_home, coerced, truth, typed
from pyrotorque.suggestions import suggestion

# Fields that are not settings: `name` and `handler` come from the keys, the others collect several keys.
_NOT_KEYS: Final = frozenset(("name", "handler", "commands", "params", "texts", "group_maxima"))
_GROUP_MAX: Final = "group_max."
# Names of metric groups in the earlier exporter.
_GROUPS: Final = {"item": "items", "tracker": "trackers"}


def read_job(name: str, entries: Mapping[str, Entry], report: Report, *, packaged: bool) -> AnyJob | None:
    """The job `name` from its settings, keyed without `job.NAME.`; None when its handler is wrong or retired."""
    handler = entries["handler"]
    kind, current = kind_of(handler.value)
    if is_earlier(handler.value) and handler_class(handler.value) in RETIRED:
        _report_retired(name, entries, report)
        return None
    if problem := _handler_problem(handler.value):
        report.problems.append(Problem(handler.file, handler.line, f"job.{name}.handler", problem))
        return None
    return _JobReader(name, current, kind, report, packaged=packaged).read(entries)


def _report_retired(name: str, entries: Mapping[str, Entry], report: Report) -> None:
    entry = entries["handler"]
    if (active := entries.get("active")) and active.value.strip().lower() not in ("false", "no", "0", "off"):
        text = f"is not run: {RETIRED[handler_class(entry.value)]}"
        report.warnings.append(Problem(entry.file, entry.line, f"job.{name}", text))


def _handler_problem(handler: str) -> str:
    module, colon, cls = handler.strip().partition(":")
    if not (colon and cls.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        return f"expected package.module:Class, got {handler!r}{suggestion(handler, known_handlers())}"
    return ""


class _JobReader:
    def __init__(self, name: str, handler: str, kind: Kind, report: Report, *, packaged: bool) -> None:
        self.name, self.kind, self.report = name, kind, report
        self.types = {f.name: f.type for f in msgspec.structs.fields(kind) if f.name not in _NOT_KEYS}
        self.values: dict[str, Any] = {"name": name, "handler": handler}
        self.commands: dict[str, str] = {}
        self.params: dict[str, str | int | bool] = {}
        self.texts: dict[str, str] = {}
        self.group_maxima: dict[str, int] = {}
        # Packaged jobs are inactive by default, others are active.
        self.packaged = packaged

    def read(self, entries: Mapping[str, Entry]) -> AnyJob:
        """The job; wrong settings have their defaults, so that the others can be checked in the same run."""
        for key, entry in entries.items():
            if key != "handler":
                self._read_setting(key, entry)
        if not self.packaged:
            self.values.setdefault("active", True)
        if self.kind is CustomSettings:
            self._finish_custom(entries["handler"])
        if self.kind is WatchSettings:
            self.values["commands"] = tuple(sorted(self.commands.items()))
        if self.kind is QueueSettings:
            self.values["group_maxima"] = tuple(sorted(self.group_maxima.items()))
        return cast(AnyJob, self.kind(**self.values))

    def _finish_custom(self, handler: Entry) -> None:
        if self.values["handler"] == NOTIFY:
            self._finish_notify()
        self.values["params"] = self.params
        self.values["texts"] = self.texts
        if "schedule" not in self.values:
            if not self.values.get("on"):
                self._add_problem(handler, "schedule", "is missing: set when the job runs, for example minute=*/5")
            self.values["schedule"] = ""

    def _finish_notify(self) -> None:
        """Without events, or with `problems`: what needs the owner. With digests or quiet hours: a schedule."""
        waits = any(self.params.get(name) for name in ("every", "quiet_hours"))
        on = self.values.get("on", ())
        if (not on and "schedule" not in self.values) or PROBLEMS in on:
            self.values["on"] = tuple(dict.fromkeys((*NEEDS_OWNER, *(event for event in on if event != PROBLEMS))))
            self.params.setdefault("only_problems", True)
        if waits and "schedule" not in self.values:
            self.values["schedule"] = "second=*/30"

    def _read_setting(self, key: str, entry: Entry) -> None:
        if self.kind is WatchSettings and key.startswith(("cmd.", "cmd_")) and key[4:]:
            self.commands[key[4:]] = entry.value
        elif self.kind is QueueSettings and key.startswith(_GROUP_MAX) and key != _GROUP_MAX:
            self._read_group_max(key, entry)
        elif (target := self._target(key)).lstrip("!") in self.types:
            self._convert(key, target, entry)
            if key == "after":
                # A class written for 1.0.0 may have a setting of this name.
                self._read_param(key, entry)
        elif self.kind is CustomSettings:
            self._read_param(key, entry)
        elif key in DROPPED[self.kind]:
            self._read_dropped(key, entry)
        elif key == "scgi_url":
            self._add_problem(
                entry, key, "belongs into [TORQUE]: a second rTorrent needs its own configuration directory"
            )
        else:
            self._add_problem(entry, key, f"unknown setting{self._nearest(key)}")

    def _read_param(self, key: str, entry: Entry) -> None:
        is_path = key in PATHS.get(self.values["handler"], (key,))
        text = at_home(entry.value) if is_path else entry.value
        self.params[key] = coerced(text)
        if str(self.params[key]) != text:
            self.texts[key] = text

    def _target(self, key: str) -> str:
        """The current name of `key`; the earlier exporter accepted both `item-stats` and `item_stats`."""
        if self.kind is CustomSettings:
            return key
        known = key.replace("-", "_")
        return ALIASES.get(self.kind, {}).get(known, known)

    def _convert(self, key: str, target: str, entry: Entry) -> None:
        try:
            if target.startswith("!"):
                self.values[target[1:]] = not truth(entry.value)
            elif entry.value or self.types[target] is str or get_origin(self.types[target]) is tuple:
                self.values[target] = typed(target, entry.value, self.types[target])
            if target == "jobs" and self.kind is ExporterSettings:
                self.values["jobs"] = tuple(_GROUPS.get(word, word) for word in self.values.get("jobs", ()))
        except ValueError as error:
            self._add_problem(entry, key, str(error))

    def _read_group_max(self, key: str, entry: Entry) -> None:
        try:
            self.group_maxima[key.removeprefix(_GROUP_MAX)] = typed("group_max", entry.value, int)
        except ValueError as error:
            self._add_problem(entry, key, str(error))

    def _read_dropped(self, key: str, entry: Entry) -> None:
        instead = DROPPED[self.kind][key]
        if instead and entry.value.strip().lower() not in ("", "false", "no", "0", "off"):
            self._add_problem(entry, key, instead)
        if key in IGNORED:
            self.report.warnings.append(Problem(entry.file, entry.line, f"job.{self.name}.{key}", IGNORED[key]))

    def _nearest(self, key: str) -> str:
        known = [*self.types, *ALIASES.get(self.kind, {}), "handler"]
        if self.kind is WatchSettings:
            known.append("cmd.NAME")
        if self.kind is QueueSettings:
            known.append("group_max.NAME")
        return suggestion(key, known)

    def _add_problem(self, entry: Entry, key: str, text: str) -> None:
        self.report.problems.append(Problem(entry.file, entry.line, f"job.{self.name}.{key}", text))
