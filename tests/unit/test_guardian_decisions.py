"""What the guardian decides: when to revive, whom to kill, what to count, what supervisord told."""

import select
import subprocess

import pytest

from pyrotorque.events import Sample
from pyrotorque.totals import Totals
from pyrotorque_guardian.deaths import Deaths
from pyrotorque_guardian.decisions import Counts, Hung, Revival, Watch
from pyrotorque_guardian.log_rotation import rotate
from pyrotorque_guardian.supervisord_events import Feed, StateChange
from tests.heartbeats import heartbeat

EVENT = (
    b"ver:3.0 server:pyrotorque serial:21 pool:guardian poolserial:10 eventname:PROCESS_STATE_EXITED len:74\n"
    b"processname:watcher groupname:watcher from_state:RUNNING expected:0 pid:12"
)
TICK = b"ver:3.0 server:pyrotorque serial:22 pool:guardian poolserial:11 eventname:TICK_5 len:15\nwhen:1201063880"
EXITED = StateChange("watcher", "watcher", "EXITED", "RUNNING", expected=False, pid=12)


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_events_are_put_together_from_any_pieces(size: int) -> None:
    stream, feed = EVENT + TICK + EVENT, Feed()
    found = [event for at in range(0, len(stream), size) for event in feed.take(stream[at : at + size])]
    assert found == [EXITED, None, EXITED]


def test_who_is_given_up_on_is_revived_later_and_later() -> None:
    revival, starts, now = Revival(), list[float](), 0.0
    revival.sees("watcher", "FATAL", now)
    while now < 200:
        if revival.due(now) == ["watcher"]:
            starts.append(now)
            revival.sees("watcher", "STARTING", now)
            revival.sees("watcher", "BACKOFF", now)
            revival.sees("watcher", "FATAL", now)
        now += 0.5
    assert starts == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 108.0, 153.0, 198.0]


def test_a_start_that_was_refused_is_tried_again() -> None:
    revival = Revival()
    revival.sees("watcher", "FATAL", 0.0)
    assert revival.due(1.0) == ["watcher"]
    assert revival.due(1.5) == []
    assert revival.due(3.0) == ["watcher"]


@pytest.mark.parametrize(("ran", "revived_after"), [(59.0, 2.0), (60.0, 1.0)])
def test_who_ran_a_minute_begins_with_the_first_delay(ran: float, revived_after: float) -> None:
    revival = Revival()
    revival.sees("watcher", "FATAL", 0.0)
    assert revival.due(1.0) == ["watcher"]
    revival.sees("watcher", "RUNNING", 10.0)
    revival.sees("watcher", "EXITED", 10.0 + ran)
    revival.sees("watcher", "FATAL", 10.0 + ran)
    assert revival.due(10.0 + ran + revived_after - 0.1) == []
    assert revival.due(10.0 + ran + revived_after) == ["watcher"]


def test_who_was_stopped_by_its_owner_is_left_alone() -> None:
    revival = Revival()
    revival.sees("watcher", "FATAL", 0.0)
    revival.sees("watcher", "STOPPED", 0.5)
    assert revival.due(100.0) == []


def looked(watch: Watch, until: float, *, since: float = 0.0) -> list[tuple[float, Hung]]:
    found, now = list[tuple[float, Hung]](), since
    while now <= until:
        found += [(now, hung) for hung in watch.look(now)]
        now += 1.0
    return found


def test_a_service_that_beats_is_let_be() -> None:
    watch = Watch()
    watch.runs("watcher", 7, 0.0)
    for second in range(100):
        watch.hears(heartbeat(), float(second))
        assert watch.look(float(second)) == []


def test_a_silent_service_is_killed_after_15_seconds_and_again_if_that_did_not_help() -> None:
    watch = Watch()
    watch.runs("watcher", 7, 0.0)
    watch.hears(heartbeat(), 0.0)
    assert [at for at, _ in looked(watch, 30.0)] == [16.0, 26.0]


def test_a_service_that_never_beat_has_a_little_longer() -> None:
    watch = Watch()
    watch.runs("watcher", 7, 0.0)
    ((at, hung),) = looked(watch, 30.0)
    assert (at, hung.reason) == (26.0, "no heartbeat within 26 s after its start")


def test_a_heartbeat_from_before_it_is_called_running_counts() -> None:
    watch = Watch()
    watch.hears(heartbeat(), 0.0)
    watch.runs("watcher", 7, 1.0)
    assert [at for at, _ in looked(watch, 20.0)] == [17.0]


def test_a_death_is_known_at_once_and_only_once() -> None:
    deaths = Deaths()
    with subprocess.Popen(["/bin/sleep", "600"]) as sleeper:
        deaths.watch(sleeper.pid)
        deaths.watch(sleeper.pid)
        (fd,) = deaths.fds
        assert select.select([fd], [], [], 0)[0] == []
        sleeper.kill()
        assert select.select([fd], [], [], 5)[0] == [fd]
    assert not deaths.take(set())
    assert deaths.take({fd})
    assert deaths.fds == ()
    deaths.watch(0)
    deaths.close()


def test_the_heartbeats_of_a_stranger_do_not_count() -> None:
    watch = Watch()
    watch.runs("watcher", 7, 0.0)
    watch.hears(heartbeat(), 0.0)
    for second in range(15):
        watch.hears(heartbeat(pid=8), float(second))
    assert looked(watch, 16.0)


def test_a_loop_past_its_own_deadline_is_killed_though_it_beats() -> None:
    watch = Watch()
    watch.runs("watcher", 7, 0.0)
    watch.hears(heartbeat(deadline=10.0, step="loading"), 9.0)
    assert watch.look(10.5) == []
    assert watch.look(12.0) == [Hung("watcher", "it is at 'loading' since 12 s, 2 s too long")]


def test_who_does_not_run_is_not_watched_and_a_new_process_begins_anew() -> None:
    watch = Watch()
    watch.runs("watcher", 7, 0.0)
    watch.hears(heartbeat(), 0.0)
    watch.rests("watcher")
    assert looked(watch, 40.0) == []
    watch.runs("watcher", 8, 40.0)
    assert looked(watch, 60.0, since=40.0) == []


def test_nobody_is_killed_because_we_slept_ourselves() -> None:
    watch = Watch()
    watch.runs("watcher", 7, 0.0)
    watch.hears(heartbeat(), 0.0)
    assert watch.look(1.0) == []
    assert watch.look(600.0) == []
    watch.hears(heartbeat(), 601.0)
    assert watch.look(601.0) == []


def changed(state: str, before: str, *, expected: bool = True) -> StateChange:
    return StateChange("watcher", "watcher", state, before, expected, 1)


def test_restarts_and_ends_are_counted_by_reason() -> None:
    totals = Totals()
    counts = Counts(totals)
    history = [
        (changed("STARTING", "STOPPED"), False),
        (changed("EXITED", "RUNNING", expected=False), False),
        (changed("STARTING", "EXITED"), False),
        (changed("BACKOFF", "STARTING"), False),
        (changed("STARTING", "BACKOFF"), False),
        (changed("EXITED", "RUNNING", expected=False), True),
        (changed("STARTING", "EXITED"), False),
        (changed("EXITED", "RUNNING"), False),
        (changed("STOPPED", "STOPPING"), False),
    ]
    for change, killed in history:
        counts.sees(change, killed)
    restarts, exits = totals.families()
    assert restarts.samples == (Sample(labels=("watcher",), value=3.0),)
    assert {sample.labels[1]: sample.value for sample in exits.samples} == {"error": 2.0, "watchdog": 1.0, "ok": 1.0}


def test_a_log_that_has_grown_is_renamed_and_the_oldest_forgotten(tmp_path_factory: pytest.TempPathFactory) -> None:
    log = tmp_path_factory.mktemp("log") / "torque.log"
    for number in range(4):
        log.write_text(f"{number} is more than ten")
        assert rotate([log, log.with_name("absent")], maximum=10, backups=2)
    log.write_text("small")
    assert not rotate([log], maximum=10, backups=2)
    assert {path.name: path.read_text()[0] for path in log.parent.iterdir()} == {
        "torque.log": "s",
        "torque.log.1": "3",
        "torque.log.2": "2",
    }
