"""Runs a program for each item that matches a condition; its arguments are templates over the item's fields."""

from collections.abc import Mapping
from typing import Any

from pyrotorque.items import Item

# Separate from `command`: a worker of Command or Notify then loads neither conditions nor items (10 MiB).
from pyrotorque.jobs.command import ConfiguredProgram
from pyrotorque.jobs.item_job import ItemJob


class ItemCommand(ItemJob):
    """Runs the program once per item, one after the other."""

    fresh_for = 0.0

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.program = ConfiguredProgram(config, log=self.log, dry_run=self.dry_run)
        self.needed = self.check_fields(self.program.fields - {"job_name"})

    def run_item(self, item: Item) -> None:
        self.program.run({**{name: item[name] for name in self.needed}, "job_name": self.name})
