"""The exporter's database: events counted exactly once, last totals, traffic by tracker."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.events import Delivery, Durable, ServiceStateChanged, TotalsReported
from pyrotorque.json_input import JsonDecoder
from pyrotorque.store import Connection, Store
from pyrotorque_exporter.tracker_totals import ItemTraffic, TrackerTotals, TrackerTraffic, UnsavedTraffic

MIGRATIONS: Final = (
    """
    CREATE TABLE event_counts (
        source TEXT, type TEXT, count INTEGER NOT NULL, PRIMARY KEY (source, type)
    ) WITHOUT ROWID;
    CREATE TABLE last_states (process TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE recent_events (number INTEGER PRIMARY KEY, type TEXT NOT NULL, body BLOB NOT NULL);
    CREATE TABLE last_totals (service TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE tracker_traffic (tracker TEXT PRIMARY KEY, up INTEGER NOT NULL, down INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE tracker_items (
        info_hash TEXT PRIMARY KEY, up INTEGER NOT NULL, down INTEGER NOT NULL, gone_at REAL NOT NULL
    ) WITHOUT ROWID;
    """,
)

_COUNT_EVENT = "INSERT INTO event_counts VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1"

_totals = JsonDecoder(TotalsReported)


class EventTransactions(Protocol):
    """The part of the bus that applies one event in a transaction, together with its cursor."""

    @contextmanager
    def applying(self, delivery: Delivery) -> Generator[Connection, None, None]: ...


class ExporterState:
    """What survives a restart of the exporter; only the loop's thread uses it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with suppress(StateError), store.transaction() as db:  # on a full disk, at a later start
            db.execute("DELETE FROM recent_events")  # of the status page of 1.0.0, with names of torrents

    def apply(self, bus: EventTransactions, delivery: Delivery, event: Durable) -> None:
        """Count a durable event, in one transaction with its cursor."""
        kind = type(event).__name__
        with bus.applying(delivery) as db:
            db.execute(_COUNT_EVENT, (delivery.envelope.source, kind))
            if isinstance(event, ServiceStateChanged):
                db.execute("INSERT OR REPLACE INTO last_states VALUES (?, ?)", (event.service, event.state))

    def event_counts(self) -> dict[tuple[str, str], int]:
        return {(source, kind): count for source, kind, count in self._rows("event_counts")}

    def states(self) -> dict[str, str]:
        return dict(self._rows("last_states"))

    def last_totals(self) -> list[TotalsReported]:
        """The last totals of each service; those that another version wrote in another form are dropped."""
        found: list[TotalsReported] = []
        for _, body in self._rows("last_totals"):
            try:
                found.append(_totals.decode(body))
            except msgspec.DecodeError:
                continue
        return found

    def save_totals(self, totals: Iterable[TotalsReported]) -> None:
        rows = [(one.service, msgspec.json.encode(one)) for one in totals]
        with self._store.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO last_totals VALUES (?, ?)", rows)

    def restore_trackers(self, trackers: TrackerTotals) -> None:
        """Continue `trackers` from the stored traffic."""
        items = {row[0]: ItemTraffic(*row[1:]) for row in self._rows("tracker_items")}
        trackers.restore(items, {row[0]: TrackerTraffic(*row[1:]) for row in self._rows("tracker_traffic")})

    def save_tracker_traffic(self, changes: UnsavedTraffic) -> None:
        """Write totals and the items they were counted from in one transaction: either alone would count twice."""
        if not (changes.items or changes.trackers):
            return
        present = [(one, *known) for one, known in changes.items.items() if known is not None]
        gone = [(one,) for one, known in changes.items.items() if known is None]
        with self._store.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO tracker_items VALUES (?, ?, ?, ?)", present)
            db.executemany("DELETE FROM tracker_items WHERE info_hash = ?", gone)
            db.executemany(
                "INSERT OR REPLACE INTO tracker_traffic VALUES (?, ?, ?)",
                [(tracker, *traffic) for tracker, traffic in changes.trackers.items()],
            )

    def _rows(self, table: str) -> list[tuple[Any, ...]]:
        return self._store.db.execute(f"SELECT * FROM {table}").fetchall()
