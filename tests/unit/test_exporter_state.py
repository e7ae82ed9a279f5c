"""The exporter's counts survive its restart; each event counts exactly once."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyrotorque.events import Delivery, Durable, Envelope, ServiceStateChanged, TorrentLoaded, TotalsReported
from pyrotorque.store import Connection, Store, open_store
from pyrotorque_exporter.state import MIGRATIONS, ExporterState
from pyrotorque_exporter.tracker_totals import ItemTraffic, TrackerTotals, TrackerTraffic
from tests.exporter_scene import HASH, families


@dataclass
class PlainBus:
    """Applies deliveries as the bus does, without cursors."""

    store: Store

    @contextmanager
    def applying(self, delivery: Delivery) -> Generator[Connection, None, None]:
        with self.store.transaction() as db:
            yield db


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "exporter.sqlite3", MIGRATIONS)
    yield opened
    opened.close()


def _apply(store: Store, state: ExporterState, *events: Durable) -> None:
    for number, event in enumerate(events, 1):
        state.apply(PlainBus(store), Delivery(Envelope(source="watcher", epoch="e", seq=number), event), event)


def _loaded(number: int) -> TorrentLoaded:
    return TorrentLoaded(
        at=float(number), info_hash=HASH, name=f"item {number}", metafile="", job="", mode="normal", seconds=0.0
    )


def test_events_are_counted_over_restarts(store: Store) -> None:
    _apply(store, ExporterState(store), *(_loaded(number) for number in range(3)))
    again = ExporterState(store)
    _apply(store, again, _loaded(9))
    assert ExporterState(store).event_counts() == {("watcher", "TorrentLoaded"): 4}


def test_names_that_an_earlier_version_stored_for_its_page_are_removed(store: Store) -> None:
    store.db.execute("INSERT INTO recent_events (type, body) VALUES ('TorrentLoaded', ?)", (b"{}",))
    ExporterState(store)
    assert store.db.execute("SELECT count(*) FROM recent_events").fetchone() == (0,)


def test_the_last_state_of_each_process_is_stored(store: Store) -> None:
    changes = [ServiceStateChanged(at=1.0, service="watcher", state=state, before="") for state in ("FATAL", "RUNNING")]
    _apply(store, ExporterState(store), *changes)
    assert ExporterState(store).states() == {"watcher": "RUNNING"}


def test_the_last_totals_are_restored(store: Store) -> None:
    totals = TotalsReported(at=1.0, service="scheduler", families=families())
    ExporterState(store).save_totals([totals])
    assert ExporterState(store).last_totals() == [totals]


def test_totals_in_another_format_are_dropped(store: Store) -> None:
    store.db.execute("INSERT INTO last_totals VALUES ('scheduler', ?)", (b'{"type": "TotalsReported"}',))
    assert ExporterState(store).last_totals() == []


def test_tracker_traffic_is_restored_with_its_items(store: Store) -> None:
    totals = TrackerTotals(10)
    totals.update([("AA", 10, 0), ("BB", 5, 5)], {"AA": "x", "BB": "y"}, 0.0)
    totals.update([("AA", 30, 2)], {"AA": "x"}, 1.0)
    ExporterState(store).save_tracker_traffic(totals.drain())
    again = TrackerTotals(10)
    ExporterState(store).restore_trackers(again)
    assert again.update([("AA", 31, 2), ("BB", 6, 5)], {"AA": "x", "BB": "y"}, 2.0) == {
        "x": TrackerTraffic(21, 2),
        "y": TrackerTraffic(1, 0),
    }
    assert again.drain().items == {"AA": ItemTraffic(31, 2), "BB": ItemTraffic(6, 5)}
