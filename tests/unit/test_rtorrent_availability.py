"""rTorrent's absence is logged once, its return when it did answer; calls wait in between."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrotorque import logs
from pyrotorque.errors import RTorrentFault, RTorrentUnavailable, SessionNotKnown, UserError
from pyrotorque.layout import Layout
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.availability import Availability
from pyrotorque.settings.schema import RTorrentSettings


def lost() -> None:
    raise RTorrentUnavailable("no answer within 10 s")


def refused() -> None:
    raise RTorrentFault("no such view", -501)


@pytest.fixture
def availability() -> Availability:
    return Availability("waiting")


def test_its_absence_and_its_return_are_logged_once(
    availability: Availability, caplog: pytest.LogCaptureFixture
) -> None:
    calls = (lost, lost, lambda: None, lambda: None)
    with caplog.at_level(logging.INFO):
        succeeded = [availability.attempt("queue", call, 100.0 + 20 * n) for n, call in enumerate(calls)]
    assert succeeded == [False, False, True, True]
    assert [record.getMessage() for record in caplog.records] == [
        "rTorrent is unavailable: no answer within 10 s; waiting",
        "rTorrent answers again after 40 s",
    ]


def uncomputable() -> None:
    raise UserError("config.py did not respond within 5 s")


def unknown_session() -> None:
    raise SessionNotKnown("another rTorrent answers")


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lost, "no answer within 10 s"),
        (refused, "rTorrent refused: no such view"),
        (uncomputable, "config.py did not respond within 5 s"),
        (unknown_session, "another rTorrent answers"),
    ],
)
def test_the_reason_of_a_failed_attempt_is_kept_until_the_next_one(
    availability: Availability, call: Callable[[], None], why: str
) -> None:
    for now in (1.0, 2.0):
        assert not availability.attempt("queue", call, now)
        assert availability.failure == why
    assert availability.attempt("queue", lambda: False, 3.0)
    assert availability.failure == ""


def owners_lines(tmp_path: Path) -> list[str]:
    path = Layout.below(tmp_path).log_dir / logs.OWNERS_LOG
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.partition(" ")[2].partition(" ")[2] for line in lines]


@pytest.fixture
def owners_log(tmp_path: Path) -> None:
    layout = Layout.below(tmp_path)
    layout.prepare()
    logs.configure("INFO", "watcher", layout)


@pytest.mark.usefixtures("owners_log")
def test_a_long_absence_is_a_warning_to_the_owner_and_its_end_has_the_duration(
    availability: Availability, tmp_path: Path
) -> None:
    for now in (0.0, 2.0, 29.0, 31.0, 33.0, 80.0):
        availability.lost(RTorrentUnavailable("it hangs"), now)
    availability.answered(90.0)
    assert owners_lines(tmp_path) == [
        "WARN watcher: rTorrent is unavailable for 31 s: it hangs; waiting",
        "INFO watcher: rTorrent answers again after 90 s",
    ]


@pytest.mark.usefixtures("owners_log")
def test_a_restart_of_rtorrent_needs_no_owner(availability: Availability, tmp_path: Path) -> None:
    for now in (0.0, 10.0):
        availability.lost(RTorrentUnavailable("it restarts"), now)
    availability.answered(12.0)
    assert owners_lines(tmp_path) == ["INFO watcher: rTorrent answers again after 12 s"]
    for now in (100.0, 131.0):
        availability.lost(RTorrentUnavailable("gone"), now)
    assert owners_lines(tmp_path)[-1] == "WARN watcher: rTorrent is unavailable for 31 s: gone; waiting"


def test_pauses_between_calls_grow_to_two_seconds(availability: Availability) -> None:
    pauses: list[float] = []
    for _ in range(6):
        availability.lost(RTorrentUnavailable("it hangs"), 10.0)
        pauses.append(availability.retry_at - 10.0)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]
    availability.answered(11.0)
    assert (availability.retry_at, availability.problem) == (0.0, "")


def test_a_clock_that_was_set_delays_no_call(availability: Availability, caplog: pytest.LogCaptureFixture) -> None:
    availability.lost(RTorrentUnavailable("it hangs"), 5000.0)
    availability.clock_stepped(-3600.0)
    assert availability.retry_at == 0.0
    with caplog.at_level(logging.INFO):
        availability.answered(1410.0)
    assert "after 10 s" in caplog.text


def test_a_call_that_needed_no_answer_says_nothing_about_it(availability: Availability) -> None:
    availability.attempt("queue", lost, 0.0)
    assert availability.attempt("paused queue", lambda: False, 1.0)
    assert availability.problem == "no answer within 10 s"
    availability.attempt("queue", lambda: True, 2.0)
    assert availability.problem == ""


def test_a_refusal_is_an_answer_and_the_same_one_is_logged_once(
    availability: Availability, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert not availability.attempt("queue", refused, 0.0)
    assert availability.problem == ""
    assert [record.getMessage() for record in caplog.records] == ["queue: rTorrent refused: no such view"]


def test_a_client_has_the_address_and_the_deadlines_of_the_configuration() -> None:
    settings = RTorrentSettings(url="scgi://127.0.0.1:5000", origin="torque.ini", read_timeout=7.0)
    client = RTorrent.from_settings(settings)
    assert client is not None
    assert (str(client.address), client.read_timeout) == ("scgi://127.0.0.1:5000", 7.0)
    assert RTorrent.from_settings(RTorrentSettings(url=None, origin="nowhere")) is None


@pytest.mark.usefixtures("owners_log")
def test_one_service_reports_an_outage_to_the_owner(tmp_path: Path) -> None:
    watcher = Availability("waiting", is_in_owners_log=False)
    for now in (0.0, 31.0):
        watcher.lost(RTorrentUnavailable("gone"), now)
    watcher.answered(90.0)
    assert owners_lines(tmp_path) == []
