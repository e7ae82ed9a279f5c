"""The scheduler as a process beside a real rTorrent: instant, killed at any moment, stopped within a second."""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import TorrentErased, decode
from pyrotorque.outbox import stored_events
from pyrotorque.requests import ExplainQueue, PauseJob, ResumeJob, RunJob, StartTorrent
from tests.scheduler_process import Scheduler, scheduler_beside
from tests.waiting import bound, eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("rtorrent_program")]


@pytest.fixture
def scheduler(real: PrivateRTorrent, short_folder: Path) -> Iterator[Scheduler]:
    with scheduler_beside(real, short_folder, schedule="second=*", start_at_once=5, downloading_max=500) as made:
        yield made


def test_a_loaded_item_is_started_and_published(scheduler: Scheduler) -> None:
    scheduler.start()
    item = scheduler.load("one")
    eventually(lambda: item in scheduler.running())
    eventually(lambda: scheduler.started() == [item])


def seconds_to_start(scheduler: Scheduler, number: int) -> float:
    """Between two ticks of five seconds, with a fresh grant, a whole gap after the batch before."""
    eventually(lambda: time.time() % 5 > 4.5, 20)
    eventually(lambda: 1 < time.time() % 5 - number * 0.8 < 1.5, 20)
    began = time.monotonic()
    item = scheduler.load(f"item {number}")
    eventually(lambda: item in scheduler.running(), 20, interval=0.001)
    return time.monotonic() - began


def test_the_bell_makes_it_start_at_once_and_not_at_the_next_tick(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.configure(real.url, schedule="second=*/5", start_at_once=1)
    scheduler.start()
    moments = [seconds_to_start(scheduler, number) for number in range(3)]
    assert statistics.median(moments) < bound(0.2)


def test_killed_at_any_moment_it_starts_all_and_publishes_each_once(scheduler: Scheduler) -> None:
    scheduler.start()
    for number in range(30):
        scheduler.load(f"item {number}")
        if number % 6 == 5:
            eventually(lambda: scheduler.running())
            scheduler.end()
            scheduler.start()
    eventually(lambda: scheduler.running() == set(scheduler.loaded), 30)
    eventually(lambda: sorted(scheduler.started()) == sorted(scheduler.loaded), 20)


def test_it_ends_within_a_second_even_while_rtorrent_hangs(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.start()
    os.kill(real.pid, signal.SIGSTOP)
    try:
        eventually(lambda: not scheduler.answers(timeout=1.5), 30)
        began = time.monotonic()
        assert scheduler.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < bound(1.5)
    finally:
        os.kill(real.pid, signal.SIGCONT)


def test_an_unavailable_rtorrent_is_logged_once_and_its_return_too(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.start()
    real.stop()
    eventually(lambda: "WARN" in scheduler.log())
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 3)
    real.start()
    eventually(lambda: "answers again" in scheduler.log(), 20)
    assert scheduler.log().count("rTorrent is unavailable") == 1


def test_a_paused_queue_starts_nothing_until_it_is_resumed_also_after_a_restart(scheduler: Scheduler) -> None:
    scheduler.start()
    assert scheduler.ask(PauseJob(job="queue")).ok
    scheduler.end()
    scheduler.start()
    item = scheduler.load("one")
    eventually(lambda: scheduler.rtorrent.call("view.size", "", "main") == 1)
    assert "paused" in scheduler.ask(RunJob(job="queue")).text
    assert item not in scheduler.running()
    assert scheduler.ask(ResumeJob(job="queue")).ok
    eventually(lambda: item in scheduler.running())


def test_an_item_is_started_by_hand_whatever_the_limits(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.configure(real.url, schedule="second=*", downloading_max=0, downloading_min=0)
    scheduler.start()
    item = scheduler.load("one")
    eventually(lambda: scheduler.rtorrent.call("view.size", "", "main") == 1)
    assert "0 of 0 slots" in scheduler.ask(ExplainQueue()).text
    assert scheduler.ask(StartTorrent(info_hash=item.lower())).ok
    assert item in scheduler.running()
    assert not scheduler.ask(StartTorrent(info_hash="0" * 40)).ok
    eventually(lambda: scheduler.rtorrent.call("d.is_active", item) == 1)
    assert "runs already" in scheduler.ask(StartTorrent(info_hash=item)).text
    # It was published at once, or after rTorrent had checked it.
    eventually(lambda: scheduler.started() == [item])


def test_every_clause_that_holds_back_an_item_is_explained(scheduler: Scheduler) -> None:
    scheduler.start()
    scheduler.ask(PauseJob(job="queue"))
    item = scheduler.load("held")
    eventually(lambda: scheduler.rtorrent.call("view.size", "", "main") == 1)
    scheduler.rtorrent.call("d.priority.set", item, 0)
    answer = scheduler.ask(ExplainQueue(item="held"))
    assert "not startable, because of prio>0" in answer.text
    (explained,) = answer.data
    assert [clause["text"] for clause in explained["clauses"] if not clause["verdict"]] == ["prio>0"]


def test_an_erased_item_is_published(scheduler: Scheduler) -> None:
    item = scheduler.load("one")
    eventually(lambda: scheduler.rtorrent.call("view.size", "", "main") == 1)
    scheduler.start()
    eventually(lambda: item in scheduler.running())
    assert scheduler.answers(), "the turn that started it has also stored it"
    scheduler.rtorrent.call("d.erase", item)
    erased = eventually(
        lambda: [
            event
            for body in stored_events(scheduler.layout.database("scheduler"))
            if isinstance(event := decode(body).event, TorrentErased)
        ]
    )
    assert [event.info_hash for event in erased] == [item]


def test_the_error_for_an_unknown_job_names_the_known_ones(scheduler: Scheduler) -> None:
    scheduler.start()
    answer = scheduler.ask(PauseJob(job="kew"))
    assert (answer.ok, answer.text) == (False, "the scheduler has no job kew: it has connstats, queue")


MINE = """from pyrotorque.customfields import field
@field("mine", kind="bool", needs=("name",))
def mine(item):
    return %s
"""


@pytest.mark.parametrize("content", ["", "def broken(", None], ids=["emptied", "broken", "removed"])
def test_a_changed_config_py_is_used_when_it_was_checked(
    scheduler: Scheduler, real: PrivateRTorrent, content: str | None
) -> None:
    """Neither a crash nor SIGHUP may take the scheduler, and all its jobs, down for one file."""
    config_py = scheduler.layout.config_dir / "config.py"

    def write(text: str | None) -> None:
        config_py.unlink(missing_ok=True)
        if text is not None:
            config_py.write_text(text)

    write(MINE % "item.name != 'one'")
    scheduler.configure(real.url, schedule="second=*", startable="mine=yes")
    scheduler.start()
    one, two = scheduler.load("one"), scheduler.load("two")
    eventually(lambda: scheduler.running() == {two}, 20)
    write(content)
    scheduler.end()
    scheduler.start()
    assert scheduler.process is not None
    third = scheduler.load("third")
    eventually(lambda: scheduler.running() == {two, third}, 20)
    scheduler.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration not reloaded" in scheduler.log(), 20)
    assert scheduler.answers()
    write(MINE % "True")
    scheduler.process.send_signal(signal.SIGHUP)
    eventually(lambda: scheduler.running() == {one, two, third}, 20)


def test_a_new_configuration_is_applied_and_a_broken_one_is_not(scheduler: Scheduler, real: PrivateRTorrent) -> None:
    scheduler.start()
    assert scheduler.process is not None
    scheduler.configure(real.url, schedule="second=nonsense")
    scheduler.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration not reloaded" in scheduler.log(), 20)
    scheduler.configure(real.url, schedule="second=*", downloading_max=7)
    scheduler.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in scheduler.log(), 20)
    eventually(scheduler.answers, 20)
    assert "of 7 slots" in scheduler.ask(ExplainQueue()).text
