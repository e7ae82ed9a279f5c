"""What starts next and when, as `pyrotorque explain` predicts it, and the texts of holds and values."""

import math

import pytest

from pyrotorque.hours import Hours
from pyrotorque_scheduler.queue.explain_text import hold_data, shown
from pyrotorque_scheduler.queue.forecast import Forecast, QueueFacts, forecast
from pyrotorque_scheduler.queue.model import (
    Candidate,
    Failure,
    GrantUse,
    Hold,
    Instant,
    Limits,
    QueueState,
)
from tests.histories import Every

NOW = Instant(1000.0, 1000.0, "boot")
TWO = [Candidate("AA", "a"), Candidate("BB", "b")]


def predicted(
    limits: Limits | None = None,
    state: QueueState | None = None,
    *,
    waiting: list[Candidate] | None = None,
    downloading: int = 0,
    down_rate: int = 0,
    schedule: Every | None = None,
) -> Forecast:
    facts = QueueFacts(TWO if waiting is None else waiting, downloading, down_rate)
    return forecast(facts, limits or Limits(), state or QueueState(), schedule or Every(10.0), Hours(), NOW)


def names(found: Forecast) -> list[str]:
    return [start.name for start in found.starts]


def test_what_starts_at_once_is_next() -> None:
    assert (predicted().at, names(predicted())) == (1000.0, ["a"])


def test_what_waits_for_the_pace_starts_at_the_next_fire_time() -> None:
    found = predicted(Limits(downloading_min=0), QueueState(used=GrantUse(1000.0, 1)))
    assert found.at == pytest.approx(1010.0, abs=0.1)
    assert names(found) == ["a"]


def test_the_intermission_comes_before_the_fire_time_after_it() -> None:
    limits = Limits(intermission=25.0, downloading_min=0)
    found = predicted(limits, QueueState(last_batch=NOW.earlier(7.0)), schedule=Every(10.0, first=1015.0))
    assert found.at == pytest.approx(1018.0, abs=0.1)


def test_a_window_that_opens_later_delays_the_start() -> None:
    assert predicted(schedule=Every(10.0, first=5000.0)).at == pytest.approx(5000.0, abs=0.1)


def test_a_taken_slot_has_no_predictable_end() -> None:
    found = predicted(Limits(downloading_max=3), downloading=3)
    assert (found.at, found.last_hold and found.last_hold.reason) == (None, "no_slot")


def test_the_hold_after_all_timed_holds_is_known() -> None:
    found = predicted(Limits(downloading_max=3), downloading=3, schedule=Every(10.0, first=5000.0))
    assert found.hold is not None
    assert found.last_hold is not None
    assert (found.hold.reason, found.last_hold.reason, found.at) == ("pace", "no_slot", None)
    assert found.next_at == pytest.approx(5000.0, abs=0.1)


def test_traffic_and_a_pause_have_no_predictable_end() -> None:
    assert predicted(Limits(max_down_rate=10), down_rate=20).at is None
    assert predicted(state=QueueState(paused=True)).at is None


def test_an_item_that_failed_is_next_when_it_is_tried_again() -> None:
    state = QueueState(failures={"AA": Failure(1060.0, "no such folder")})
    assert predicted(state=state, waiting=TWO[:1]).at == pytest.approx(1060.0, abs=0.1)


def test_an_empty_queue_has_nothing_next() -> None:
    assert predicted(waiting=[]).at is None


def test_a_schedule_that_ended_starts_nothing() -> None:
    assert predicted(schedule=Every(10.0, last=500.0)).at is None
    assert math.isfinite(predicted(schedule=Every(10.0, last=500.0)).next_at)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("is_open", True, "yes"),
        ("done", 12.5, "12.5"),
        ("message", "", "empty"),
        ("message", "bell\x07", "bell\\x07"),
        ("started", 0, "not set"),
        ("started", 1e17, "1e+17, which is not a time"),
        ("loaded", float("inf"), "inf, which is not a time"),
        ("views", frozenset({"b", "a"}), "a, b"),
        ("name", "x" * 200, "x" * 99 + "…"),
    ],
)
def test_values_are_shown_as_a_person_writes_them(field: str, value: object, text: str) -> None:
    assert shown(field, value) == text


def test_the_summary_of_a_hold_has_no_message_of_rtorrent() -> None:
    hold = Hold("failed_before", until=1009.0, error="Could not open http://t.org/secret", info_hash="AA")
    data = hold_data(hold, 1000.0)
    assert data["text"] == "did not start (Could not open http://t.org/secret), next attempt in 9 s"
    assert (data["summary"], data["error"]) == ("did not start, next attempt in 9 s", hold.error)


def test_a_hold_is_data_for_programs() -> None:
    hold = Hold("no_slot", numbers={"downloading": 3, "slots": 3})
    data = hold_data(hold, 1000.0)
    assert (data["reason"], data["numbers"]) == ("no_slot", {"downloading": 3, "slots": 3})
    assert data["text"] == data["summary"] == "3 of 3 slots are taken"
