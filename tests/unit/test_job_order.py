"""`after` orders the runs of jobs on the same event; settings that cannot be an order are named and ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.job_order import EventOrder, order_problems, order_warnings
from pyrotorque.settings.schema import CustomSettings, QueueSettings

DONE, GONE = "TorrentCompleted", "TorrentErased"


def job(name: str, *after: str, on: tuple[str, ...] = (DONE,), active: bool = True) -> CustomSettings:
    return CustomSettings(name=name, handler="a:B", schedule="", active=active, on=on, after=after)


def test_a_chain_waits_for_all_jobs_before() -> None:
    order = EventOrder([job("unpack"), job("move", "unpack"), job("notify", "move", on=(DONE, GONE))])
    assert order.before("move", DONE) == ("unpack",)
    assert order.before("notify", DONE) == ("move",)
    assert order.before("notify", GONE) == ()
    assert order.after("unpack", DONE) == ("move", "notify")
    assert order.after("move", DONE) == ("notify",)
    assert (order.has_any("unpack"), order.has_any("move")) == (False, True)
    assert (order.precedes("move"), order.precedes("notify")) == (True, False)


def test_a_job_that_is_not_active_is_not_waited_for() -> None:
    jobs = [job("unpack", active=False), job("move", "unpack")]
    assert EventOrder(jobs).before("move", DONE) == ()
    assert list(order_problems(jobs)) == []
    assert list(order_warnings(jobs)) == [("move", "job.unpack is not active: this job does not wait for it")]


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([job("a", "b"), job("b", "a")], {"a": "itself runs after", "b": "itself runs after"}),
        ([job("a", "a")], {"a": "itself runs after"}),
        ([job("a", "b"), job("b", "c"), job("c", "a")], dict.fromkeys("abc", "itself runs after")),
        ([job("unpack"), job("move", "unpak")], {"move": "there is no job 'unpak', did you mean unpack?"}),
        ([job("unpack", on=(GONE,)), job("move", "unpack")], {"move": "does not run on TorrentCompleted"}),
        ([QueueSettings(name="q", handler=""), job("move", "q")], {"move": "does not run on events"}),
        ([job("note", "nte", "nte")], {"note": "there is no job 'nte'"}),
        ([job("unpack"), job("move", "unpack", on=())], {"move": "has no effect"}),
        ([job("x", "5")], {"x": "there is no job '5'"}),
    ],
)
def test_what_cannot_be_an_order_is_named(jobs: list[CustomSettings], expected: dict[str, str]) -> None:
    problems = list(order_problems(jobs))
    found = dict(problems)
    assert found.keys() == expected.keys()
    assert len(problems) == len(found), "each is named once"
    for name, text in expected.items():
        assert text.removesuffix("?") in found[name]


NAMES = "abcde"


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), min_size=1))
def test_no_order_waits_for_itself(edges: dict[str, set[str]]) -> None:
    jobs = [job(name, *sorted(after)) for name, after in edges.items()]
    order = EventOrder(jobs)
    for name in edges:
        assert name not in order.after(name, DONE)
        for before in order.before(name, DONE):
            assert name in order.after(before, DONE)
    # Whatever is given, all jobs can run: each is free once those before it have run.
    done: set[str] = set()
    while free := [name for name in edges if name not in done and set(order.before(name, DONE)) <= done]:
        done |= set(free)
    assert done == set(edges)


def test_a_job_between_two_others_that_does_not_run_is_passed_over() -> None:
    order = EventOrder([job("unpack"), job("check", "unpack", active=False), job("move", "check")])
    assert order.before("move", DONE) == ("unpack",)
    assert set(order.after("unpack", DONE)) == {"check", "move"}


def test_a_failure_also_cancels_a_run_that_an_inactive_job_has_left() -> None:
    assert EventOrder([job("unpack"), job("move", "unpack", active=False)]).after("unpack", DONE) == ("move",)


def test_what_runs_after_the_mover_is_to_run_on_its_own_event() -> None:
    mover = CustomSettings(name="move", handler="pyrotorque.jobs.mover:Mover", schedule="", on=(DONE,))
    found = dict(order_warnings([mover, job("notify", "move")]))
    assert "set job.notify.on = TorrentMoved" in found["notify"]
