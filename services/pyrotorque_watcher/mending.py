"""A watch.ini that was written: its mistakes are told at once, and what failed at the one before it is tried again."""

import logging

from pyrotorque.errors import UserError
from pyrotorque.text import counted, printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.scan.scanner import TreeJob

log = logging.getLogger(__name__)


def heed(job: TreeJob, recipes: JobRecipes, ledger: Ledger, now: float) -> None:
    """Take each watch.ini that was written since the last call into account, once."""
    for folder in sorted(job.inis_changed):
        try:
            recipes.check_ini(folder)
        except UserError as error:
            for line in str(error).splitlines():
                log.warning("%s: %s", job.name, line)
            continue
        log.info("%s: watch.ini in %s is in force", job.name, printable(folder))
        with ledger.transaction():
            again = ledger.retry_templates(job.name, folder, now)
        if again:
            log.info("%s: trying %s again that failed before", job.name, counted(again, "metafile"))
    job.inis_changed.clear()
