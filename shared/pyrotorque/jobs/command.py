"""Runs a program per fire time and event; its arguments are templates, a shell is only used with `shell = True`."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from pyrotorque.errors import UserError
from pyrotorque.events import Durable, Event
from pyrotorque.home import expand_home
from pyrotorque.jobs import programs
from pyrotorque.jobs.arguments import ShellText, Vector, compile_command
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.params import get_bool, get_seconds, get_text, require_text
from pyrotorque.text import printable

EVENT_FIELDS: Final = frozenset(name for kind in get_args(Durable) for name in kind.__struct_fields__) | {
    "type",
    "job_name",
}
"""What templates may use for an event: all fields of all events; empty if this event does not have the field."""


def event_namespace(event: Event | None, job: str) -> dict[str, object]:
    """Template values: `type` is the event's name (empty without an event), `job_name` the job that runs."""
    found: dict[str, Any] = dict.fromkeys(EVENT_FIELDS, "")
    if event is not None:
        found.update({name: "" if value is None else value for name, value in msgspec.structs.asdict(event).items()})
        found["type"] = type(event).__name__
    return {**found, "job_name": job}


class ConfiguredProgram:
    """The program of the settings `command` (or pyrosimple's `args`), `shell`, `cwd`, `environment` and `within`."""

    def __init__(self, config: Mapping[str, Any], *, log: Any, dry_run: bool) -> None:
        self._log, self._dry_run = log, dry_run
        text = require_text(config, "command", "args")
        self.arguments: Vector | ShellText = compile_command(text, shell=get_bool(config, "shell"))
        self.fields = self.arguments.fields
        cwd = get_text(config, "cwd")
        self._cwd = expand_home(cwd) if cwd else None
        self._extra = get_text(config, "environment").replace(",", " ").split()
        self._within = get_seconds(config, "within", 60.0)

    def run(self, namespace: Mapping[str, object]) -> None:
        """Raises ProgramFailed, or TemplateError if a value cannot be inserted."""
        argv = self.arguments.argv(namespace)
        shown = printable(" ".join(argv))
        if self._dry_run:
            self._log.info("would run %s", shown)
            return
        self._log.debug("running %s", shown)
        programs.run(argv, within=self._within, cwd=self._cwd, extra=self._extra)
        self._log.info("ran %s", shown)


class Command(Job):
    """Runs the program once per fire time and per event; templates use the event's fields."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.program = ConfiguredProgram(config, log=self.log, dry_run=self.dry_run)
        if unknown := sorted(self.program.fields - EVENT_FIELDS):
            known = ", ".join(sorted(EVENT_FIELDS))
            raise UserError(f"job.{self.name}.command: no event has a field {unknown[0]} ({known})")

    def run(self, event: Event | None = None) -> None:
        self.program.run(event_namespace(event, self.name))
