"""That rTorrent is away is said once, and its return when it did answer."""

import logging

import pytest

from pyrotorque.errors import RTorrentFault, RTorrentUnavailable
from pyrotorque_scheduler.reach import Reach


def lost() -> None:
    raise RTorrentUnavailable("rTorrent did not answer")


def refused() -> None:
    raise RTorrentFault("no such view", -501)


def test_its_absence_and_its_return_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    reach = Reach()
    with caplog.at_level(logging.INFO):
        assert [reach.tried("queue", call) for call in (lost, lost, lambda: None, lambda: None)] == [False] * 2 + [
            True
        ] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "rTorrent did not answer; waiting for it",
        "rTorrent answers again",
    ]


def test_a_check_that_needed_no_answer_does_not_tell_that_it_is_back() -> None:
    reach = Reach()
    reach.tried("queue", lost)
    assert reach.tried("paused queue", lambda: False)
    assert reach.away == "rTorrent did not answer"
    reach.tried("queue", lambda: True)
    assert reach.away is None


def test_who_refuses_is_not_away_and_says_the_same_only_once(caplog: pytest.LogCaptureFixture) -> None:
    reach = Reach()
    for _ in range(3):
        assert not reach.tried("queue", refused)
    assert reach.away is None
    assert [record.getMessage() for record in caplog.records] == ["queue: rTorrent refused: no such view"]
