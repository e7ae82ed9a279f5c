"""Whether rTorrent answers: its absence and its return are logged once, in the owner's log after a grace period."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.errors import RequestTooLarge, RTorrentError, RTorrentFault, SessionNotKnown, UserError
from pyrotorque.events import RTorrentLost, RTorrentReturned
from pyrotorque.humanize import duration
from pyrotorque.logs import owner_event
from pyrotorque.text import printable

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.25  # seconds
_LONGEST_PAUSE: Final = 2.0
GRACE: Final = 30.0
"""Seconds that rTorrent may be away, for a restart, before that needs its owner."""


def _nowhere(_event: RTorrentLost | RTorrentReturned) -> None:
    pass


@dataclass(slots=True)
class Availability:
    """`problem` is the reason why rTorrent is unavailable, or empty; times are those of any one clock, in seconds."""

    consequence: str
    """What its absence means for the service; part of the log line."""
    publish: Callable[[RTorrentLost | RTorrentReturned], None] = _nowhere
    """Gets an event for its absence and its return; one service publishes them."""
    is_in_owners_log: bool = True
    """One service writes an outage to the owner's log, not each."""
    problem: str = ""
    since: float = 0.0
    retry_at: float = 0.0
    """Not to be called before; 0 while it answers."""
    pause: float = _FIRST_PAUSE
    failure: str = ""
    """Why the last attempt failed, or empty; unlike `problem`, also if rTorrent answered."""
    _reported: bool = False
    """Whether its absence is in the owner's log."""
    _reported_faults: set[str] = field(default_factory=set[str])

    def lost(self, error: RTorrentError, now: float) -> None:
        """It did not answer: the next call is allowed after a pause that doubles up to two seconds."""
        if not self.problem:
            self.since = now
            log.warning("rTorrent is unavailable: %s; %s", error, self.consequence)
        self.problem = str(error)
        if not self._reported and now - self.since >= GRACE:
            self._reported = True
            away = duration(now - self.since)
            if self.is_in_owners_log:
                owner_event("rtorrent away", f"rTorrent is unavailable for {away}: {error}; {self.consequence}")
            self.publish(RTorrentLost(at=time.time(), reason=printable(str(error)), seconds=now - self.since))
        self.retry_at = now + self.pause
        self.pause = min(_LONGEST_PAUSE, self.pause * 2)

    def answered(self, now: float) -> None:
        """It answered."""
        if self.problem:
            text = f"rTorrent answers again after {now - self.since:.0f} s"
            log.info("%s", text)
            if self.is_in_owners_log:
                owner_event("rtorrent back", text)
            if self._reported:
                self.publish(RTorrentReturned(at=time.time(), seconds=now - self.since))
        self._reported = False
        self.problem, self.retry_at, self.pause = "", 0.0, _FIRST_PAUSE

    def clock_stepped(self, step: float) -> None:
        """The clock whose times are given here was set by `step` seconds."""
        self.since, self.retry_at = self.since + step, 0.0

    def attempt(self, what: str, call: Callable[[], object], now: float) -> bool:
        """Whether `call` succeeded; each error is logged once until a call succeeds.

        A call that returns False did not use rTorrent: its success is no evidence that rTorrent answers.
        """
        self.failure = ""
        try:
            needed = call()
        except (RTorrentFault, RequestTooLarge) as error:
            self.answered(now)
            self.failure = f"rTorrent refused: {error}"
            self._report_once(f"{what}: {self.failure}")
        except RTorrentError as error:
            self.failure = str(error)
            self.lost(error, now)
        except SessionNotKnown as error:  # the scheduler logs that
            self.failure = str(error)
            self.answered(now)
        except UserError as error:  # the fields of a user's config.py could not be computed
            self.failure = str(error)
            self._report_once(f"{what}: {error}")
        else:
            if needed is not False:
                self.answered(now)
                self._reported_faults.clear()
            return True
        return False

    def _report_once(self, text: str) -> None:
        if text not in self._reported_faults:
            self._reported_faults.add(text)
            log.error("%s", text)
