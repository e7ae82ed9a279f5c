"""When jobs run: at once, but not thousands of times."""

from pyrotorque_scheduler.due_jobs import DueJobs


def runs_during(agenda: DueJobs, seconds: float, hints_a_second: int) -> list[float]:
    """The moments of runs while hints pour in; each run is dear."""
    moments: list[float] = []
    for step in range(int(seconds * hints_a_second)):
        now = 100 + step / hints_a_second
        agenda.hint("queue")
        for name, _ in agenda.due(now):
            agenda.charge(name, now)
            moments.append(now)
    return moments


def test_a_hint_is_acted_on_at_once() -> None:
    agenda = DueJobs()
    agenda.hint("queue")
    assert agenda.wait(100.0) == 0
    assert agenda.due(100.0) == [("queue", "event")]
    assert agenda.due(100.0) == []


def test_thousands_of_hints_cause_a_handful_of_runs() -> None:
    assert len(runs_during(DueJobs(), seconds=3, hints_a_second=1000)) <= 6


def test_the_last_hint_of_a_burst_is_not_forgotten() -> None:
    agenda = DueJobs()
    last = runs_during(agenda, seconds=1, hints_a_second=1000)[-1]
    assert last < 100.9
    later = 101.0 + agenda.wait(101.0)
    assert agenda.due(later) == [("queue", "event")]


def test_hints_that_cost_nothing_are_not_slowed_down() -> None:
    agenda, runs = DueJobs(), 0
    for step in range(100):
        agenda.hint("queue")
        runs += len(agenda.due(100 + step / 1000))
    assert runs == 100


def test_a_tick_comes_through_in_the_middle_of_a_burst() -> None:
    agenda = DueJobs()
    runs_during(agenda, seconds=1, hints_a_second=100)
    agenda.tick("queue")
    assert agenda.due(101.0) == [("queue", "tick")]


def test_a_job_looks_again_when_its_time_has_come() -> None:
    agenda = DueJobs()
    agenda.recheck("queue", at=130.0)
    agenda.recheck("queue", at=160.0)
    assert (agenda.wait(100.0), agenda.due(129.9)) == (30.0, [])
    assert agenda.due(130.0) == [("queue", "event")]
    assert agenda.due(200.0) == []


def test_what_the_job_itself_asked_for_does_not_slow_down_hints() -> None:
    agenda = DueJobs()
    for second in range(100, 120):
        agenda.recheck("queue", at=second)
        assert agenda.due(second) == [("queue", "event")]
        agenda.charge("queue", second)
        agenda.hint("queue")
        assert agenda.due(second + 0.5) == [("queue", "event")]
        agenda.charge("queue", second + 0.5)


def test_an_empty_agenda_waits_for_ever() -> None:
    assert DueJobs().wait(100.0) == float("inf")
