"""Totals are saved and published soon after they changed, and regularly in any case."""

from dataclasses import dataclass, field

import pytest

from pyrotorque.events import Live, TotalsReported
from pyrotorque.layout import Layout
from pyrotorque.service.clock_step import ClockStepDetector
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.store import open_store
from pyrotorque.totals import Totals


@dataclass
class RecordingBus:
    """Keeps what is published."""

    published: list[Live] = field(default_factory=list[Live])

    def publish_live(self, event: Live) -> None:
        self.published.append(event)


def test_changed_totals_are_published_after_five_seconds_and_unchanged_ones_after_thirty(layout: Layout) -> None:
    store, bus, totals = open_store(layout.database("watcher"), []), RecordingBus(), Totals()
    loads = totals.counter("pyrotorque_loads_total", "Loads.")
    report = TotalsReport("watcher", totals, bus)
    when: list[int] = []
    for second in range(71):
        if second in (7, 40):
            loads.inc()
        if report.is_due(second):
            before = len(bus.published)
            report.save_and_publish(store, second)
            when += [second] * (len(bus.published) - before)
    assert when == [0, 7, 37, 42]
    last = bus.published[-1]
    assert isinstance(last, TotalsReported)
    assert (last.service, last.families[0].samples[0].value) == ("watcher", 2.0)
    again = Totals()
    kept = again.counter("pyrotorque_loads_total", "Loads.")
    again.load(store)
    assert kept.get() == 2.0
    store.close()


@pytest.mark.parametrize(
    ("now", "monotonic", "step"),
    [(1060.0, 60.0, 0.0), (1060.9, 60.0, 0.0), (4660.0, 60.0, 3600.0), (960.0, 60.0, -100.0)],
    ids=["as it should be", "less than a second off", "set forward", "set back"],
)
def test_a_step_of_the_clock_is_seen_once(
    monkeypatch: pytest.MonkeyPatch, now: float, monotonic: float, step: float
) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    detector = ClockStepDetector()
    assert detector.step(now, monotonic) == pytest.approx(step)
    assert detector.step(now + 1, monotonic + 1) == 0.0
