"""Compares the totals that count events with the events in the same database."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.events import (
    JobFailed,
    LoadFailed,
    QuarantinePurged,
    Sample,
    StartFailed,
    TorrentCompleted,
    TorrentLoaded,
    TorrentMoved,
    TorrentRemoved,
    TorrentRestored,
    TorrentStarted,
    decode,
)
from pyrotorque.outbox import stored_events
from pyrotorque.store import open_readonly

_FAILED_RUNS: Final = "pyrotorque_job_failures_total"
COUNTED: Final[Mapping[str, type]] = {
    "pyrotorque_watch_loads_total": TorrentLoaded,
    "pyrotorque_watch_load_duration_seconds": TorrentLoaded,
    "pyrotorque_watch_load_failures_total": LoadFailed,
    "pyrotorque_queue_starts_total": TorrentStarted,
    "pyrotorque_queue_start_failures_total": StartFailed,
    "pyrotorque_queue_completed_total": TorrentCompleted,
    "pyrotorque_job_moved_items_total": TorrentMoved,
    "pyrotorque_cleanup_removed_items_total": TorrentRemoved,
    "pyrotorque_cleanup_restored_entries_total": TorrentRestored,
    "pyrotorque_cleanup_purged_entries_total": QuarantinePurged,
    _FAILED_RUNS: JobFailed,
}


def totals_and_events(database: Path) -> tuple[dict[str, float], dict[str, float]]:
    """What the totals are, and how many events of their types are stored."""
    found = dict.fromkeys(COUNTED, 0.0)
    with closing(open_readonly(database)) as db:
        for name, body in db.execute("SELECT name, sample FROM kept_totals"):
            sample = msgspec.json.decode(body, type=Sample)
            if name in found:
                found[name] += sample.count if sample.buckets else sample.value
    events = Counter(type(decode(body).event) for body in stored_events(database))
    return found, {name: float(events[kind]) for name, kind in COUNTED.items()}


def miscounted(database: Path) -> list[str]:
    """Totals that differ from their events; read again, because the service may write between both readings.

    A check of a queue that finds no rTorrent is a failed run without an event.
    """
    lines: list[str] = []
    for _ in range(20):
        totals, events = totals_and_events(database)
        different = [name for name in COUNTED if totals[name] != events[name] and name != _FAILED_RUNS]
        lines = [f"{name} is {totals[name]:g} for {events[name]:g} events" for name in different]
        if not lines:
            break
    return lines
