"""The plain numbers that the exporter shows."""

from pyrotorque.rtorrent.stats import BOUNDS, FAILURES, CallStats, Durations


def test_a_duration_falls_into_the_first_bucket_that_holds_it() -> None:
    durations = Durations()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 1e-9, BOUNDS[-1], BOUNDS[-1] + 1):
        durations.add(seconds)
    assert durations.buckets[:2] == [2, 1]
    assert durations.buckets[-2:] == [1, 1]
    assert len(durations.buckets) == len(BOUNDS) + 1
    assert durations.count == 5
    assert durations.total == BOUNDS[0] * 2 + 1e-9 + BOUNDS[-1] * 2 + 1


def test_every_reason_to_fail_is_there_from_the_start() -> None:
    assert CallStats().failures == dict.fromkeys(FAILURES, 0)
    assert set(FAILURES) == {"connect", "timeout", "reset", "fault", "parse", "too_large", "permission"}


def test_calls_are_counted_by_label() -> None:
    stats = CallStats()
    stats.requested("ping", 100)
    stats.requested("ping", 50)
    stats.requested("items", 1)
    stats.finished("items", 0.2)
    stats.parsed("items", 0.1)
    stats.failed("reset")
    assert stats.requests == {"ping": 2, "items": 1}
    assert stats.request_bytes == 151
    assert stats.durations["items"].count == stats.parse_durations["items"].count == 1
    assert stats.failures["reset"] == 1


def test_two_clients_share_no_numbers() -> None:
    one, other = CallStats(), CallStats()
    one.requested("ping", 1)
    one.failed("timeout")
    assert other == CallStats()
