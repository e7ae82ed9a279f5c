"""Totals of services are shown; without heartbeats their gauges are withdrawn, their counters stay."""

from typing import get_args

import msgspec

from pyrotorque.bus.stats import BusStats, Dropped
from pyrotorque.events import Delivery, Envelope, Family, Heartbeat, QueueChecked, Sample, TorrentErased, TotalsReported
from pyrotorque.totals import Totals
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.collectors.processes import ProcessesCollector
from pyrotorque_exporter.collectors.services import ServiceTotalsCollector, in_group_processes
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.families import from_services
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.service_states import FAMILIES_MAX, SAMPLES_MAX, SILENT_AFTER, ServiceStates
from tests.exporter_fakes import Clock, FakeRTorrent
from tests.exporter_scene import NOW, beat, families, live


def _names(states: ServiceStates) -> set[str]:
    return {family.name for family in states.families(lambda _: True)}


def _context() -> ScrapeContext:
    fake = FakeRTorrent()
    return ScrapeContext(NOW, RTorrentCalls(fake, fake))


def _scheduler(clock: Clock) -> ServiceStates:
    states = ServiceStates(clock)
    states.receive(live("scheduler", beat("scheduler")))
    states.receive(live("scheduler", TotalsReported(at=NOW, service="scheduler", families=families())))
    return states


def test_all_families_of_a_service_that_is_up_are_shown() -> None:
    assert _names(_scheduler(Clock())) == {family.name for family in families()}


def test_gauges_of_a_silent_service_are_withdrawn_and_counters_stay() -> None:
    clock = Clock()
    states = _scheduler(clock)
    clock.now += SILENT_AFTER + 1
    assert _names(states) == {"pyrotorque_watch_loads_total", "pyrotorque_watch_load_duration_seconds"}
    states.receive(live("scheduler", beat("scheduler")))
    assert "pyrotorque_queue_slots" in _names(states)


def test_restored_counters_are_shown_before_the_first_heartbeat() -> None:
    states = ServiceStates(Clock())
    states.restore([TotalsReported(at=NOW, service="scheduler", families=families())], {}, {})
    assert "pyrotorque_watch_loads_total" in _names(states)
    assert "pyrotorque_queue_slots" not in _names(states)


def test_each_group_shows_its_own_families() -> None:
    states = _scheduler(Clock())
    shown = {
        name: {one.name for one in ServiceTotalsCollector(name, states).collect(_context())}
        for name in ("queue", "watch", "jobs")
    }
    assert all(name.startswith("pyrotorque_queue_") for name in shown["queue"])
    assert shown["jobs"] == {"pyrotorque_job_next_run_timestamp_seconds"}
    assert "pyrotorque_watch_loads" in shown["watch"]


def test_families_of_no_group_are_shown_with_the_processes() -> None:
    assert in_group_processes("pyrotorque_bus_gaps_total")
    assert not in_group_processes("pyrotorque_queue_slots")
    assert not in_group_processes("rtorrent_up")


def test_too_many_families_or_samples_are_dropped() -> None:
    states = ServiceStates(Clock())
    wide = Family(
        name="pyrotorque_wide",
        kind="counter",
        help="…",
        labels=("x",),
        samples=tuple(Sample(labels=(str(number),)) for number in range(SAMPLES_MAX + 1)),
    )
    many = tuple(Family(name=f"pyrotorque_{n}", kind="counter", help="…") for n in range(FAMILIES_MAX))
    states.receive(live("watcher", TotalsReported(at=NOW, service="watcher", families=(wide, *many))))
    assert len(_names(states)) == FAMILIES_MAX - 1
    assert "pyrotorque_wide" not in _names(states)


def test_only_durable_events_are_counted() -> None:
    states = ServiceStates(Clock())
    states.receive(
        live("scheduler", QueueChecked(at=NOW, job="q", startable=1, downloading=1, slots=1, started=0, reason=""))
    )
    erased = live("scheduler", TorrentErased(at=NOW, info_hash="AA", name="x"))
    states.receive(Delivery(Envelope(source="scheduler", epoch="e", seq=1), erased.event))
    assert states.event_counts() == {("scheduler", "TorrentErased"): 1.0}


def test_the_same_counter_of_two_services_is_added_up() -> None:
    def gaps(value: float) -> Family:
        sample = Sample(labels=("guardian",), value=value)
        return Family(name="pyrotorque_bus_gaps_total", kind="counter", help="…", labels=("source",), samples=(sample,))

    (metric,) = from_services([gaps(1), gaps(2)])
    assert [sample.value for sample in metric.samples] == [3.0]


def test_a_histogram_becomes_cumulative() -> None:
    (metric,) = [one for one in from_services(families()) if one.type == "histogram"]
    buckets = {sample.labels.get("le"): sample.value for sample in metric.samples if sample.name.endswith("_bucket")}
    assert buckets == {"0.01": 30.0, "0.1": 40.0, "1.0": 42.0, "+Inf": 43.0}


def test_processes_are_up_while_they_send_heartbeats() -> None:
    clock = Clock()
    states = _scheduler(clock)
    states.expect(("scheduler", "guardian", "exporter"))
    processes = ProcessesCollector(states, tuple)
    exposition = Exposition(b"", tuple(processes.collect(_context())))
    assert exposition.labelled("pyrotorque_process_up") == {"scheduler": 1.0, "guardian": 0.0, "exporter": 1.0}
    clock.now += SILENT_AFTER + 1
    exposition = Exposition(b"", tuple(processes.collect(_context())))
    assert exposition.labelled("pyrotorque_process_up")["scheduler"] == 0.0


def test_restarts_start_at_zero_and_are_counted_by_the_guardian() -> None:
    states = ServiceStates(Clock())
    states.expect(("watcher",))
    counted = Family(
        name="pyrotorque_process_restarts_total",
        kind="counter",
        help="…",
        labels=("process",),
        samples=(Sample(labels=("watcher",), value=3.0),),
    )
    exposition = Exposition(b"", tuple(ProcessesCollector(states, tuple).collect(_context())))
    assert exposition.labelled("pyrotorque_process_restarts_total") == {"watcher": 0.0}
    states.receive(live("guardian", TotalsReported(at=NOW, service="guardian", families=(counted,))))
    exposition = Exposition(b"", tuple(ProcessesCollector(states, tuple).collect(_context())))
    assert exposition.labelled("pyrotorque_process_restarts_total")["watcher"] == 3.0


def test_services_on_different_configurations_are_counted() -> None:
    states = ServiceStates(Clock())
    for service, digest in (("scheduler", "one"), ("watcher", "two")):
        states.receive(live(service, _with_config(beat(service), digest)))
    exposition = Exposition(b"", tuple(ProcessesCollector(states, tuple).collect(_context())))
    assert exposition.value("pyrotorque_configurations") == 2.0


def _with_config(heartbeat: Heartbeat, digest: str) -> Heartbeat:
    return msgspec.structs.replace(heartbeat, config=digest)


def test_dropped_messages_are_counted_from_zero_for_every_reason() -> None:
    totals, stats = Totals(), BusStats()
    stats.count_into(totals)
    stats.drop("bad body", "…")
    (dropped,) = (family for family in totals.families() if "dropped" in family.name)
    assert {sample.labels: sample.value for sample in dropped.samples} == {
        (reason,): float(reason == "bad body") for reason in get_args(Dropped)
    }
