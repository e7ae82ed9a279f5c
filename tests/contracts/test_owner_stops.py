"""A real rTorrent: an item that its owner stops or parks stays closed until its owner, or the time, starts it."""

from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.requests import ParkTorrent, Request, StartTorrent, StopTorrent
from pyrotorque.rtorrent.availability import Availability
from pyrotorque_scheduler.fire_times import FireTimes
from pyrotorque_scheduler.requests import RequestHandler
from tests.scheduling import QueueScene, moment, queue_job, queue_scene

STARTABLE = "is_ignored=no done=0 message= prio>0"


def no_check(*_: object) -> None:
    pass


def ask(scene: QueueScene, request: Request, at: float = 0.0) -> str:
    handler = RequestHandler(scene.job_table, FireTimes({}, 0.0, 0.0), Availability("jobs wait"))
    answer = handler.answer(request, moment(at), no_check)
    assert answer.ok, answer.text
    return answer.text


def test_a_stopped_item_is_started_by_its_owner_only(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(startable=STARTABLE, downloading_max=5, start_at_once=5)) as d:
        item = d.load("one")
        d.check(at=0.0)
        assert item in d.running()
        assert "until it is started" in ask(d, StopTorrent(info_hash=item.lower()), 1.0)
        assert item not in d.running()
        for at in (15.0, 30.0, 1e7):
            d.check(at=at)
        assert item not in d.running()
        ask(d, StartTorrent(info_hash=item), 1e7)
        assert item in d.running()


def test_a_waiting_item_can_be_stopped_before_it_starts(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(startable=STARTABLE, downloading_max=5, start_at_once=5)) as d:
        item = d.load("one")
        ask(d, StopTorrent(info_hash=item))
        d.check(at=15.0)
        assert item not in d.running()


def test_a_parked_item_is_started_again_after_the_time(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(startable=STARTABLE, downloading_max=5, start_at_once=5)) as d:
        item = d.load("one")
        d.check(at=0.0)
        assert "for 1 h" in ask(d, ParkTorrent(info_hash=item, seconds=3600.0), 1.0)
        d.check(at=1800.0)
        assert item not in d.running()
        d.check(at=3700.0)
        assert item in d.running()


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (StopTorrent(info_hash="0" * 40), "rTorrent has no item"),
        (ParkTorrent(info_hash="0" * 40, seconds=-1.0), "more than 0 s"),
        (ParkTorrent(info_hash="0" * 40, seconds=float("inf")), "more than 0 s"),
        (ParkTorrent(info_hash="0" * 40, seconds=float("nan")), "more than 0 s"),
        (StopTorrent(info_hash="0" * 40, job="nowhere"), "there is no queue job nowhere"),
    ],
)
def test_what_cannot_be_stopped(
    shared_rtorrent: PrivateRTorrent, tmp_path: Path, request_: Request, reason: str
) -> None:
    with queue_scene(shared_rtorrent, tmp_path, queue_job()) as d:
        handler = RequestHandler(d.job_table, FireTimes({}, 0.0, 0.0), Availability("jobs wait"))
        answer = handler.answer(request_, moment(0.0), no_check)
        assert not answer.ok
        assert reason in answer.text
