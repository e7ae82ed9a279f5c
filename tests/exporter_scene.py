"""A scene for page and golden tests: four services, a queue, loads and failures, with odd names."""

from pyrotorque.events import (
    Delivery,
    Durable,
    Envelope,
    Event,
    Family,
    Heartbeat,
    JobFailed,
    LoadFailed,
    QueueChecked,
    Sample,
    ServiceStateChanged,
    TorrentLoaded,
    TorrentStarted,
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


def recent() -> list[Durable]:
    """Recent events, oldest first."""
    loaded = [
        TorrentLoaded(
            at=NOW - 60 * age,
            info_hash=HASH,
            name=name,
            metafile=f"/watch/{age}.torrent",
            job="treewatch",
            mode="queued",
            seconds=0.012 * age,
        )
        for age, name in ((90, "A plain name"), (5, ODD), (1, "x" * 180))
    ]
    return [
        LoadFailed(
            at=NOW - 7000,
            metafile="/watch/a.torrent",
            job="treewatch",
            kind="invalid",
            reason="not a metafile: ends early",
        ),
        *loaded,
        TorrentStarted(at=NOW - 42, info_hash=HASH, name=ODD, job="queue", waited=258.0),
        JobFailed(at=NOW - 30, job="mover", reason=f"no space for {ODD}", seconds=1.0),
        ServiceStateChanged(at=NOW - 20, service="watcher", state="EXITED", before="RUNNING", reason=""),
        LoadFailed(at=NOW - 10, metafile=f"/watch/{ODD}", job="treewatch", kind="too_large", reason=f"{ODD} is large"),
    ]


def service_states(*, clock: float = 50.0) -> ServiceStates:
    """The states of the services at NOW; the guardian sends no heartbeats."""
    known = ServiceStates(lambda: clock)
    known.expect(("scheduler", "watcher", "exporter", "guardian"))
    for service in ("scheduler", "watcher"):
        known.receive(live(service, beat(service)))
        known.receive(live(service, ServiceStateChanged(at=NOW, service=service, state="RUNNING", before="STARTING")))
    known.receive(live("scheduler", TotalsReported(at=NOW, service="scheduler", families=families())))
    known.receive(
        live(
            "scheduler",
            QueueChecked(
                at=NOW - 1,
                job="queue",
                startable=None,
                downloading=2,
                slots=3,
                started=0,
                reason="intermission: 18 s until the next batch",
                summary="intermission: 18 s until the next batch",
            ),
        )
    )
    return known


def live(source: str, event: Event) -> Delivery:
    return Delivery(Envelope(source=source, epoch="e"), event)


def beat(service: str, *, pid: int = 1) -> Heartbeat:
    return heartbeat(at=NOW - 0.5, service=service, pid=pid, started=NOW - 7200, epoch="e", config="abc")
