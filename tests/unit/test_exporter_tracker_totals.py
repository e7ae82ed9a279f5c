"""Traffic by tracker never decreases: not when items are erased, nor when rTorrent or the exporter restarts."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from pyrotorque_exporter.tracker_totals import (
    REMEMBERED_FOR,
    ItemTraffic,
    TrackerTotals,
    TrackerTraffic,
    UnsavedTraffic,
)


@dataclass
class Days:
    """A sequence of scrapes; items are given as hash=(tracker, up, down)."""

    limit: int = 10
    now: float = 0.0
    totals: TrackerTotals = field(init=False)
    kept_items: dict[str, ItemTraffic] = field(default_factory=dict[str, ItemTraffic])
    kept_totals: dict[str, TrackerTraffic] = field(default_factory=dict[str, TrackerTraffic])

    def __post_init__(self) -> None:
        self.totals = TrackerTotals(self.limit)

    def scrape(self, **items: tuple[str, int, int]) -> dict[str, TrackerTraffic]:
        self.now += 60
        rows = [(name, up, down) for name, (_, up, down) in items.items()]
        found = self.totals.update(rows, {name: item[0] for name, item in items.items()}, self.now)
        self._keep(self.totals.drain())
        return found

    def restart(self) -> "Days":
        self.totals = TrackerTotals(self.limit)
        self.totals.restore(self.kept_items, self.kept_totals)
        return self

    def _keep(self, changes: UnsavedTraffic) -> None:
        self.kept_totals |= changes.trackers
        for name, known in changes.items.items():
            if known is None:
                self.kept_items.pop(name)
            else:
                self.kept_items[name] = known


def test_totals_at_the_first_scrape_are_not_counted() -> None:
    assert Days().scrape(a=("x", 1000, 500)) == {"x": TrackerTraffic(0, 0)}


def test_growth_is_counted() -> None:
    days = Days()
    days.scrape(a=("x", 1000, 500))
    assert days.scrape(a=("x", 1100, 520)) == {"x": TrackerTraffic(100, 20)}


def test_an_item_that_is_loaded_later_counts_in_full() -> None:
    days = Days()
    days.scrape(a=("x", 1000, 0))
    assert days.scrape(a=("x", 1000, 0), b=("y", 30, 40))["y"] == TrackerTraffic(30, 40)


def test_the_traffic_of_an_erased_item_stays_counted() -> None:
    days = Days()
    days.scrape(a=("x", 0, 0), b=("x", 0, 0))
    days.scrape(a=("x", 70, 0), b=("x", 5, 0))
    assert days.scrape(b=("x", 5, 0)) == {"x": TrackerTraffic(75, 0)}


def test_an_item_that_comes_back_is_not_counted_twice() -> None:
    days = Days()
    days.scrape(a=("x", 0, 0))
    days.scrape(a=("x", 70, 0))
    days.scrape()
    assert days.scrape(a=("x", 80, 0)) == {"x": TrackerTraffic(80, 0)}


def test_an_item_erased_days_ago_is_deleted() -> None:
    days = Days()
    days.scrape(a=("x", 0, 0))
    days.scrape()
    days.now += REMEMBERED_FOR
    days.scrape()
    assert days.kept_items == {}
    assert days.scrape(a=("x", 5, 0)) == {"x": TrackerTraffic(5, 0)}


def test_totals_that_decrease_in_rtorrent_do_not_decrease_here() -> None:
    days = Days()
    days.scrape(a=("x", 1000, 0))
    days.scrape(a=("x", 1500, 0))
    assert days.scrape(a=("x", 1200, 0)) == {"x": TrackerTraffic(500, 0)}
    assert days.scrape(a=("x", 1250, 0)) == {"x": TrackerTraffic(550, 0)}


def test_counting_continues_after_a_restart_of_the_exporter() -> None:
    days = Days()
    days.scrape(a=("x", 1000, 0))
    days.scrape(a=("x", 1100, 0))
    assert days.restart().scrape(a=("x", 1300, 0)) == {"x": TrackerTraffic(300, 0)}


def test_an_item_loaded_while_the_exporter_was_down_counts_in_full() -> None:
    days = Days()
    days.scrape(a=("x", 1000, 0))
    assert days.restart().scrape(a=("x", 1000, 0), b=("x", 7, 0)) == {"x": TrackerTraffic(7, 0)}


def test_trackers_beyond_the_limit_permanently_count_as_other() -> None:
    days = Days(limit=2)
    days.scrape(a=("x", 0, 0), b=("y", 0, 0))
    found = days.scrape(a=("x", 1, 0), b=("y", 2, 0), c=("z", 4, 0), d=("w", 8, 0))
    assert found == {"x": TrackerTraffic(1, 0), "y": TrackerTraffic(2, 0), "other": TrackerTraffic(12, 0)}
    assert days.totals.exceeded


def test_unwritten_changes_are_drained_again_unless_newer_ones_exist() -> None:
    totals = TrackerTotals(10)
    totals.update([("a", 1, 0), ("b", 1, 0)], {"a": "x", "b": "x"}, 0.0)
    lost = totals.drain()
    totals.update([("a", 5, 0), ("b", 1, 0)], {"a": "x", "b": "x"}, 1.0)
    totals.restore_unsaved(lost)
    changes = totals.drain()
    assert changes.items == {"a": ItemTraffic(5, 0), "b": ItemTraffic(1, 0)}
    assert changes.trackers == {"x": TrackerTraffic(4, 0)}


def test_a_tracker_without_traffic_keeps_its_label_over_a_restart() -> None:
    days = Days(limit=2)
    days.scrape(a=("x", 0, 0))
    days.scrape(a=("x", 0, 0), b=("y", 0, 0))
    assert days.restart().scrape(a=("z", 5, 0)).keys() == {"x", "y", "other"}


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abcd"),
            st.tuples(st.sampled_from(["x", "y", "z"]), st.integers(0, 100), st.integers(0, 100)),
        ),
        max_size=12,
    ),
    st.sets(st.integers(0, 12)),
)
def test_no_history_makes_a_counter_decrease(
    scrapes: list[dict[str, tuple[str, int, int]]], restarts: set[int]
) -> None:
    days = Days(limit=2)
    before: dict[str, TrackerTraffic] = {}
    for number, items in enumerate(scrapes):
        if number in restarts:
            days.restart()
        found = days.scrape(**items)
        assert all(found[name].up >= was.up and found[name].down >= was.down for name, was in before.items())
        before = found


def test_items_of_another_session_count_from_the_first_reading_on() -> None:
    totals = TrackerTotals(10)
    totals.update([("AA", 100, 0)], {"AA": "one"}, 0.0)
    totals.update([("AA", 150, 0)], {"AA": "one"}, 60.0)
    assert totals.current() == {"one": TrackerTraffic(50, 0)}
    totals.update([("BB", 900, 0)], {"BB": "one"}, 120.0, era=1)
    assert totals.update([("BB", 910, 0), ("CC", 5, 0)], {"BB": "one", "CC": "one"}, 180.0, era=1) == {
        "one": TrackerTraffic(65, 0)
    }
