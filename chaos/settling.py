"""The end of a run: everything comes to rest, and what can only be seen then is looked at."""

import os
from collections.abc import Sequence
from contextlib import closing

from chaos.books import balance, heard
from chaos.report import Aftermath
from chaos.scene import Scene
from chaos.stream import Written
from pyrotorque.events import TorrentLoaded
from pyrotorque.layout import SERVICES
from pyrotorque.store import open_readonly

_WITHIN = 120.0


def drain(made: Scene, written: Sequence[Written]) -> None:
    """Wait until everything that was written is loaded, started and told, or it is clear that it never will be."""

    def drained() -> bool:
        made.keep_committed(*SERVICES)
        known = heard(made.listener.database)
        books = balance(written, made.items(), made.committed.events, known, made.rtorrent_killed)
        return not (books.lost or books.not_started or books.untold or books.start_untold or books.events_lost)

    try:
        made.until(drained, "everything loaded, started and told", _WITHIN)
    except TimeoutError as error:
        print(error, flush=True)


def aftermath(made: Scene) -> Aftermath:
    made.keep_committed(*SERVICES)
    found = Aftermath(
        load_latency=[event.seconds for event in made.committed.events.values() if isinstance(event, TorrentLoaded)],
        silence=made.ears.longest_silence(made.hurts),
    )
    for service in SERVICES:
        folder = f"/proc/{made.holder(service)}/fd"
        found.descriptors.append(f"{service} {len(os.listdir(folder)) if os.path.isdir(folder) else 'gone'}")
        log = made.log(service)
        found.bugs += [f"{service} logged a bug; its log ends: {log[-1500:]}"] if "a bug, please report" in log else []
    databases = [*(made.layout.database(service) for service in SERVICES), made.listener.database]
    for path in databases:
        with closing(open_readonly(path)) as db:
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
            found.unsound += [] if verdict == "ok" else [f"{path.name}: {verdict}"]
    found.counted = _counted(made)
    return found


def _counted(made: Scene) -> str:
    """Whether the exporter, a durable listener too, has counted as many events as there were."""
    with closing(open_readonly(made.layout.database("exporter"))) as db:
        counted = sum(count for (count,) in db.execute("SELECT count FROM event_counts"))
        gaps = db.execute("SELECT count(*) FROM bus_gaps").fetchone()[0]
    others = sum(place.source != "exporter" for place in made.committed.events)
    return f"{counted} of {others} events, with {gaps} gaps of its own"
