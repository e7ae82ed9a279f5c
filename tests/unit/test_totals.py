"""Totals count, travel as families, and survive a restart of their service."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from pyrotorque.errors import StateError
from pyrotorque.events import Family, Sample
from pyrotorque.store import Store, open_in_memory, open_store
from pyrotorque.totals import Counter, Histogram, Totals
from tests.threads import side_by_side


def only(totals: Totals) -> Family:
    (family,) = totals.families()
    return family


def test_a_counter_without_labels_begins_at_zero() -> None:
    totals = Totals()
    counter = totals.counter("loads_total", "Loads.")
    assert only(totals).samples == (Sample(value=0.0),)
    counter.inc()
    counter.inc(by=2)
    assert counter.get() == 3


def test_labels_make_samples_of_their_own_in_order() -> None:
    totals = Totals()
    counter = totals.counter("loads_total", "Loads.", ("job_name",))
    counter.inc("b")
    counter.inc("a")
    counter.inc("a")
    assert only(totals).samples == (Sample(labels=("a",), value=2.0), Sample(labels=("b",), value=1.0))
    counter.remove("a")
    assert [sample.labels for sample in only(totals).samples] == [("b",)]
    with pytest.raises(ValueError, match="has labels"):
        counter.inc()


def test_a_gauge_goes_up_and_down() -> None:
    totals = Totals()
    gauge = totals.gauge("slots", "Slots.", ("job_name",))
    gauge.set(5, "queue")
    gauge.inc("queue", by=-2)
    assert gauge.get("queue") == 3


def test_a_histogram_counts_each_observation_in_one_bucket() -> None:
    totals = Totals()
    histogram = totals.histogram("seconds", "Time.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    (sample,) = only(totals).samples
    assert (sample.buckets, sample.count, sample.value) == ((2.0, 1.0, 1.0), 4.0, 7.65)
    assert only(totals).bounds == (0.1, 1.0)


def test_wrong_definitions_are_refused() -> None:
    totals = Totals()
    totals.counter("a", "A.")
    with pytest.raises(ValueError, match="exists already"):
        totals.gauge("a", "A.")
    with pytest.raises(ValueError, match="must increase"):
        totals.histogram("b", "B.", (1.0, 1.0))


def test_a_label_that_is_no_utf8_is_shown() -> None:
    totals = Totals()
    totals.counter("loads_total", "Loads.", ("job_name",)).inc("\udcff")
    assert only(totals).samples[0].labels == ("\\xff",)


def defined() -> Totals:
    totals = Totals()
    totals.counter("loads_total", "Loads.", ("job_name",))
    totals.gauge("slots", "Slots.")
    totals.histogram("seconds", "Time.", (0.1, 1.0), ("job_name",))
    return totals


def test_counters_and_histograms_survive_a_restart_and_gauges_do_not(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    store, totals = open_store(path, []), Totals()
    totals.counter("loads_total", "Loads.", ("job_name",)).inc("w", by=7)
    totals.gauge("slots", "Slots.").set(9)
    totals.histogram("seconds", "Time.", (0.1, 1.0), ("job_name",)).observe(0.5, "w")
    totals.save(store)
    store.close()
    again, later = open_store(path, []), defined()
    later.load(again)
    loads, slots, seconds = later.families()
    assert loads.samples == (Sample(labels=("w",), value=7.0),)
    assert slots.samples == (Sample(value=0.0),)
    assert seconds.samples == (Sample(labels=("w",), value=0.5, buckets=(0.0, 1.0, 0.0), count=1.0),)
    again.close()


def test_what_has_other_labels_or_bounds_now_is_forgotten() -> None:
    store, totals = open_in_memory([], ""), Totals()
    totals.counter("loads_total", "Loads.", ("job_name", "kind")).inc("w", "io")
    totals.histogram("seconds", "Time.", (0.1,), ("job_name",)).observe(0.5, "w")
    totals.counter("gone_total", "Gone.").inc()
    totals.save(store)
    later = defined()
    later.load(store)
    assert [family.samples for family in later.families()] == [(), (Sample(value=0.0),), ()]
    store.close()


def test_only_what_changed_is_saved_and_a_failure_is_made_up_for() -> None:
    store, totals = open_in_memory([], ""), Totals()
    counter = totals.counter("loads_total", "Loads.")
    counter.inc()
    totals.save(store)
    changes = store.db.total_changes
    totals.save(store)
    assert store.db.total_changes == changes
    counter.inc()
    store.db.execute("PRAGMA query_only = on")
    with pytest.raises(StateError):
        totals.save(store)
    store.db.execute("PRAGMA query_only = off")
    totals.save(store)
    assert store.db.total_changes > changes
    store.close()


def test_threads_lose_no_count() -> None:
    counter = Totals().counter("loads_total", "Loads.")

    def count() -> None:
        for _ in range(2000):
            counter.inc()

    side_by_side(*[count] * 4)
    assert counter.get() == 8000


def test_what_is_counted_in_a_transaction_is_committed_with_it(tmp_path: Path) -> None:
    store = open_store(tmp_path / "watcher.sqlite3", [])
    _, counters = measured(store)
    counters.seen.inc()
    with store.transaction():
        counters.loads.inc("start")
        counters.seconds.observe(0.5)
        with store.transaction():
            counters.loads.inc("start")
    assert stored(store) == {"loads_total": 2.0, "seconds": 0.5, "seen_total": 1.0}
    store.close()


def test_what_is_counted_in_a_transaction_is_rolled_back_with_it(tmp_path: Path) -> None:
    store = open_store(tmp_path / "watcher.sqlite3", [])
    totals, counters = measured(store)
    with store.transaction():
        counters.loads.inc("start")
    before = totals.families()
    counters.seen.inc()

    def fail() -> None:
        with store.transaction():
            counters.loads.inc("start")
            counters.loads.inc("normal")
            counters.seconds.observe(0.5)
            counters.seconds.observe(7.0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (counters.loads.get("start"), counters.seconds.get(), counters.seen.get()) == (1.0, 0.0, 1.0)
    assert [family for family in totals.families() if family.name != "seen_total"] == [
        family for family in before if family.name != "seen_total"
    ]
    counters.loads.inc("start")
    totals.save(store)
    assert stored(store)["loads_total"] == 2.0
    store.close()


def test_what_a_full_disk_rolls_back_is_written_by_the_next_commit(tmp_path: Path) -> None:
    store = open_store(tmp_path / "watcher.sqlite3", [])
    _, counters = measured(store)
    counters.seen.inc(by=4)
    (pages,) = store.db.execute("PRAGMA page_count").fetchone()
    store.db.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        with store.transaction() as db:
            counters.loads.inc("start")
            db.execute("INSERT INTO bus_events VALUES (1, 0, zeroblob(100000))")

    with pytest.raises(StateError):
        fill()
    store.db.execute("PRAGMA max_page_count = 1000000")
    with store.transaction():
        counters.loads.inc("start")
    assert stored(store) == {"loads_total": 1.0, "seconds": 0.0, "seen_total": 4.0}
    store.close()


def test_totals_of_an_earlier_configuration_take_no_part_in_transactions(tmp_path: Path) -> None:
    store = open_store(tmp_path / "watcher.sqlite3", [])
    _, old = measured(store)
    with store.transaction():
        old.loads.inc("start", by=3)
    _, new = measured(store)
    with store.transaction():
        old.loads.inc("start")
        new.loads.inc("start")
    assert stored(store)["loads_total"] == 4.0
    store.close()


class Counters(NamedTuple):
    loads: Counter
    seen: Counter
    seconds: Histogram


def measured(store: Store) -> tuple[Totals, Counters]:
    totals = Totals()
    counters = Counters(
        totals.counter("loads_total", "Loads.", ("mode",)),
        totals.counter("seen_total", "Seen."),
        totals.histogram("seconds", "Time.", (1.0, 5.0)),
    )
    totals.load(store)
    return totals, counters


def stored(store: Store) -> dict[str, float]:
    """The stored values by name, added up over their labels."""
    found: dict[str, float] = {}
    for name, sample in store.db.execute("SELECT name, sample FROM kept_totals ORDER BY name"):
        found[name] = found.get(name, 0.0) + msgspec.json.decode(sample, type=Sample).value
    return found
