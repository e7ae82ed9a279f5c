"""Totals that count events equal the events in the same database, whenever their service was killed."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.counters import totals_and_events
from demo.private_rtorrent import PrivateRTorrent
from tests.processes.test_watcher_process import Process, process
from tests.scheduler_process import scheduler_beside
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.either_rtorrent(reason="it is about our totals: what they count is tested with both"),
]
__all__ = ["process"]


def kill_in_bursts(database: Path, act: Callable[[int], object], end: Callable[[], object], start: Callable[[], object],
                   finished: Callable[[], bool]) -> None:  # fmt: skip
    """Kill the service at arbitrary moments of its work; compare after each kill, and at the end."""
    chance = random.Random(20261127)
    for number in range(8):
        act(number)
        before = totals_and_events(database)[1]
        wanted = chance.randrange(1, 15)
        eventually(lambda: sum(totals_and_events(database)[1].values()) - sum(before.values()) >= wanted, 20)  # noqa: B023
        end()
        totals, events = totals_and_events(database)
        assert totals == events
        start()
    eventually(finished, 30)
    end()
    totals, events = totals_and_events(database)
    assert totals == events


def test_counters_of_the_watcher_equal_its_events_after_each_kill(process: Process) -> None:
    database = process.config_dir / "state" / "watcher.sqlite3"

    def drop(round_: int) -> None:
        for number in range(20):
            process.drop(f"{round_}/{number}.torrent")
            (process.root / f"{round_}" / f"bad {number}.torrent").write_bytes(b"bad")
        process.drop(f"{round_}/again.torrent", f"{round_} 3.torrent")

    def finished() -> bool:
        events = totals_and_events(database)[1]
        return events["pyrotorque_watch_loads_total"] == 160 and events["pyrotorque_watch_load_failures_total"] == 168

    kill_in_bursts(database, drop, process.end, process.start, finished)


def test_counters_of_the_scheduler_equal_its_events_after_each_kill(real: PrivateRTorrent, short_folder: Path) -> None:
    settings = {"schedule": "second=*", "downloading_max": 500, "start_at_once": 200}
    with scheduler_beside(real, short_folder, **settings) as scheduler:
        with (scheduler.config / "torque.ini").open("a") as ini:
            ini.write("\n".join((
                "", "job.bad.handler = pyrotorque.jobs.command:Command", "job.bad.schedule = hour=*",
                "job.bad.active = True", "job.bad.on = TorrentStarted", "job.bad.command = false", "",
            )))  # fmt: skip
        scheduler.start()
        database = scheduler.layout.database("scheduler")

        def load(round_: int) -> None:
            for number in range(10):
                scheduler.load(f"{round_} {number}")

        def finished() -> bool:
            events = totals_and_events(database)[1]
            return events["pyrotorque_queue_starts_total"] == 80 and events["pyrotorque_job_failures_total"] >= 20

        kill_in_bursts(database, load, scheduler.end, scheduler.start, finished)
