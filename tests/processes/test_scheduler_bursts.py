"""The scheduler overwhelmed, killed, reconfigured: a handful of checks, a memory that holds, and always an answer."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus import Bus, ask
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.events import TorrentLoaded
from pyrotorque.outbox import Outbox
from pyrotorque.requests import ExplainQueue, PauseJob, ResumeJob
from pyrotorque.settings.schema import QueueSettings
from pyrotorque.store import open_store
from pyrotorque.totals import Totals
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.state import MIGRATIONS
from tests.scheduler_process import Scheduler, scheduler_beside
from tests.waiting import bound, eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("rtorrent_program")]

BURST = 3_000


@pytest.fixture
def scheduler(real: PrivateRTorrent, short_folder: Path) -> Iterator[Scheduler]:
    with scheduler_beside(real, short_folder, schedule="second=*/15", start_at_once=1) as made:
        yield made


def checks_by_event(scheduler: Scheduler) -> float:
    """How many checks something else than the schedule caused, as counted when it ended."""
    scheduler.end(signal.SIGTERM)
    store = open_store(scheduler.layout.database("scheduler"), MIGRATIONS)
    try:
        totals = Totals()
        metrics = SchedulerMetrics(totals)
        metrics.introduce_queue(QueueSettings(name="queue", handler=""))
        totals.load(store)
        families = {family.name: family for family in totals.families()}
        samples = families["pyrotorque_queue_checks_total"].samples
        return sum(sample.value for sample in samples if "event" in sample.labels)
    finally:
        store.close()


def burst(scheduler: Scheduler, count: int = BURST) -> float:
    """Thousands of TorrentLoaded from the place of the watcher, and rTorrent's bell all the while; how long it took."""
    began = time.monotonic()
    store = open_store(scheduler.layout.database("watcher"), ())
    outbox = Outbox(store, "watcher")
    with Bus(scheduler.layout, "watcher", outbox) as bus:
        # A subscriber that comes first needs a moment to find who binds later.
        eventually(lambda: time.monotonic() - began > 1)
        for number in range(count):
            with store.transaction():
                outbox.add(_loaded(number))
            bus.publish()
            if number % 20 == 0:
                scheduler.rtorrent.call("load.raw", "", make_metafile(f"burst {number}"))
        bus.wait(0.5)
    store.close()
    return time.monotonic() - began


def _loaded(number: int) -> TorrentLoaded:
    return TorrentLoaded(
        at=time.time(),
        info_hash=f"{number:040X}",
        name=f"burst {number}",
        metafile=f"/{number}.torrent",
        job="treewatch",
        mode="queued",
        seconds=0.01,
    )


def test_thousands_of_loads_are_a_handful_of_checks(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.configure(real.url, schedule="second=*", start_at_once=500, downloading_max=2, downloading_min=0)
    scheduler.start()
    took = burst(scheduler)
    assert checks_by_event(scheduler) <= 1 + 3 + took + 2


def test_events_that_can_start_nothing_cause_no_check(scheduler: Scheduler) -> None:
    scheduler.start()
    scheduler.load("one")
    eventually(scheduler.running)
    took = burst(scheduler)
    assert checks_by_event(scheduler) <= 1 + 3 + took / 15 + 2


def test_the_last_start_survives_a_kill(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.configure(real.url, schedule="second=*", intermission=60)
    scheduler.start()
    first = scheduler.load("first")
    eventually(lambda: scheduler.running() == {first})
    scheduler.load("second")
    for _ in range(3):
        scheduler.end()
        scheduler.start()
        hold = scheduler.ask(ExplainQueue()).data[0]["hold"]
        assert (hold["reason"], scheduler.running()) == ("intermission", {first})


def test_a_resumed_queue_starts_the_items_that_waited(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.configure(real.url, schedule="minute=*", start_at_once=1)
    scheduler.start()
    assert scheduler.ask(PauseJob(job="queue")).ok
    item = scheduler.load("one")
    eventually(lambda: scheduler.rtorrent.call("view.size", "", "main") == 1)
    assert scheduler.ask(ResumeJob(job="queue")).ok
    eventually(lambda: item in scheduler.running(), 20)


def test_requests_during_a_reload_are_answered(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.start()
    unanswered: list[str] = []
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            try:
                ask(scheduler.layout, "scheduler", ExplainQueue(), bound(20))
            except ServiceUnreachable as error:
                unanswered.append(str(error))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    assert scheduler.process is not None
    for number in range(3):
        scheduler.configure(real.url, schedule="second=*/15", downloading_max=number + 1)
        scheduler.process.send_signal(signal.SIGHUP)
        eventually(lambda n=number: scheduler.log().count("configuration reloaded") == n + 1, 20)  # type: ignore[misc]
    done.set()
    asking.join(bound(20))
    assert unanswered == []
