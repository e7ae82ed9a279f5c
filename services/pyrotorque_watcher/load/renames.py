"""Recognizes a metafile that was loaded from another path: it was renamed while the watcher was down, or linked."""

import logging

from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.rows import Row
from pyrotorque_watcher.scan.files import look

log = logging.getLogger(__name__)


def follow_rename(ledger: Ledger, row: Row) -> bool:
    """If the item of `row` was loaded from a path where that file is no more, the ledger follows; whether it does."""
    for known in ledger.same_content(row, row.load.info_hash):
        there, found = look(known.path), look(row.path)
        if found is not None and (there is None or there.version != known.version):
            log.info("%s: %s is now %s", row.job, printable(known.path), printable(row.path))
            with ledger.transaction():
                ledger.move(row.job, known.path, row.root, found)
            return True
    return False


def linked_path(ledger: Ledger, row: Row) -> bytes:
    """The path from which the item was loaded, if that is a hard link to the file of `row`; else empty."""
    for known in ledger.same_content(row, row.load.info_hash):
        there = look(known.path)
        if there is not None and (there.device, there.inode) == (row.file.device, row.file.inode):
            return known.path
    return b""
