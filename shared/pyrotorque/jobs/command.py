"""Runs a program on a schedule or for events: its arguments are templates, a shell is only used where it is wanted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyrotorque.errors import UserError
from pyrotorque.events import Event
from pyrotorque.jobs import programs
from pyrotorque.jobs.arguments import ShellText, Vector, compile_command
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.eventnames import NAMES, namespace_of
from pyrotorque.jobs.params import required_text, seconds_of, text_of, truth_of
from pyrotorque.text import printable


class Program:
    """What the settings `command` (or pyrosimple's `args`), `shell`, `cwd`, `environment` and `within` say to run."""

    def __init__(self, config: Mapping[str, Any], *, log: Any, dry_run: bool) -> None:
        self._log, self._dry_run = log, dry_run
        text = required_text(config, "command", "args")
        self._what: Vector | ShellText = compile_command(text, shell=truth_of(config, "shell"))
        self.fields = self._what.fields
        cwd = text_of(config, "cwd")
        self._cwd = Path(cwd).expanduser() if cwd else None
        self._extra = text_of(config, "environment").replace(",", " ").split()
        self._within = seconds_of(config, "within", 60.0)

    def run(self, namespace: Mapping[str, object]) -> None:
        """Raises ProgramFailed, or TemplateError where a value cannot be inserted."""
        argv = self._what.argv(namespace)
        shown = printable(" ".join(argv))
        if self._dry_run:
            self._log.info("would run %s", shown)
            return
        self._log.debug("runs %s", shown)
        programs.run(argv, within=self._within, cwd=self._cwd, extra=self._extra)
        self._log.info("ran %s", shown)


class Command(Job):
    """One run of the program for each time of the schedule and each event; templates see the event's fields."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._program = Program(config, log=self.log, dry_run=self.dry_run)
        if unknown := sorted(self._program.fields - NAMES):
            raise UserError(f"job.{self.name}.command: no event has a field {unknown[0]} ({', '.join(sorted(NAMES))})")

    def run(self, event: Event | None = None) -> None:
        self._program.run(namespace_of(event, self.name))
