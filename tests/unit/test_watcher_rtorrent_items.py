"""One request has several metafiles, as many as fit below rTorrent's limit."""

from collections import deque
from dataclasses import replace

import pytest

from pyrotorque.rtorrent.xml import Param, encode_call, size_bound
from pyrotorque_watcher.load.plan import InitialState, LoadPlan, TorrentLoad
from pyrotorque_watcher.load.prepare import ReadyLoad
from pyrotorque_watcher.load.rtorrent_items import BATCH_LOADS, is_full, take_batch
from pyrotorque_watcher.rows import Arrival, EarlierLoad, FileIdentity, LoadRecord, Progress, Row
from tests.watching import job


def ready(turn: int, size: int) -> ReadyLoad:
    row = Row(
        turn,
        "token",
        "treewatch",
        b"/w",
        FileIdentity(b"/w/x.torrent", size, 0, 0, 0, 0),
        Arrival(0.0, 0.0, settled=True),
        LoadRecord(attempts=1),
        Progress("sent", "", 0.0, "", published=False),
        EarlierLoad("", ""),
    )
    return ReadyLoad(row, LoadPlan((TorrentLoad("AA", "x", bytes(size), ()),), InitialState.STOP, False), job())


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([100], [1]),
        ([100] * (BATCH_LOADS + 2), [BATCH_LOADS, 2]),
        ([150_000, 100, 150_000, 100], [2, 2]),
        ([3_000_000, 100, 3_000_000], [1, 1, 1]),
    ],
)
def test_small_ones_are_sent_together_and_large_ones_alone_in_their_order(sizes: list[int], batches: list[int]) -> None:
    waiting = deque(ready(turn, size) for turn, size in enumerate(sizes))
    made: list[list[ReadyLoad]] = []
    while waiting:
        made.append(take_batch(waiting))
    assert [len(each) for each in made] == batches
    assert [one.row.turn for each in made for one in each] == list(range(len(sizes)))


@pytest.mark.parametrize(
    ("sizes", "is_enough"), [([], False), ([100] * 7, False), ([100] * 8, True), ([10_000_000], True)]
)
def test_large_metafiles_are_not_gathered_in_memory(sizes: list[int], is_enough: bool) -> None:
    assert is_full(deque(ready(turn, size) for turn, size in enumerate(sizes)), BATCH_LOADS) is is_enough


def test_what_may_have_crashed_rtorrent_is_sent_alone() -> None:
    waiting = deque(replace(ready(turn, 100), suspect=turn in (2, 3)) for turn in range(6))
    assert [[one.row.turn for one in take_batch(waiting)] for _ in range(4)] == [[0, 1], [2], [3], [4, 5]]


@pytest.mark.parametrize(
    "param",
    [
        "",
        "a" * 1000,
        "&<>" * 500,
        "é\U0001f600\udcff" * 300,
        bytes(999),
        -(2**62),
        ["a", 1, b"b"],
        {"&k": [{"&": b""}]},
    ],
)
def test_no_param_is_larger_than_its_bound(param: Param) -> None:
    assert len(encode_call("", [param])) - len(encode_call("", [])) <= size_bound(param) + 20
