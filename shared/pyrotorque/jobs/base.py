"""The optional base class of jobs: a logger, an rTorrent client, items by condition, durable events."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pyrotorque.errors import UserError
from pyrotorque.events import Event, JobReported
from pyrotorque.jobs.context import JobContext, current_context
from pyrotorque.text import printable

if TYPE_CHECKING:
    from pyrotorque.conditions import Condition
    from pyrotorque.fields.field import Field
    from pyrotorque.items import Item, ItemReader
    from pyrotorque.rtorrent import RTorrent
    from pyrotorque.rtorrent.recognition import SessionGate

_Found = TypeVar("_Found")


class Job:
    """Optional: any class whose constructor takes `config` and that has a method `run` is a job.

    `run()` is called at the times of the schedule, `run(event)` for each event that the job is `on`. `close()`, if
    defined, is called before the process exits; it has half a second.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.name = str(config.get("job_name", type(self).__name__))
        self.dry_run = bool(config.get("dry_run", False))
        self.log = logging.getLogger(self.name)
        self._context: JobContext = current_context()

    def run(self, event: Event | None = None) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    @cached_property
    def rtorrent(self) -> "RTorrent":
        """A client of the group's rTorrent; it connects at the first call."""
        from pyrotorque.rtorrent import RTorrent

        client = RTorrent.from_settings(self._context)
        if client is None:
            raise UserError("the address of rTorrent is unknown: set scgi_url in [TORQUE]")
        return client

    @cached_property
    def state_dir(self) -> Path:
        """A private folder of this job for data that must outlive its process."""
        folder = self._context.state_dir_of(self.name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def require_known_rtorrent(self) -> None:
        """Raise SessionNotKnown unless the rTorrent that answers is the known one, with its known session.

        Call it before anything that follows from a difference to an earlier run, such as "this item is gone".
        """
        if self._gate is not None:
            self._gate.check(self.rtorrent)

    def read_known(self, reading: Callable[[], _Found]) -> _Found:
        """What `reading` finds in the known rTorrent; raises SessionNotKnown if another one answered.

        For what is done because something is missing: an item that is gone, or data that no item has.
        """
        return reading() if self._gate is None else self._gate.read(self.rtorrent, reading)

    def condition(self, text: str) -> "Condition":
        """Parse a condition; raises ConditionError, a UserError, that shows the position of the error."""
        from pyrotorque.conditions import parse

        return parse(text, custom=self._table)

    def items(
        self, condition: "str | Condition" = "", fields: Iterable[str] = ("name",), *, view: str = "main"
    ) -> "list[Item]":
        """The items that match `condition` (default: all), with `hash`, the condition's fields and `fields`."""
        wanted = self.condition(condition) if isinstance(condition, str) and condition.strip() else condition
        chosen = None if isinstance(wanted, str) else wanted
        return self._reader.read(view, chosen, {"hash", *fields}, time.time(), table=self._table)

    def publish(self, text: str, **data: str | int | float | bool) -> None:
        """Publish a durable event JobReported (`pyrotorque events`, jobs `on = JobReported`) when this run ends.

        A value that an event cannot have, such as None, a list, or a ratio that is infinite, is published as text.
        """
        shown = {key: _reported(value) for key, value in data.items()}
        report = JobReported(at=time.time(), job=self.name, text=printable(text), data=shown)
        self._context.publish(report)

    @cached_property
    def _gate(self) -> "SessionGate | None":
        from pyrotorque.rtorrent.recognition import SessionGate

        return SessionGate(self._context.state_dir) if self._context.state_dir else None

    @cached_property
    def _table(self) -> "Mapping[str, Field]":
        from pyrotorque.fields import configured

        table = dict(configured(self._context.aliases, self._context.traits_by_alias))
        return {**table, **self._custom_fields}

    @cached_property
    def _custom_fields(self) -> "Mapping[str, Field]":
        return self._context.custom_fields()

    @cached_property
    def _reader(self) -> "ItemReader":
        from pyrotorque.items import ItemReader

        return ItemReader(self.rtorrent, self._context.custom_worker())


def _reported(value: object) -> str | int | float | bool:
    """JSON has no numbers for what is infinite or not a number, and readers of events accept no other types."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return printable(str(value))
