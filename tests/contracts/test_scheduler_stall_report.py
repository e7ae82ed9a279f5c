"""A queue whose slots all stand still while others wait is reported once, over a real rTorrent."""

from pathlib import Path

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import QueueResumed, QueueStalled
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.open_problems import OpenProblems
from pyrotorque_scheduler.queue.stall_report import StallReports
from tests.scheduling import QueueScene, moment, queue_job, queue_scene

HOUR = 3600.0


def reports(d: QueueScene) -> StallReports:
    return StallReports(OpenProblems(d.store, EventRouter(d.store, d.outbox)))


def look(d: QueueScene, stalls: StallReports, at: float) -> None:
    stalls.checked(d.queue, d.check(at=at), moment(at))


def stalled(d: QueueScene) -> list[str]:
    return [type(event).__name__ for event in d.events() if isinstance(event, QueueStalled | QueueResumed)]


def test_slots_that_stand_still_are_reported_while_others_wait(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=1)) as d:
        d.load("dead")
        stalls = reports(d)
        look(d, stalls, 0.0)
        look(d, stalls, HOUR)
        assert stalled(d) == [], "nothing waits"
        d.load("waiting")
        look(d, stalls, HOUR + 301)
        look(d, stalls, HOUR + 900)
        look(d, reports(d), HOUR + 1800)
        (event,) = (event for event in d.events() if isinstance(event, QueueStalled))
        assert (event.job, event.slots) == ("queue", 1)
        assert event.seconds >= 1800


def test_a_start_ends_it(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=1)) as d:
        dead, _ = d.load("dead"), d.load("waiting")
        stalls = reports(d)
        look(d, stalls, 0.0)
        look(d, stalls, 15.0)
        look(d, stalls, HOUR)
        assert stalled(d) == ["QueueStalled"]
        d.rtorrent.call("d.erase", dead)
        look(d, stalls, HOUR + 60)
        assert stalled(d) == ["QueueStalled", "QueueResumed"]


def test_it_can_be_switched_off(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=1, stall_report=0.0)) as d:
        d.load("dead")
        d.load("waiting")
        stalls = reports(d)
        look(d, stalls, 0.0)
        look(d, stalls, 15.0)
        look(d, stalls, 10 * HOUR)
        assert stalled(d) == []
