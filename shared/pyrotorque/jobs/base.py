"""The base that a job may build on: a logger, rTorrent, items by condition, and telling the others."""

import logging
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrotorque.errors import UserError
from pyrotorque.events import Event, JobReported
from pyrotorque.jobs.context import Surroundings, current
from pyrotorque.text import printable

if TYPE_CHECKING:
    from pyrotorque.conditions import Condition
    from pyrotorque.fields.field import Field
    from pyrotorque.items import Item, ItemReader
    from pyrotorque.rtorrent import RTorrent


class Job:
    """Build on it, or do not: any class whose constructor takes `config` and that has `run` is a job.

    `run()` is called when the schedule says so, `run(event)` for each event that the job is `on`. `close()`, where
    there is one, is called before the process leaves, with half a second to do so.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.name = str(config.get("job_name", type(self).__name__))
        self.dry_run = bool(config.get("dry_run", False))
        self.log = logging.getLogger(self.name)
        self._surroundings: Surroundings = current()

    def run(self, event: Event | None = None) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    @cached_property
    def rtorrent(self) -> "RTorrent":
        """A client of the group's rTorrent; it connects when it is first asked."""
        from pyrotorque.rtorrent import RTorrent

        around = self._surroundings
        if around.url is None:
            raise UserError("no address of rTorrent is known: set scgi_url in [TORQUE]")
        return RTorrent(around.url, connect_timeout=around.connect_timeout, read_timeout=around.read_timeout)

    @cached_property
    def state_dir(self) -> Path:
        """A private folder of this job, for what is to outlive its process."""
        folder = self._surroundings.state_dir_of(self.name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def condition(self, text: str) -> "Condition":
        """Read a condition; raises ConditionError, which is a UserError, with the place in it."""
        from pyrotorque.conditions import parse

        return parse(text, custom=self._table)

    def items(
        self, condition: "str | Condition" = "", fields: Iterable[str] = ("name",), *, view: str = "main"
    ) -> "list[Item]":
        """The items that meet `condition` (all without one), with `hash`, the condition's fields and `fields`."""
        wanted = self.condition(condition) if isinstance(condition, str) and condition.strip() else condition
        chosen = None if isinstance(wanted, str) else wanted
        return self._reader.read(view, chosen, {"hash", *fields}, time.time(), table=self._table)

    def publish(self, text: str, **data: str | int | float | bool) -> None:
        """Tell all the others (`pyrotorque events`, jobs `on = JobReported`); sent when this run has ended."""
        shown = {key: printable(value) if isinstance(value, str) else value for key, value in data.items()}
        report = JobReported(at=time.time(), job=self.name, text=printable(text), data=shown)
        self._surroundings.publish(report)

    @cached_property
    def _table(self) -> "Mapping[str, Field]":
        from pyrotorque.fields import configured

        around = self._surroundings
        table = dict(configured(around.aliases, around.traits_by_alias))
        return {**table, **self._custom_fields}

    @cached_property
    def _custom_fields(self) -> "Mapping[str, Field]":
        return self._surroundings.custom_fields()

    @cached_property
    def _reader(self) -> "ItemReader":
        from pyrotorque.items import ItemReader

        return ItemReader(self.rtorrent, self._surroundings.custom_worker())
