"""Stores, counts and publishes the state changes of programs; while the disk is full they stay queued."""

import logging
import time
from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple

from pyrotorque import logs
from pyrotorque.errors import StateError
from pyrotorque.events import ServiceStateChanged
from pyrotorque.service.runtime import Runtime
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.totals import Totals
from pyrotorque_guardian.decisions import ProcessCounters
from pyrotorque_guardian.supervisord_events import ProcessStateChange

log = logging.getLogger(__name__)

_UNPUBLISHED_MAX: Final = 1000


class _UnpublishedChange(NamedTuple):
    """A state change whose event is not committed yet; `killed` if the guardian killed the process."""

    event: ServiceStateChanged
    change: ProcessStateChange
    killed: bool


class StateChanges:
    """The state changes that supervisord reports."""

    def __init__(self, runtime: Runtime, totals: Totals) -> None:
        self._runtime = runtime
        self._unpublished = deque[_UnpublishedChange](maxlen=_UNPUBLISHED_MAX)
        self._counters = ProcessCounters(totals)
        self._report = TotalsReport("guardian", totals, runtime.bus)
        runtime.bus.stats.count_into(totals)
        with suppress(StateError):
            totals.load(runtime.store)

    def __len__(self) -> int:
        """How many are not published yet."""
        return len(self._unpublished)

    def add(self, change: ProcessStateChange, killed: str) -> None:
        """Queue and log a change; `killed` is why the guardian killed the process, if it did."""
        reason = killed or ("ended unexpectedly" if change.state == "EXITED" and not change.expected else "")
        event = ServiceStateChanged(
            at=time.time(), service=change.process, state=change.state, before=change.before, reason=reason
        )
        self._unpublished.append(_UnpublishedChange(event, change, bool(killed)))
        level = logging.WARNING if change.state in ("BACKOFF", "FATAL") or reason else logging.INFO
        log.log(level, "%s: %s → %s%s", change.process, change.before, change.state, f" ({reason})" if reason else "")
        if change.state == "EXITED" and reason and not killed:
            text = f"{change.process} {reason}; it is started again"
            logs.owner_event("service ended", text, subject=change.process)

    def publish(self, now: float) -> None:
        """Commit the changes with their counters, then publish them; `now` is monotonic."""
        changed = bool(self._unpublished)
        try:
            if changed:
                with self._runtime.store.transaction():
                    for event, change, killed in self._unpublished:
                        self._runtime.outbox.add(event)
                        self._counters.count(change, killed)
                self._unpublished.clear()
                self._runtime.bus.publish()
        except StateError as error:
            if self._report.is_overdue(now):
                log.error("%s; %d state changes not yet published", error, len(self._unpublished))
        if changed or self._report.is_overdue(now):
            self._report.publish(now)
