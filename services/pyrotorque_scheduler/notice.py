"""The line about each start in rTorrent's own log, as the manual's daemon printed it."""

from collections.abc import Mapping
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.fields import FIELDS, Field
from pyrotorque.fields.field import DETAILS
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable
from pyrotorque_scheduler.decisions import Candidate
from pyrotorque_scheduler.naming import logger_of

_NAME_MAX: Final = 200


def print_start(rtorrent: RTorrent, job: str, item: Candidate, table: Mapping[str, Field]) -> None:
    """`QueueManager: Started 'NAME' {ALIAS}`; that it cannot be printed is no reason to stop."""
    try:
        text = f"QueueManager: Started '{printable(item.name)[:_NAME_MAX]}' {{{_alias(rtorrent, item, table)}}}"
        rtorrent.call("print", "", text)
    except RTorrentFault as fault:
        logger_of(job).debug("rTorrent would not print: %s", fault)


def _alias(rtorrent: RTorrent, item: Candidate, table: Mapping[str, Field]) -> str:
    method, commands = DETAILS["trackers"]
    rows = rtorrent.call(method, item.info_hash, "", *commands)
    alias = (table.get("alias") or FIELDS["alias"]).read({}, {"trackers": rows if isinstance(rows, list) else ()})  # type: ignore[dict-item]
    return printable(str(alias))
