"""Actions on one item of rTorrent, named by its info-hash."""

import re
from typing import Final

from pyrotorque.actions.delivery import Actor, ask_service
from pyrotorque.errors import UserError
from pyrotorque.fleet_requests import ReleaseClaim
from pyrotorque.requests import Answer, ParkTorrent, StartTorrent, StopTorrent
from pyrotorque.text import printable

_INFO_HASH: Final = re.compile(r"[0-9A-Fa-f]{40}", re.ASCII)


def start_item(actor: Actor, info_hash: str) -> Answer:
    """Start the item now, regardless of the limits of the queue."""
    return ask_service(actor, "scheduler", StartTorrent(info_hash=required_hash(info_hash), by=actor.by))


def stop_item(actor: Actor, info_hash: str, job: str | None = None) -> Answer:
    """Stop the item; no queue starts it before its owner does. `job` is the queue that would."""
    return ask_service(actor, "scheduler", StopTorrent(info_hash=required_hash(info_hash), job=job, by=actor.by))


def park_item(actor: Actor, info_hash: str, seconds: float, job: str | None = None) -> Answer:
    """Stop the item for so long; after that its queue may start it again."""
    request = ParkTorrent(info_hash=required_hash(info_hash), seconds=seconds, job=job, by=actor.by)
    return ask_service(actor, "scheduler", request)


def release_claim(actor: Actor, info_hash: str) -> Answer:
    """Have the fleet offer the metafile again that one of its groups was permitted to start."""
    return ask_service(actor, "fleet", ReleaseClaim(info_hash=required_hash(info_hash), by=actor.by))


def required_hash(text: str) -> str:
    """The info-hash in upper case. Raises UserError if it is none."""
    if not _INFO_HASH.fullmatch(text):
        raise UserError(
            f"{printable(text)!r} is not an info-hash of 40 hexadecimal digits; `pyrotorque explain NAME` shows it"
        )
    return text.upper()
