"""Totals are saved and published soon after they changed, and regularly in any case."""

from dataclasses import dataclass, field

from pyrotorque.events import Live, TotalsReported
from pyrotorque.layout import Layout
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
