"""Several metafiles travel in one request, as many as rTorrent's limit has room for."""

from collections import deque
from dataclasses import replace

import pytest

from pyrotorque.rtorrent.xml import Param, encode_call, size_bound
from pyrotorque_watcher.ledger import Row
from pyrotorque_watcher.load.flags import Load
from pyrotorque_watcher.load.plan import Plan, Torrent
from pyrotorque_watcher.load.prepare import Ready
from pyrotorque_watcher.load.rtorrent_items import PARCEL, enough, parcel
from tests.watching import job


def ready(turn: int, size: int) -> Ready:
    row = Row(
        turn, "treewatch", b"/w/x.torrent", b"/w", size, 0, 0, 0, "", "", "sent", "", 1, "", "", 0.0, 0.0, 0.0, 0.0,
        "token", "", 1, "", 0, 0, "", "",
    )  # fmt: skip
    return Ready(row, Plan((Torrent("AA", "x", bytes(size), ()),), Load.STOP, False), job())


@pytest.mark.parametrize(
    ("sizes", "parcels"),
    [
        ([100], [1]),
        ([100] * (PARCEL + 2), [PARCEL, 2]),
        ([150_000, 100, 150_000, 100], [2, 2]),
        ([3_000_000, 100, 3_000_000], [1, 1, 1]),
    ],
)
def test_small_ones_travel_together_and_large_ones_alone_in_their_order(sizes: list[int], parcels: list[int]) -> None:
    waiting = deque(ready(turn, size) for turn, size in enumerate(sizes))
    made: list[list[Ready]] = []
    while waiting:
        made.append(parcel(waiting))
    assert [len(each) for each in made] == parcels
    assert [one.row.turn for each in made for one in each] == list(range(len(sizes)))


@pytest.mark.parametrize(
    ("sizes", "is_enough"), [([], False), ([100] * 7, False), ([100] * 8, True), ([10_000_000], True)]
)
def test_large_metafiles_are_not_gathered_in_memory(sizes: list[int], is_enough: bool) -> None:
    assert enough(deque(ready(turn, size) for turn, size in enumerate(sizes)), PARCEL) is is_enough


def test_what_rtorrent_may_have_died_of_travels_alone() -> None:
    waiting = deque(replace(ready(turn, 100), suspect=turn in (2, 3)) for turn in range(6))
    assert [[one.row.turn for one in parcel(waiting)] for _ in range(4)] == [[0, 1], [2], [3], [4, 5]]


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
