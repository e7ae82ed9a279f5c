"""Runs a program for each item that meets a condition; its arguments are templates over the item's fields."""

from collections.abc import Mapping
from typing import Any

from pyrotorque.items import Item
from pyrotorque.jobs.command import Program
from pyrotorque.jobs.item_job import ItemJob


class ItemCommand(ItemJob):
    """`command` is run once for each item, one after the other."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._program = Program(config, log=self.log, dry_run=self.dry_run)
        self.needed = self.check_fields(self._program.fields - {"job_name"})

    def run_item(self, item: Item) -> None:
        self._program.run({**{name: item[name] for name in self.needed}, "job_name": self.name})
