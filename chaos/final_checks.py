"""The end of a run: waits until all work is done, then checks logs, databases and descriptors."""

import os
from collections.abc import Sequence
from contextlib import closing, suppress

from chaos.accounting import balance, listener_record
from chaos.clock import put_right
from chaos.counters import miscounted
from chaos.report import Counted, FinalState
from chaos.scene import Scene
from chaos.stream import Written
from pyrotorque.events import LoadFailed, TorrentLoaded
from pyrotorque.layout import SERVICES
from pyrotorque.store import open_readonly

_DRAIN_TIMEOUT = 120.0
_COUNT_TIMEOUT = 10.0
_SHOWN = 5


def drain(made: Scene, written: Sequence[Written]) -> None:
    """Wait until all written metafiles are loaded, started and reported, or until the timeout."""

    def drained() -> bool:
        made.keep_committed(*SERVICES)
        known = listener_record(made.listener.database)
        books = balance(written, made.items(), made.committed.events, known, made.rtorrent_killed)
        return not (
            books.lost or books.not_started or books.unpublished or books.start_unpublished or books.events_lost
        ) and not made.misplaced(list(written))

    try:
        made.until(drained, "everything loaded, started and published", _DRAIN_TIMEOUT)
    except TimeoutError as error:
        print(error, flush=True)


def final_state(made: Scene) -> FinalState:
    counted = _counted(made)
    made.keep_committed(*SERVICES)
    found = FinalState(
        load_latency=[
            put_right(event.seconds, 0.0)
            for event in made.committed.events.values()
            if isinstance(event, TorrentLoaded)
        ],
        silence=made.heartbeats.longest_silence(made.fault_periods),
        counted=counted,
        misplaced=made.misplaced(made.stream.written),
    )
    log_lines = made.log("watcher").splitlines()
    for event in [event for event in made.committed.events.values() if isinstance(event, LoadFailed)][:_SHOWN]:
        about = [line for line in log_lines if event.metafile in line]
        found.failed_loads.append("\n  ".join([f"{event.metafile}: {event.kind}, {event.reason}", *about]))
    for service in SERVICES:
        folder = f"/proc/{made.holder(service)}/fd"
        found.descriptors.append(f"{service} {len(os.listdir(folder)) if os.path.isdir(folder) else 'gone'}")
        log = made.log(service)
        _, error, rest = log.partition("unexpected error, please report")
        if error:
            found.bugs.append(f"{service} logged an {error}{rest[:3000]}")
    for service in ("watcher", "scheduler"):
        # Trimmed outboxes no longer have the events that were counted.
        if service not in made.trimmed:
            found.miscounted += miscounted(made.layout.database(service))
    databases = [*(made.layout.database(service) for service in SERVICES), made.listener.database]
    for path in databases:
        with closing(open_readonly(path)) as db:
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
            found.unsound += [] if verdict == "ok" else [f"{path.name}: {verdict}"]
    return found


def _counted(made: Scene) -> Counted:
    """The events counted by the exporter after it has received the last."""

    def look() -> Counted:
        with closing(open_readonly(made.layout.database("exporter"))) as db:
            counted = sum(count for (count,) in db.execute("SELECT count FROM event_counts"))
            gaps = db.execute("SELECT count(*) FROM bus_gaps").fetchone()[0]
        # In this order the exporter cannot have counted more than were committed.
        made.keep_committed(*SERVICES)
        return Counted(counted, sum(place.source != "exporter" for place in made.committed.events), gaps)

    def has_all() -> bool:
        now = look()
        return bool(now.gaps) or now.counted >= now.others

    with suppress(TimeoutError):
        made.until(has_all, "everything counted by the exporter", _COUNT_TIMEOUT)
    return look()
