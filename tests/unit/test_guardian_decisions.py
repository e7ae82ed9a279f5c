"""The guardian's decisions: when to restart, what to kill, what to count; and the parsing of supervisord's events."""

import select
import subprocess

import pytest

from pyrotorque.events import Sample
from pyrotorque.totals import Totals
from pyrotorque_guardian.decisions import HangDetector, HungService, ProcessCounters, RestartBackoff
from pyrotorque_guardian.log_rotation import rotate
from pyrotorque_guardian.process_exits import ProcessExits
from pyrotorque_guardian.supervisord_events import EventParser, ProcessStateChange
from tests.heartbeats import heartbeat

EVENT = (
    b"ver:3.0 server:pyrotorque serial:21 pool:guardian poolserial:10 eventname:PROCESS_STATE_EXITED len:74\n"
    b"processname:watcher groupname:watcher from_state:RUNNING expected:0 pid:12"
)
TICK = b"ver:3.0 server:pyrotorque serial:22 pool:guardian poolserial:11 eventname:TICK_5 len:15\nwhen:1201063880"
EXITED = ProcessStateChange("watcher", "EXITED", "RUNNING", expected=False, pid=12, group="watcher")


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_events_are_assembled_from_any_pieces(size: int) -> None:
    stream, parser = EVENT + TICK + EVENT, EventParser()
    found = [event for at in range(0, len(stream), size) for event in parser.feed(stream[at : at + size])]
    assert found == [EXITED, None, EXITED]


def test_a_fatal_program_is_restarted_with_growing_delays() -> None:
    backoff, starts, now = RestartBackoff(), list[float](), 0.0
    backoff.state_changed("watcher", "FATAL", now)
    while now < 200:
        if backoff.due(now) == ["watcher"]:
            starts.append(now)
            backoff.state_changed("watcher", "STARTING", now)
            backoff.state_changed("watcher", "BACKOFF", now)
            backoff.state_changed("watcher", "FATAL", now)
        now += 0.5
    assert starts == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 108.0, 153.0, 198.0]


def test_a_start_that_was_refused_is_tried_again() -> None:
    backoff = RestartBackoff()
    backoff.state_changed("watcher", "FATAL", 0.0)
    assert backoff.due(1.0) == ["watcher"]
    assert backoff.due(1.5) == []
    assert backoff.due(3.0) == ["watcher"]


@pytest.mark.parametrize(("ran", "restarted_after"), [(59.0, 2.0), (60.0, 1.0)])
def test_after_a_minute_of_running_the_first_delay_applies_again(ran: float, restarted_after: float) -> None:
    backoff = RestartBackoff()
    backoff.state_changed("watcher", "FATAL", 0.0)
    assert backoff.due(1.0) == ["watcher"]
    backoff.state_changed("watcher", "RUNNING", 10.0)
    backoff.state_changed("watcher", "EXITED", 10.0 + ran)
    backoff.state_changed("watcher", "FATAL", 10.0 + ran)
    assert backoff.due(10.0 + ran + restarted_after - 0.1) == []
    assert backoff.due(10.0 + ran + restarted_after) == ["watcher"]


def test_a_program_stopped_by_its_owner_is_not_restarted() -> None:
    backoff = RestartBackoff()
    backoff.state_changed("watcher", "FATAL", 0.0)
    backoff.state_changed("watcher", "STOPPED", 0.5)
    assert backoff.due(100.0) == []


def hung_until(detector: HangDetector, until: float, *, since: float = 0.0) -> list[tuple[float, HungService]]:
    found, now = list[tuple[float, HungService]](), since
    while now <= until:
        found += [(now, hung) for hung in detector.hung_services(now)]
        now += 1.0
    return found


def test_a_service_that_sends_heartbeats_is_not_killed() -> None:
    detector = HangDetector()
    detector.running("watcher", 7, 0.0)
    for second in range(100):
        detector.receive(heartbeat(), float(second))
        assert detector.hung_services(float(second)) == []


def test_a_silent_service_is_killed_after_15_seconds_and_again_if_that_did_not_help() -> None:
    detector = HangDetector()
    detector.running("watcher", 7, 0.0)
    detector.receive(heartbeat(), 0.0)
    assert [at for at, _ in hung_until(detector, 30.0)] == [16.0, 26.0]


def test_the_first_heartbeat_may_take_longer() -> None:
    detector = HangDetector()
    detector.running("watcher", 7, 0.0)
    ((at, hung),) = hung_until(detector, 30.0)
    assert (at, hung.reason) == (26.0, "no heartbeat within 26 s after its start")


def test_a_heartbeat_sent_before_the_state_is_running_counts() -> None:
    detector = HangDetector()
    detector.receive(heartbeat(), 0.0)
    detector.running("watcher", 7, 1.0)
    assert [at for at, _ in hung_until(detector, 20.0)] == [17.0]


def test_a_death_is_detected_immediately_and_once() -> None:
    exits = ProcessExits()
    with subprocess.Popen(["/bin/sleep", "600"]) as sleeper:
        exits.watch(sleeper.pid)
        exits.watch(sleeper.pid)
        (fd,) = exits.fds
        assert select.select([fd], [], [], 0)[0] == []
        sleeper.kill()
        assert select.select([fd], [], [], 5)[0] == [fd]
    assert not exits.remove_exited(set())
    assert exits.remove_exited({fd})
    assert exits.fds == ()
    exits.watch(0)
    exits.close()


def test_heartbeats_of_another_process_do_not_count() -> None:
    detector = HangDetector()
    detector.running("watcher", 7, 0.0)
    detector.receive(heartbeat(), 0.0)
    for second in range(15):
        detector.receive(heartbeat(pid=8), float(second))
    assert hung_until(detector, 16.0)


def test_a_loop_past_its_deadline_is_killed_although_it_sends_heartbeats() -> None:
    detector = HangDetector()
    detector.running("watcher", 7, 0.0)
    detector.receive(heartbeat(deadline=10.0, step="loading"), 9.0)
    assert detector.hung_services(10.5) == []
    assert detector.hung_services(12.0) == [
        HungService("watcher", "in step 'loading' for 12 s, 2 s past its deadline", 7)
    ]


def test_a_stopped_service_is_not_watched_and_a_new_process_is_counted_from_zero() -> None:
    detector = HangDetector()
    detector.running("watcher", 7, 0.0)
    detector.receive(heartbeat(), 0.0)
    detector.stopped("watcher")
    assert hung_until(detector, 40.0) == []
    detector.running("watcher", 8, 40.0)
    assert hung_until(detector, 60.0, since=40.0) == []


def test_no_service_is_killed_because_the_guardian_itself_was_paused() -> None:
    detector = HangDetector()
    detector.running("watcher", 7, 0.0)
    detector.receive(heartbeat(), 0.0)
    assert detector.hung_services(1.0) == []
    assert detector.hung_services(600.0) == []
    detector.receive(heartbeat(), 601.0)
    assert detector.hung_services(601.0) == []


def changed(state: str, before: str, *, expected: bool = True) -> ProcessStateChange:
    return ProcessStateChange("watcher", state, before, expected, 1)


def test_restarts_and_exits_are_counted_by_reason() -> None:
    totals = Totals()
    counters = ProcessCounters(totals)
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
        counters.count(change, killed)
    restarts, exits = totals.families()
    assert restarts.samples == (Sample(labels=("watcher",), value=3.0),)
    assert {sample.labels[1]: sample.value for sample in exits.samples} == {"error": 2.0, "watchdog": 1.0, "ok": 1.0}


def test_a_large_log_is_rotated_and_the_oldest_deleted(tmp_path_factory: pytest.TempPathFactory) -> None:
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
