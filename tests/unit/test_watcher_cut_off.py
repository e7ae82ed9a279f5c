"""Which items are provably ours although they have no mark, and which evidence a load leaves."""

from typing import Any

import msgspec
import pytest

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Call
from pyrotorque_watcher.load.cut_off import absence_calls, absences_in, is_cut_off
from pyrotorque_watcher.rows import Absence, Arrival, EarlierLoad, FileIdentity, LoadRecord, Progress, Row

A, B = "A" * 40, "B" * 40
BEFORE = Absence("first", "/session/", 1000, (A,))
PROCESS = ("second", "/session/", "/downloads")
FAULT = RTorrentFault("Could not find info-hash.", -501)
PRISTINE: dict[str, Any] = {
    **{f"d.custom{number}": "" for number in range(1, 6)},
    "d.tied_to_file": "",
    "d.throttle_name": "",
    "d.state": 0,
    "d.state_counter": 0,
    "d.is_open": 0,
    "d.is_active": 0,
    "d.hashing": 0,
    "d.ignore_commands": 0,
    "d.complete": 0,
    "d.completed_chunks": 0,
    "d.timestamp.started": 0,
    "d.timestamp.finished": 0,
    "d.views": [],
    "d.priority": 2,
    "d.custom.keys": RTorrentFault("no element", -503),
    "d.state_changed": 1000,
    "d.is_meta": 0,
    "d.loaded_file": f"/session/{A}.torrent",
    "d.directory": "/downloads/name",
}


def found(absence: Absence = BEFORE, process: tuple[Any, ...] = PROCESS, **facts: Any) -> bool:
    changed: dict[str, Any] = {name.replace("__", "."): value for name, value in facts.items()}
    return is_cut_off(absence, A, process, PRISTINE | changed)


def test_an_untouched_item_of_the_restarted_rtorrent_is_ours() -> None:
    assert found()
    assert found(d__directory="/downloads")
    assert found(d__directory="/root/downloads/name", process=("second", "/session/", "~/downloads/"))
    assert found(d__is_meta=1, d__directory="/session")
    assert found(d__custom__keys=[])


def test_a_process_without_an_incarnation_was_started_since() -> None:
    """Nothing has asked it yet; seen with 0.16.17 right after a restart."""
    undefined = RTorrentFault("pyrotorque.incarnation: Method 'pyrotorque.incarnation' not defined", -506)
    assert found(process=(undefined, *PROCESS[1:]))
    assert not found(process=(RTorrentFault("no permission", -506), *PROCESS[1:]))
    assert not found(msgspec.structs.replace(BEFORE, incarnation=""), process=(undefined, *PROCESS[1:]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, "x") for name, value in PRISTINE.items() if value == ""],
        *[(name, 1) for name, value in PRISTINE.items() if value == 0 and name != "d.is_meta"],
        ("d.priority", 3),
        ("d.priority", 0),
        ("d.custom.keys", ["addtime"]),
        ("d.views", ["mine"]),
        ("d.directory", "/other/name"),
        ("d.state_changed", 999),
        ("d.loaded_file", ""),
        ("d.loaded_file", "/watch/x.torrent"),
    ],
)
def test_an_item_with_any_change_is_not_ours(name: str, value: object) -> None:
    changed: dict[str, Any] = {name: value}
    assert not is_cut_off(BEFORE, A, PROCESS, PRISTINE | changed)


def test_an_item_that_is_gone_is_not_ours() -> None:
    assert not is_cut_off(BEFORE, A, PROCESS, dict.fromkeys(PRISTINE, FAULT))


@pytest.mark.parametrize(
    "process",
    [
        ("first", "/session/", "/downloads"),
        ("second", "/other/", "/downloads"),
        ("second", "", "/downloads"),
        (FAULT, "/session/", "/downloads"),
    ],
    ids=["the same process", "another session", "no session", "an rTorrent that cannot be identified"],
)
def test_an_item_of_another_rtorrent_is_not_ours(process: tuple[Any, ...]) -> None:
    assert not found(process=process)


def test_an_item_that_was_there_before_is_not_ours() -> None:
    assert not found(Absence("first", "/session/", 1000, (B,)))


class Answers:
    """An rTorrent with these items."""

    def __init__(self, *items: str, at: int = 2000) -> None:
        self.items, self.at = items, at

    def multicall(self, calls: list[Call], **_: object) -> list[Any]:
        values = {"pyrotorque.incarnation": "second", "session.path": "/session/", "system.time": self.at}
        return [
            (0 if str(params[0]) in self.items else FAULT) if method == "d.state" else values.get(method, "")
            for method, params in calls
        ]


def row(*hashes: str, absence: Absence | None = None) -> Row:
    load = LoadRecord(hashes[0], hashes[1:])
    file = FileIdentity(b"/w/x.torrent", 1, 1, 1, 1, 1)
    progress = Progress("sent", "", 0.0, "", False)
    return Row(1, "t", "job", b"/w", file, Arrival(0.0, 0.0, True), load, progress, EarlierLoad("", ""), absence)


@pytest.mark.parametrize(
    ("there", "before", "evidence"),
    [
        ((), None, Absence("second", "/session/", 2000, (A, B))),
        ((A,), None, Absence("second", "/session/", 2000, (B,))),
        ((A, B), None, None),
        ((A,), Absence("first", "/session/", 10, (A, B)), Absence("first", "/session/", 10, (A, B))),
        ((A,), Absence("first", "/session/", 10, (B,)), Absence("second", "/session/", 2000, (B,))),
        ((), Absence("first", "/session/", 10, (A, B)), Absence("second", "/session/", 2000, (A, B))),
        ((), Absence("first", "/session/", 1990, (A, B)), Absence("first", "/session/", 1990, (A, B))),
    ],
    ids=[
        "none is there",
        "one is there",
        "both are there",
        "an earlier load may have left one",
        "one was there before the earlier load",
        "an earlier load left nothing",
        "an earlier load just before may have left what is not restored yet",
    ],
)
def test_evidence_of_absence(there: tuple[str, ...], before: Absence | None, evidence: Absence | None) -> None:
    rows = [row(A, B, absence=before)]
    absences = absences_in(Answers(*there).multicall(absence_calls(rows)), rows, 7.0)
    assert absences is not None
    assert (absences.of_rows, absences.incarnation, absences.read_at) == ([evidence], "second", 7.0)


@pytest.mark.parametrize("place", [0, 1, 2, -1], ids=["process", "session", "clock", "process at the end"])
@pytest.mark.parametrize("answer", [FAULT, "third"], ids=["refused", "another process"])
def test_there_is_no_evidence_unless_one_process_gives_all_of_it(place: int, answer: Any) -> None:
    rows = [row(A)]
    answers = Answers().multicall(absence_calls(rows))
    answers[place] = answer
    is_evidence = answer == "third" and place in (1, 2)  # another folder or time is as good
    if answer == "third" and place == 2:
        answers[place] = 3
    assert (absences_in(answers, rows, 0.0) is not None) is is_evidence
