"""Patience with an rTorrent that does not answer: said once, asked again after growing pauses."""

import logging
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import RTorrentError

log = logging.getLogger(__name__)

_FIRST: Final = 0.25
_MAX: Final = 2.0


@dataclass(slots=True)
class Away:
    """Since when it is away, and when to ask again (Unix time); all 0 while it answers."""

    since: float = 0.0
    until: float = 0.0
    pause: float = _FIRST

    def missed(self, error: RTorrentError, now: float) -> None:
        if not self.since:
            self.since = now
            log.warning("%s; everything seen meanwhile is loaded when it is back", error)
        self.until = now + self.pause
        self.pause = min(_MAX, self.pause * 2)

    def back(self, now: float) -> None:
        if self.since:
            log.info("rTorrent answers again after %.0f s", now - self.since)
        self.since, self.until, self.pause = 0.0, 0.0, _FIRST
