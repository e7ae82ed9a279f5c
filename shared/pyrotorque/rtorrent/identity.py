"""Identifies the process of rTorrent: its versions, and a token that is gone after a restart."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent.xml import Value

log = logging.getLogger(__name__)

# A constant that is defined in rTorrent: it is gone after a restart, which also works where its pid is not visible.
INCARNATION: Final = "pyrotorque.incarnation"

IDENTITY_COMMANDS: Final = (
    "system.pid",
    "system.client_version",
    "system.library_version",
    "system.hostname",
    INCARNATION,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which rTorrent this is; `incarnation` changes when it restarts."""

    pid: int
    client_version: str
    library_version: str
    hostname: str
    incarnation: str


def identity_from(answers: list[Value | RTorrentFault], call: Callable[..., Value]) -> Identity:
    """The identity from the answers to `IDENTITY_COMMANDS`; `call` defines the token if there is none yet."""
    *facts, token = answers
    for fact in facts:
        if isinstance(fact, RTorrentFault):
            raise fact
    pid, client, library, host = map(str, facts)
    incarnation = _new_token(call, f"pid {pid}") if isinstance(token, RTorrentFault) else str(token)
    return Identity(int(pid), client, library, host, incarnation)


def _new_token(call: Callable[..., Value], otherwise: str) -> str:
    """A new token, or that of another process that was first."""
    try:
        call("method.insert", "", INCARNATION, "string|const", os.urandom(8).hex())
    except RTorrentFault as fault:
        log.debug("no new incarnation token for this rTorrent: %s", fault)
    try:
        return str(call(INCARNATION))
    except RTorrentFault:
        # An untrusted connection may not insert one (0.16.10): until a service has done so, its pid is used.
        return otherwise
