"""The decision about a file that was found, case by case."""

from typing import Any

import pytest
from msgspec.structs import replace

from pyrotorque_watcher.rows import FoundFile, KnownFile, State
from pyrotorque_watcher.scan.reconcile import FileDecision, FileEvent, Situation, Verdict, decide

FOUND = FoundFile(path=b"/w/b.torrent", size=10, mtime_ns=100, ctime_ns=500, device=1, inode=7, links=1)
NEVER = Situation()
FIRST = Situation(baseline_before=1000)


def known(path: bytes = b"/w/b.torrent", state: State = "loaded", **changes: Any) -> KnownFile:
    columns: dict[str, Any] = {"size": 10, "mtime_ns": 100, "ctime_ns": 500, "device": 1, "inode": 7}
    return KnownFile(path=path, state=state, **(columns | changes))


@pytest.mark.parametrize("state", ["seen", "sent", "visible", "loaded", "duplicate", "failed", "baseline"])
def test_a_known_file_is_not_loaded_again_in_any_state(state: State) -> None:
    assert decide(FOUND, known(state=state), None, False, NEVER).verdict is Verdict.KEEP


@pytest.mark.parametrize("changes", [{"size": 11}, {"mtime_ns": 101}], ids=["grown", "touched"])
@pytest.mark.parametrize("state", ["loaded", "failed", "baseline", "duplicate"])
def test_a_write_or_a_touch_loads_again(state: State, changes: dict[str, Any]) -> None:
    assert decide(FOUND, known(state=state, **changes), None, False, NEVER).verdict is Verdict.LOAD


def test_another_device_number_is_the_same_file() -> None:
    assert decide(FOUND, known(device=99, inode=99), None, False, NEVER).verdict is Verdict.SAME


def test_another_inode_number_of_the_same_age_is_the_same_file() -> None:
    """Some filesystems invent new ones at each look."""
    assert decide(FOUND, known(inode=99), None, False, NEVER).verdict is Verdict.KEEP


def test_a_file_that_1_0_0_could_not_read_is_tried_again_when_it_is_readable() -> None:
    assert decide(FOUND, known(state="failed", kind="io", ctime_ns=1), None, False, NEVER).verdict is Verdict.LOAD


@pytest.mark.parametrize("state", ["loaded", "duplicate", "failed"])
def test_a_changed_ctime_requires_a_look_at_the_content(state: State) -> None:
    assert decide(FOUND, known(state=state, ctime_ns=1), None, False, NEVER).verdict is Verdict.CHANGED


@pytest.mark.parametrize("state", ["seen", "sent", "visible", "baseline"])
def test_a_changed_ctime_alone_loads_nothing(state: State) -> None:
    assert decide(FOUND, known(state=state, ctime_ns=1), None, False, NEVER).verdict is Verdict.KEEP


@pytest.mark.parametrize("state", ["loaded", "failed", "baseline", "duplicate"])
@pytest.mark.parametrize(
    ("event", "changes", "verdict"),
    [
        (FileEvent.ARRIVED, {}, Verdict.LOAD),
        (FileEvent.ARRIVED, {"ctime_ns": 1}, Verdict.LOAD),
        (FileEvent.WRITTEN, {"ctime_ns": 1}, Verdict.LOAD),
        (FileEvent.WRITTEN, {"inode": 1}, Verdict.LOAD),
        (FileEvent.WRITTEN, {}, Verdict.KEEP),  # opened for writing, and nothing was written
        (FileEvent.RENAMED, {}, Verdict.KEEP),
    ],
)
def test_an_event_makes_a_file_new_although_its_size_and_time_are_known(
    state: State, event: FileEvent, changes: dict[str, Any], verdict: Verdict
) -> None:
    assert decide(FOUND, known(state=state, **changes), None, False, Situation(event=event)).verdict is verdict


@pytest.mark.parametrize("state", ["seen", "sent", "visible"])
def test_an_event_of_a_file_that_is_on_its_way_changes_nothing(state: State) -> None:
    situation = Situation(event=FileEvent.WRITTEN)
    assert decide(FOUND, known(state=state), None, False, situation).verdict is Verdict.KEEP


def test_a_file_that_was_replaced_before_it_was_loaded_is_seen_again() -> None:
    situation = Situation(event=FileEvent.ARRIVED)
    assert decide(FOUND, known(state="seen", inode=1), None, False, situation).verdict is Verdict.LOAD


def test_what_arrives_under_another_name_is_new_and_what_is_renamed_is_not() -> None:
    same = known(b"/w/a.torrent")
    arrived, renamed = Situation(event=FileEvent.ARRIVED), Situation(event=FileEvent.RENAMED)
    assert decide(FOUND, None, same, False, arrived).verdict is Verdict.LOAD
    assert decide(FOUND, None, same, False, renamed).verdict is Verdict.MOVED


def test_a_file_whose_folder_was_moved_away_and_in_again_is_new() -> None:
    gone = known(gone=True)
    assert decide(FOUND, gone, None, False, Situation(arrived=True)).verdict is Verdict.LOAD
    assert decide(FOUND, gone, None, False, NEVER).verdict is Verdict.BACK


def test_a_known_file_that_was_away_is_back() -> None:
    assert decide(FOUND, known(gone=True), None, False, NEVER).verdict is Verdict.BACK


def test_a_renamed_file_is_not_loaded_again() -> None:
    same = known(b"/w/a.torrent")
    assert decide(FOUND, None, same, False, NEVER) == FileDecision(Verdict.MOVED, b"/w/a.torrent")


def test_a_file_renamed_over_a_known_one_keeps_its_own_state() -> None:
    same, there = known(b"/w/a.torrent"), known(mtime_ns=3)
    assert decide(FOUND, there, same, False, NEVER) == FileDecision(Verdict.MOVED, b"/w/a.torrent")


def test_a_hard_link_is_another_name_of_a_known_file() -> None:
    linked = replace(FOUND, links=2)
    assert decide(linked, None, known(b"/w/a.torrent"), True, NEVER) == FileDecision(Verdict.LINKED, b"/w/a.torrent")


def test_a_copy_with_the_same_times_is_a_file_of_its_own() -> None:
    assert decide(FOUND, None, known(b"/w/a/b.torrent", inode=8), True, NEVER).verdict is Verdict.LOAD


def test_what_is_older_than_the_first_look_is_baseline() -> None:
    assert decide(FOUND, None, None, False, FIRST).verdict is Verdict.BASELINE


def test_what_was_written_since_the_group_began_is_loaded_on_the_first_look() -> None:
    assert decide(replace(FOUND, ctime_ns=1000), None, None, False, FIRST).verdict is Verdict.LOAD


def test_old_files_in_a_folder_that_was_moved_in_are_loaded() -> None:
    assert decide(FOUND, None, None, False, NEVER).verdict is Verdict.LOAD
    assert decide(FOUND, None, None, False, Situation(1000, arrived=True)).verdict is Verdict.LOAD


def test_a_baseline_file_stays_baseline_when_it_is_renamed() -> None:
    assert decide(FOUND, None, known(b"/w/a.torrent", "baseline"), False, NEVER).verdict is Verdict.MOVED
