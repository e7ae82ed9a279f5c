"""Problems that last, kept over restarts: the event and the line of the beginning once, and those of the end once."""

import logging

from pyrotorque.errors import StateError
from pyrotorque.events import Durable
from pyrotorque.logs import owner_event
from pyrotorque.owner_events import OwnerEvent
from pyrotorque.store import Store
from pyrotorque_scheduler.event_router import EventRouter

log = logging.getLogger(__name__)


class OpenProblems:
    """Problems by kind and subject, with the time (Unix seconds) at which each began."""

    def __init__(self, store: Store, router: EventRouter) -> None:
        self._store, self._router = store, router
        rows = store.db.execute("SELECT kind, subject, at FROM open_problems")
        self._open: dict[tuple[str, str], float] = {(kind, subject): at for kind, subject, at in rows}

    def began(self, kind: str, subject: str) -> float | None:
        """When the problem began; None if it is not open."""
        return self._open.get((kind, subject))

    def subjects(self, kind: str) -> list[str]:
        """What problems of this kind are open for."""
        return [subject for each, subject in self._open if each == kind]

    def begin(self, kind: str, subject: str, at: float, event: Durable, owner: OwnerEvent, text: str) -> None:
        """Publish and log the beginning; on a full disk again at the next call."""
        self._change(event, owner, text, "INSERT OR REPLACE INTO open_problems VALUES (?, ?, ?)", (kind, subject, at))
        self._open[kind, subject] = at

    def end(self, kind: str, subject: str, event: Durable, owner: OwnerEvent, text: str) -> None:
        """Publish and log the end."""
        self._change(event, owner, text, "DELETE FROM open_problems WHERE kind = ? AND subject = ?", (kind, subject))
        self._open.pop((kind, subject), None)

    def note(self, kind: str, subject: str, at: float) -> None:
        """Keep that a problem began whose events have their own publisher."""
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO open_problems VALUES (?, ?, ?)", (kind, subject, at))
        self._open.setdefault((kind, subject), at)

    def forget(self, kind: str, subject: str) -> None:
        """Such a problem has ended."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM open_problems WHERE kind = ? AND subject = ?", (kind, subject))
        self._open.pop((kind, subject), None)

    def _change(self, event: Durable, owner: OwnerEvent, text: str, sql: str, row: tuple[object, ...]) -> None:
        log.log(logging.INFO, "%s", text)
        owner_event(owner, text)
        try:
            with self._store.transaction() as db:
                db.execute(sql, row)
                self._router.add(event)
        except StateError as error:
            # A full disk is such a problem itself: it is in the log, and not published again and again.
            log.warning("no event %s: %s", type(event).__name__, error)
