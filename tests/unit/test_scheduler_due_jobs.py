"""Hints and ticks run jobs at once, but a burst causes few runs."""

from pyrotorque_scheduler.due_jobs import DueJobs


def runs_during(due_jobs: DueJobs, seconds: float, hints_a_second: int) -> list[float]:
    """The times of runs during a burst of hints; each run calls rTorrent."""
    moments: list[float] = []
    for step in range(int(seconds * hints_a_second)):
        now = 100 + step / hints_a_second
        due_jobs.hint("queue")
        for name, _ in due_jobs.due(now):
            due_jobs.charge(name, now)
            moments.append(now)
    return moments


def test_a_hint_runs_the_job_at_once() -> None:
    due_jobs = DueJobs()
    due_jobs.hint("queue")
    assert due_jobs.wait(100.0) == 0
    assert due_jobs.due(100.0) == [("queue", "event")]
    assert due_jobs.due(100.0) == []


def test_thousands_of_hints_cause_a_handful_of_runs() -> None:
    assert len(runs_during(DueJobs(), seconds=3, hints_a_second=1000)) <= 6


def test_the_last_hint_of_a_burst_is_not_lost() -> None:
    due_jobs = DueJobs()
    last = runs_during(due_jobs, seconds=1, hints_a_second=1000)[-1]
    assert last < 100.9
    later = 101.0 + due_jobs.wait(101.0)
    assert due_jobs.due(later) == [("queue", "event")]


def test_hints_that_cost_nothing_are_not_slowed_down() -> None:
    due_jobs, runs = DueJobs(), 0
    for step in range(100):
        due_jobs.hint("queue")
        runs += len(due_jobs.due(100 + step / 1000))
    assert runs == 100


def test_a_tick_comes_through_in_the_middle_of_a_burst() -> None:
    due_jobs = DueJobs()
    runs_during(due_jobs, seconds=1, hints_a_second=100)
    due_jobs.tick("queue")
    assert due_jobs.due(101.0) == [("queue", "tick")]


def test_a_recheck_runs_the_job_at_its_time() -> None:
    due_jobs = DueJobs()
    due_jobs.recheck("queue", at=130.0)
    due_jobs.recheck("queue", at=160.0)
    assert (due_jobs.wait(100.0), due_jobs.due(129.9)) == (30.0, [])
    assert due_jobs.due(130.0) == [("queue", "event")]
    assert due_jobs.due(200.0) == []


def test_rechecks_do_not_slow_down_hints() -> None:
    due_jobs = DueJobs()
    for second in range(100, 120):
        due_jobs.recheck("queue", at=second)
        assert due_jobs.due(second) == [("queue", "event")]
        due_jobs.charge("queue", second)
        due_jobs.hint("queue")
        assert due_jobs.due(second + 0.5) == [("queue", "event")]
        due_jobs.charge("queue", second + 0.5)


def test_without_pending_runs_the_wait_is_infinite() -> None:
    assert DueJobs().wait(100.0) == float("inf")
