"""A short run of `make chaos`, and its verification of histories that are known to be bad."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from chaos import report
from chaos.__main__ import not_done, time_for_all
from chaos.accounting import Balance, Committed, Gap, ListenerRecord, Place, balance
from chaos.clock import DAY, Clock, follow, put_right
from chaos.crash_points import POINTS
from chaos.faults import CLOCK_AHEAD, Done, faults
from chaos.report import Counted, FinalState, Run, complaints, figures
from chaos.soak import Sample, grown
from chaos.stream import Written
from demo.group import REPOSITORY, environment
from pyrotorque.events import Event, LoadFailed, TorrentLoaded, TorrentStarted

A, B = "A" * 40, "B" * 40
FIRST, SECOND, THIRD = (Place("watcher", "e1", seq) for seq in (1, 2, 3))


@pytest.mark.process
@pytest.mark.usefixtures("rtorrent_program")
def test_a_short_run_breaks_no_guarantee() -> None:
    """The same faults each time, or those of CHAOS_SEED (0: by chance); `make chaos` has all of them."""
    # Beside other tests everything takes longer; how long it may take alone is for `make chaos`.
    asked = {"CHAOS_SECONDS": "25", "CHAOS_TOLERANCE": "5", "CHAOS_SEED": os.environ.get("CHAOS_SEED", "8")}
    ended = subprocess.run(
        [sys.executable, "-m", "chaos"], env=environment() | asked, cwd=REPOSITORY, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 guarantees broken" in ended.stdout


def loaded(info_hash: str, at: float = 1.0) -> TorrentLoaded:
    return TorrentLoaded(at=at, info_hash=info_hash, name="", metafile="", job="", mode="start", seconds=0.0)


def started(info_hash: str, at: float) -> TorrentStarted:
    return TorrentStarted(at=at, info_hash=info_hash, name="", job="")


def balanced(
    events: dict[Place, Event],
    *received: Place,
    items: tuple[str, ...] = (A,),
    gaps: tuple[Gap, ...] = (),
    killed: float = 0.0,
) -> Balance:
    """The books where A was written, `events` were committed, and the listener applied `received`."""
    written = [Written(A, Path("a.torrent"), 1.0)]
    by_listener = ListenerRecord(Counter(received), [], list(gaps))
    return balance(written, dict.fromkeys(items, True), events, by_listener, [killed])


def test_a_consistent_history_has_no_differences() -> None:
    books = balanced({FIRST: loaded(A), SECOND: started(A, 2.0)}, FIRST, SECOND)
    found = (
        books.lost,
        books.unexpected,
        books.loaded_twice,
        books.unpublished,
        books.not_started,
        books.started_twice,
    )
    assert not any(found)
    assert not any((books.events_lost, books.events_twice, books.events_from_nowhere))


def test_a_missing_item_is_lost_and_an_unknown_one_is_unexpected() -> None:
    books = balanced({}, items=(B,))
    assert (set(books.lost), set(books.unexpected), set(books.unpublished)) == ({A}, {B}, {A})


def test_a_load_that_is_published_twice_is_found() -> None:
    assert balanced({FIRST: loaded(A), SECOND: loaded(A)}, FIRST, SECOND).loaded_twice == {A: 1}


def test_an_event_that_was_applied_twice_or_never_committed_is_found() -> None:
    books = balanced({FIRST: loaded(A)}, FIRST, FIRST, SECOND)
    assert books.events_twice == {FIRST: 1}
    assert books.events_from_nowhere == [SECOND]


@pytest.mark.parametrize(
    ("gap", "silent"),
    [
        (None, True),
        (Gap(1.0, "watcher", ("e1", 1), ("e2", 0), "new file"), False),
        (Gap(1.0, "watcher", ("e1", 0), ("e1", 2), "trimmed"), False),
        (Gap(1.0, "watcher", ("e1", 0), ("e1", 1), "trimmed before it"), True),
        (Gap(1.0, "watcher", ("e1", 2), ("e2", 0), "after it"), True),
        (Gap(1.0, "scheduler", ("e1", 0), ("e2", 0), "of another"), True),
        (Gap(9.0, "watcher", ("e0", 7), ("e2", 0), "over an epoch that was not received"), True),
    ],
)
def test_a_lost_event_is_silent_unless_a_gap_covers_it(gap: Gap | None, silent: bool) -> None:
    books = balanced({FIRST: loaded(A), SECOND: started(A, 2.0)}, FIRST, gaps=(gap,) if gap else ())
    assert books.events_lost == ([SECOND] if silent else [])
    assert books.events_reported_lost == ([] if silent else [SECOND])


def test_an_epoch_that_was_never_received_is_within_the_gap_after_it() -> None:
    """The state was lost twice before the listener could ask again."""
    gap = Gap(9.0, "watcher", ("e0", 7), ("e2", 0), "new file")
    events: dict[Place, Event] = {SECOND: started(A, 2.0)}
    assert balanced(events, gaps=(gap,)).events_reported_lost == [SECOND]
    assert balanced({SECOND: started(A, 10.0)}, gaps=(gap,)).events_lost == [SECOND]


def test_a_second_start_is_right_only_when_rtorrent_was_killed_in_between() -> None:
    events: dict[Place, Event] = {FIRST: started(A, 2.0), SECOND: started(A, 5.0)}
    assert balanced(events, FIRST, SECOND, killed=6.0).started_twice == {A: 1}
    books = balanced(events, FIRST, SECOND, killed=3.0)
    assert (books.started_twice, books.started_again) == ({}, 1)


def test_what_was_taken_from_a_file_is_remembered_as_committed(tmp_path: Path) -> None:
    from pyrotorque.outbox import Outbox
    from pyrotorque.store import open_store

    path, committed = tmp_path / "watcher.sqlite3", Committed()
    store = open_store(path, [])
    outbox = Outbox(store, "watcher")
    for info in (A, B):
        with store.transaction() as db:
            outbox.add(loaded(info))
        committed.read("watcher", path)
        with store.transaction() as db:
            db.execute("DELETE FROM bus_events WHERE position < ?", (outbox.head,))
    store.close()
    assert [place.seq for place in committed.events] == [1, 2]


def run_of(
    *done: Done, counted: Counted | None = None, gaps: tuple[Gap, ...] = (), found: FinalState | None = None
) -> Run:
    """A run in which all went well but for what is given."""
    events: dict[Place, Event] = {FIRST: loaded(A), SECOND: started(A, 2.0)}
    found = found or FinalState([0.01], (1.0, "watcher"), counted or Counted(2, 2, 0))
    record = ListenerRecord(Counter([FIRST, SECOND]), [0.1], list(gaps))
    return Run(done, [], balanced(events, FIRST, SECOND), events, record, found)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (run_of(), []),
        (run_of(Done("kill", 1.0, 2.1, 2.0, False)), ["kill took 2.1 s, promised 2 s"]),
        (run_of(Done("kill", 1.0, None, 2.0, False, "never came back")), ["kill: never came back"]),
        (
            run_of(found=FinalState([], (6.0, "watcher"), Counted(2, 2, 0))),
            ["watcher was silent for 6.0 s without a fault"],
        ),
        (run_of(counted=Counted(3, 2, 0)), ["1 events counted by the exporter that were never committed"]),
        (run_of(counted=Counted(1, 2, 0)), ["1 events not counted by the exporter"]),
        (run_of(counted=Counted(1, 2, 1)), []),
        (run_of(gaps=(Gap(9.0, "watcher", ("e0", 7), ("e2", 0), "new"),)), ["1 gaps without a reason for one"]),
        (
            run_of(
                Done("corrupted", 8.0, 1.0, 0.0, True), gaps=(Gap(9.0, "watcher", ("e0", 7), ("e2", 0), "new"),)
            ),
            [],
        ),
    ],
    ids=["well", "slow", "never", "silent", "counted twice", "not counted", "said lost", "gap", "gap with a reason"],
)  # fmt: skip
def test_a_broken_guarantee_is_reported(run: Run, said: list[str]) -> None:
    assert complaints(run, tolerance=1.0) == said


def test_the_report_names_the_faults_as_they_are_called() -> None:
    named = re.findall(r'"((?:state of|clock a|kill) [^"]+)"', Path(report.__file__).read_text())
    assert named
    assert {*named} <= {fault.name for fault in faults(own_disk=True)}


@pytest.mark.parametrize(
    ("kind", "fault", "said"),
    [
        ("duplicate", "kill watcher", ["1 loads failed", "about it"]),
        ("duplicate", "state of watcher corrupted", []),
        ("invalid", "state of watcher corrupted", ["1 loads failed", "about it"]),
        ("invalid", CLOCK_AHEAD, []),
    ],
)
def test_a_load_that_fails_needs_a_fault_that_explains_it(
    kind: Literal["invalid", "duplicate"], fault: str, said: list[str]
) -> None:
    failed = LoadFailed(at=2.0, metafile="a.torrent", job="", kind=kind, reason="")
    events: dict[Place, Event] = {FIRST: loaded(A), SECOND: started(A, 1.5), THIRD: failed}
    found = FinalState([], (0.0, ""), Counted(3, 3, 0), failed_loads=["about it"])
    record = ListenerRecord(Counter([FIRST, SECOND, THIRD]), [], [])
    books = balanced(events, FIRST, SECOND, THIRD)
    assert complaints(Run([Done(fault, 1.0, 1.0, 0.0, True)], [], books, events, record, found), 1.0) == said


def test_a_fault_that_was_not_injected_is_reported_if_there_was_time_for_all() -> None:
    chosen = faults(own_disk=True)
    last = f"listener: {POINTS['listener'][-1]}"
    done = [Done(fault.name, 1.0, 1.0, 0.0, False) for fault in chosen if fault.name != last]
    done.append(Done(last, 1.0, None, 2.0, False, "not reached"))
    assert not_done(chosen, done) == [last]
    found = FinalState([], (0.0, ""), Counted(2, 2, 0), not_done=[last])
    assert complaints(run_of(found=found), 1.0) == []
    found.had_time_for_all = True
    assert complaints(run_of(found=found), 1.0) == [f"not injected: {last}"]
    assert f"not injected: {last}" in figures(run_of(found=found))


def test_ten_minutes_have_time_for_every_fault() -> None:
    chosen = faults(own_disk=True)
    points = {f"{service}: {point}" for service, points in POINTS.items() for point in points}
    assert points <= {fault.name for fault in chosen}
    assert time_for_all(chosen) <= 600


def life(*memory: int, pid: int = 1, threads: int = 8) -> list[Sample]:
    """A process as it was sampled every minute; memory in MiB."""
    return [
        Sample(float(minute), "watcher", pid, size << 20, 45, threads, 1 << 20) for minute, size in enumerate(memory)
    ]


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (life(*[20] * 12), []),
        (life(12, 15, 18, *[20] * 9), []),
        (life(*range(20, 32)), ["memory of watcher (pid 1) grew from 25165824 to 31457280"]),
        (life(*range(20, 24)), []),
        (life(*[20] * 12) + life(*[90] * 12, pid=2), []),
    ],
    ids=["steady", "warms up and is steady", "grows", "too short to measure", "two lives"],
)
def test_growth_is_judged_within_the_life_of_one_process(samples: list[Sample], said: list[str]) -> None:
    assert grown(samples, metafiles=100) == said


def test_state_files_may_take_so_much_for_each_metafile() -> None:
    large = [Sample(1.0, "watcher", 1, 0, 0, 0, 200 << 20)]
    assert grown(large, metafiles=100) == ["state files of watcher take 200 MiB"]
    assert grown(large, metafiles=100_000) == []


def test_a_clock_moves_what_a_process_takes_for_the_time_and_it_can_be_put_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", time.time)
    clock, real = Clock(tmp_path / "clock"), time.time()
    follow(str(tmp_path / "clock"))
    for ahead in (DAY, -DAY, 0.0):
        clock.put(ahead)
        assert time.time() == pytest.approx(real + ahead, abs=60.0)
        assert put_right(time.time(), real) == pytest.approx(real, abs=60.0)
