"""A scene for tests of the exporter: four services and a queue."""

from pyrotorque.events import (
    Delivery,
    Envelope,
    Event,
    Family,
    Heartbeat,
    Sample,
    ServiceStateChanged,
    TotalsReported,
)
from pyrotorque_exporter.service_states import ServiceStates
from tests.heartbeats import heartbeat

NOW = 1_800_000_000.0
ODD = 'Ødd <b>"name"</b> \\xff 名前 & more'
HASH = "0123456789ABCDEF0123456789ABCDEF01234567"


def families() -> tuple[Family, ...]:
    """A few families of each kind, as scheduler and watcher publish them."""
    queue = ("job_name",)

    def gauge(name: str, value: float, *labels: str) -> Family:
        sample = Sample(labels=labels, value=value)
        return Family(name=name, kind="gauge", help="…", labels=queue if labels else (), samples=(sample,))

    return (
        gauge("pyrotorque_queue_slots", 3, "queue"),
        gauge("pyrotorque_queue_downloading_items", 2, "queue"),
        gauge("pyrotorque_queue_startable_items", 17, "queue"),
        gauge("pyrotorque_queue_last_start_timestamp_seconds", NOW - 42, "queue"),
        gauge("pyrotorque_queue_intermission_end_timestamp_seconds", NOW + 18, "queue"),
        gauge("pyrotorque_job_next_run_timestamp_seconds", NOW + 4, "queue"),
        gauge("pyrotorque_watch_directories", 1234),
        gauge("pyrotorque_watch_pending_metafiles", 1),
        gauge("pyrotorque_watch_failed_metafiles", 2),
        Family(
            name="pyrotorque_watch_loads_total",
            kind="counter",
            help="Metafiles loaded, by mode.",
            labels=("mode",),
            samples=(Sample(labels=("start",), value=3), Sample(labels=("queued",), value=40)),
        ),
        Family(
            name="pyrotorque_watch_load_duration_seconds",
            kind="histogram",
            help="From the close of a metafile to its item in rTorrent.",
            bounds=(0.01, 0.1, 1.0),
            samples=(Sample(value=2.5, buckets=(30, 10, 2, 1), count=43),),
        ),
    )


def service_states(*, clock: float = 50.0) -> ServiceStates:
    """The states of the services at NOW; the guardian sends no heartbeats."""
    known = ServiceStates(lambda: clock)
    known.expect(("scheduler", "watcher", "exporter", "guardian"))
    for service in ("scheduler", "watcher"):
        known.receive(live(service, beat(service)))
        known.receive(live(service, ServiceStateChanged(at=NOW, service=service, state="RUNNING", before="STARTING")))
    known.receive(live("scheduler", TotalsReported(at=NOW, service="scheduler", families=families())))
    return known


def live(source: str, event: Event) -> Delivery:
    return Delivery(Envelope(source=source, epoch="e"), event)


def beat(service: str, *, pid: int = 1) -> Heartbeat:
    return heartbeat(at=NOW - 0.5, service=service, pid=pid, started=NOW - 7200, epoch="e", config="abc")
