"""Prints a start in rTorrent's own log."""

from collections.abc import Mapping
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.fields import FIELDS, Field
from pyrotorque.fields.field import DETAILS
from pyrotorque.logs import job_logger
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable
from pyrotorque_scheduler.queue.model import Candidate

_PRINTED_NAME_MAX: Final = 200


def print_start(rtorrent: RTorrent, job: str, item: Candidate, table: Mapping[str, Field]) -> None:
    """Print `QueueManager: Started 'NAME' {ALIAS}` in rTorrent's own log; a failure to print is not an error."""
    try:
        text = f"QueueManager: Started '{printable(item.name)[:_PRINTED_NAME_MAX]}' {{{_alias(rtorrent, item, table)}}}"
        rtorrent.call("print", "", text)
    except RTorrentFault as fault:
        job_logger(job).debug("rTorrent refused to print the start: %s", fault)


def _alias(rtorrent: RTorrent, item: Candidate, table: Mapping[str, Field]) -> str:
    method, commands = DETAILS["trackers"]
    rows = rtorrent.call(method, item.info_hash, "", *commands)
    alias = (table.get("alias") or FIELDS["alias"]).read({}, {"trackers": rows if isinstance(rows, list) else ()})  # type: ignore[dict-item]
    return printable(str(alias))
