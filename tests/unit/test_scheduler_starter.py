"""The result of a start from rTorrent's answers, retries after failures, and the history of decisions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque.errors import RTorrentFault
from pyrotorque.store import open_store
from pyrotorque_scheduler.queue.model import Failure
from pyrotorque_scheduler.queue.start_result import StartResult, next_failure, start_result
from pyrotorque_scheduler.state import HISTORY_MAX, MIGRATIONS, DecisionHistory, DecisionRecord

GONE = RTorrentFault("d.state: Could not find info-hash.", -501)


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ((1, 1, 0, 0, "", 1), StartResult(None)),
        ((1, 1, 0, 0, "Tracker: [Timed out]", 1), StartResult(None)),
        ((1, 0, 1, 0, "", 0), StartResult(None, hash_checking=True)),
        ((0, 0, 0, 0, "", 0), StartResult("rejected", "rTorrent left it stopped")),
        ((1, 0, 0, 0, "Low diskspace.", 0), StartResult("rejected", "Low diskspace.")),
        ((1, 0, 1, 1, "", 0), StartResult("rejected", "rTorrent could not check its data (folder or disk?)")),
        (
            (1, 0, 0, 0, "", 1),
            StartResult("rejected", "rTorrent could not open its files (its log has the reason)", stuck=True),
        ),
        ((GONE,) * 6, StartResult("gone", str(GONE))),
    ],
    ids=[
        "active",
        "active despite a message of its tracker",
        "being checked",
        "still stopped",
        "closed on a full disk",
        "cannot be checked",
        "stuck",
        "gone",
    ],
)
def test_the_answers_of_rtorrent(answers: tuple[int | str | RTorrentFault, ...], found: StartResult) -> None:
    assert start_result(answers) == found


def test_the_fault_of_the_start_itself_is_the_best_reason() -> None:
    fault = RTorrentFault("d.open: Could not open file: Permission denied", -503)
    assert start_result((0, 0, 0, 0, "", 0), [0, fault, 0]).reason == str(fault)


def test_each_failure_doubles_the_wait_up_to_an_hour() -> None:
    waits: list[float] = []
    failure: Failure | None = None
    for _ in range(12):
        failure = next_failure(failure, "no", 1000.0)
        waits.append(failure.until - 1000)
    assert waits[:4] == [15, 30, 60, 120]
    assert waits[-1] == 3600


def decided(at: float, verdict: str, info_hash: str = "") -> DecisionRecord:
    return DecisionRecord(at=at, job="queue", verdict=verdict, text="because", info_hash=info_hash)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[DecisionHistory]:
    store = open_store(tmp_path / "s.sqlite3", MIGRATIONS)
    with store.transaction():  # of each test: a commit for each record would take seconds
        yield DecisionHistory(store)
    store.close()


def verdicts(history: DecisionHistory) -> list[str]:
    return [each.verdict for each in history.latest(1000)]


def test_equal_holds_are_recorded_once(history: DecisionHistory) -> None:
    for at in range(5):
        history.record(decided(at, "no_slot"))
    history.record(decided(6, "intermission"))
    history.record(decided(7, "no_slot"))
    assert verdicts(history) == ["no_slot", "intermission", "no_slot"]


def test_a_hold_after_a_start_is_recorded_again(history: DecisionHistory) -> None:
    history.record(decided(1, "no_slot"))
    history.record(decided(2, "started", "AA"))
    history.record(decided(3, "no_slot"))
    assert verdicts(history) == ["no_slot", "started", "no_slot"]


def test_the_history_is_bounded(history: DecisionHistory) -> None:
    for number in range(HISTORY_MAX + 300):
        history.record(decided(number, "started", f"{number}"))
    assert HISTORY_MAX <= len(history.latest(10_000)) <= HISTORY_MAX + 100


def test_the_history_of_one_item_is_its_own(history: DecisionHistory) -> None:
    history.record(decided(1, "failed", "AA"))
    history.record(decided(2, "failed", "BB"))
    assert [each.info_hash for each in history.latest(item="AA")] == ["AA"]
