"""Does what is to be done about metafiles after their load, as the ledger says; what is cut off is done later."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import UserError
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger, Row
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.settle.disposal import Disposer

log = logging.getLogger(__name__)

_FEW: Final = 100


@dataclass(frozen=True)
class Afterwards:
    """Puts files away, each as its job says; files of jobs that are not active stay where they are."""

    ledger: Ledger
    disposers: Mapping[str, Disposer]
    recipes: Mapping[str, JobRecipes]

    def step(self) -> None:
        """Do some of what is to be done."""
        for what, row in self.ledger.todo(_FEW):
            disposer = self.disposers.get(row.job)
            if disposer and what == "retie":
                disposer.retie(row)
            elif disposer and what == "failed":
                disposer.failed(row, time.time())
            elif disposer:
                self.loaded(row)
            with self.ledger.transaction():
                self.ledger.set(row, row.changed, todo="")

    def loaded(self, row: Row) -> None:
        """Put a metafile away whose item is in rTorrent for good."""
        if disposer := self.disposers.get(row.job):
            try:
                disposer.loaded(row, self.recipes[row.job].of(row).on_loaded, time.time())
            except UserError as error:
                log.warning("%s: %s stays where it is: %s", row.job, printable(row.path), error)
