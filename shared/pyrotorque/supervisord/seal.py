"""Marks the process table so that one which was emptied, cut off or edited is recognised; nothing here reads files."""

import re
from typing import Final

from pyrotorque.sha256 import hexdigest

_SEAL: Final = re.compile(r"; SHA-256 of the lines below: ([0-9a-f]{64})\n")
# The last line of each table, also of those that versions up to 1.1.0 wrote, without a seal.
_END: Final = "\nstderr_logfile_backups = 0\n"


def sealed(table: str) -> str:
    """The table after a line that identifies its content."""
    return f"; SHA-256 of the lines below: {hexdigest(table.encode())}\n{table}"


def damage(table: str) -> str:
    """Why this is not the table that was written; empty if it is."""
    if not table.strip("\0 \n"):
        return "is empty"
    seal = _SEAL.match(table)
    if seal is None:
        return "" if table.endswith(_END) and "[eventlistener:guardian]" in table else "was cut off, or edited"
    return "" if hexdigest(table[seal.end() :].encode("utf-8", "replace")) == seal[1] else "was cut off, or edited"
