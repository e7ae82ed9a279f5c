"""The owner's log: each event has its level in one place, and a burst is a few lines and a sum."""

import logging
import re
from pathlib import Path
from typing import get_args

from pyrotorque.owner_events import BURSTS, LEVELS, LONGEST, SHOWN, BurstFolding, OwnerEvent, OwnerLine
from pyrotorque.owner_repeats import WINDOW
from tests.exporter_process import REPOSITORY


def texts(lines: list[OwnerLine]) -> list[str]:
    named = {logging.INFO: "INFO", logging.WARNING: "WARNING", logging.ERROR: "ERROR"}
    return [f"{named[line.level]} {line.text}" for line in lines]


def test_every_event_has_a_level() -> None:
    assert set(LEVELS) == set(get_args(OwnerEvent))


def test_every_event_is_used_and_documented() -> None:
    sources = "".join(
        path.read_text()
        for top in ("services", "shared")
        for path in (REPOSITORY / top).rglob("*.py")
        if path.name != "owner_events.py"
    )
    page = (REPOSITORY / "docs" / "logs.md").read_text()
    assert [event for event in LEVELS if f'"{event}"' not in sources] == []
    rows = dict(re.findall(r"^\| `([^`]+)` \| (INFO|WARN|ERROR) \|", page, re.MULTILINE))
    named = {logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}
    assert rows == {event: named[level] for event, level in LEVELS.items()}


def test_no_level_of_the_owners_log_is_chosen_anywhere_else() -> None:
    for top in ("services", "shared"):
        for path in (REPOSITORY / top).rglob("*.py"):
            for call in re.findall(r"owner_event\([^)]*\)", path.read_text()):
                assert "level=" not in call, path
    assert "torque.log" not in Path(REPOSITORY / "supervisor.conf").read_text()


def test_single_events_are_lines_of_their_own() -> None:
    folding = BurstFolding()
    assert texts(folding.add("metafile loaded", ["a", "b"], 0.0)) == ["INFO a", "INFO b"]
    assert folding.due(100.0) == []


def test_a_burst_becomes_a_sum_with_what_failed() -> None:
    folding = BurstFolding()
    shown = 0
    for number in range(4812):
        shown += len(folding.add("metafile loaded", [f"loaded {number}"], number * 0.01))
    failed = [f"did not load {number}" for number in range(SHOWN + 3)]
    shown_failures = folding.add("metafile failed", failed, 48.2)
    assert (shown, len(shown_failures)) == (SHOWN, SHOWN)
    assert folding.due(50.0) == []
    assert texts(folding.due(54.0)) == [
        f"WARNING 4,812 metafiles loaded in 48 s, {SHOWN + 3} failed: did not load 0; did not load 1; did not load 2; …"
    ]
    assert folding.due(99.0) == []


def test_failures_that_have_lines_of_their_own_are_no_second_warning() -> None:
    folding = BurstFolding()
    folding.add("metafile loaded", [str(number) for number in range(5000)], 0.0)
    assert texts(folding.add("metafile failed", ["bad"], 61.0 - 56.1)) == ["WARNING bad"]
    assert texts(folding.end(100.0)) == ["INFO 5,000 metafiles loaded in 5 s, 1 failed: bad"]


def test_a_burst_that_continues_has_a_sum_each_minute() -> None:
    folding = BurstFolding()
    sums: list[str] = []
    for second in range(150):
        folding.add("item completed", [f"{second}.{number}" for number in range(10)], float(second))
        sums += texts(folding.due(float(second)))
    sums += texts(folding.end(100.0))
    counts = [int(re.sub(r"\D", "", text.split()[1])) for text in sums]
    assert len(sums) == 3
    assert sum(counts) == 1500
    assert LONGEST == 60.0


def test_after_a_pause_single_lines_are_shown_again() -> None:
    folding = BurstFolding()
    folding.add("item started", [str(number) for number in range(SHOWN + 5)], 0.0)
    assert texts(folding.add("item started", ["next"], 60.0)) == [f"INFO {SHOWN + 5} items started in 1 s", "INFO next"]


def test_failures_alone_name_what_failed() -> None:
    folding = BurstFolding()
    folding.add("metafile failed", [f"bad {number}" for number in range(SHOWN + 2)], 0.0)
    assert texts(folding.end(100.0)) == [f"WARNING {SHOWN + 2} metafiles failed in 1 s: bad 0; bad 1; bad 2; …"]


def test_what_needs_the_owner_is_never_folded_away() -> None:
    folding = BurstFolding()
    lines = [line for number in range(100) for line in folding.add("job failed", [str(number)], number * 0.1)]
    assert len(lines) == 100
    assert {event for event in BURSTS if LEVELS[event] == logging.ERROR} == set()


def test_examples_are_short() -> None:
    folding = BurstFolding()
    folding.add("metafile failed", ["x" * 10_000 for _ in range(SHOWN + 1)], 0.0)
    (line,) = folding.end(100.0)
    assert len(line.text) < 600


def test_a_service_that_ends_again_and_again_is_one_line_and_then_a_count() -> None:
    folding = BurstFolding()
    ended = "watcher ended unexpectedly; it is started again"
    assert texts(folding.add("service ended", [ended], 0.0, "watcher")) == [f"WARNING {ended}"]
    for number in range(7):
        assert folding.add("service ended", [ended], 30.0 + number, "watcher") == []
    assert texts(folding.add("service ended", ["panel ended"], 40.0, "panel")) == ["WARNING panel ended"]
    assert texts(folding.add("service hung", ["watcher hangs"], 41.0, "watcher")) == ["ERROR watcher hangs"]
    assert folding.due(WINDOW - 1) == []
    assert texts(folding.due(WINDOW)) == [f"WARNING {ended} (again 7 times in 10 min)"]
    # A window without repetitions ends the count.
    assert folding.add("service ended", [ended], WINDOW + 1, "watcher") == []
    assert texts(folding.due(2 * WINDOW)) == [f"WARNING {ended} (again once in 10 min)"]
    assert folding.due(3 * WINDOW) == []
    assert texts(folding.add("service ended", [ended], 3 * WINDOW + 1, "watcher")) == [f"WARNING {ended}"]
    assert folding.add("service ended", [ended], 3 * WINDOW + 31, "watcher") == []
    assert texts(folding.end(3 * WINDOW + 61)) == [f"WARNING {ended} (again once in 1 min)"]
    assert folding.end(4 * WINDOW) == []


def test_without_a_look_for_long_the_next_repetition_is_a_line() -> None:
    folding = BurstFolding()
    folding.add("service hung", ["x hangs"], 0.0, "x")
    assert texts(folding.add("service hung", ["x hangs"], 2 * WINDOW, "x")) == ["ERROR x hangs"]
