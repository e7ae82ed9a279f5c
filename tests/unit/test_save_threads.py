"""Which threads of rTorrent may be saves that began earlier."""

import os
import threading

import pytest

from pyrotorque.rtorrent.save_threads import Thread, is_saving, is_visible, now, overlap, threads_of

TICKS = os.sysconf("SC_CLK_TCK")
START = 1_000 * TICKS
OWN = [
    Thread(10, "rtorrent-main", START),
    Thread(11, "rtorrent-disk", START + 1),
    Thread(12, "rtorrent-main", START + 2),
    Thread(13, "rtorrent-scgi", START + 3),
]


def thread(seconds: float, name: str = "rtorrent-main") -> Thread:
    return Thread(99, name, START + int(seconds * TICKS))


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.9.8", False),
        ("0.15.7", False),
        ("0.16.5", False),
        ("0.16.6", True),
        ("0.16.17", True),
        ("1.0", True),
        ("0.16.17-1", True),
        ("", False),
    ],
)
def test_versions(version: str, expected: bool) -> None:
    assert overlap(version) is expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], False),
        ([thread(20.0)], True),
        ([thread(20.0, "rtorrent-session")], True),
        ([thread(20.0, "rtorrent-net")], False),
        ([thread(20.2)], False),
        ([thread(14.0)], False),
        ([thread(0.03)], False),
    ],
    ids=["none", "earlier", "named", "of another kind", "later", "too old", "of its beginning"],
)
def test_a_thread_that_began_before_the_request_is_a_save(more: list[Thread], expected: bool) -> None:
    assert is_saving([*OWN, *more], 10, 1_020.1, 1_020.3) is expected


def test_without_a_thread_for_its_server_those_of_its_first_second_are_no_saves() -> None:
    own = OWN[:3]
    assert not is_saving([*own, thread(0.9)], 10, 1_002.0, 1_002.1)
    assert is_saving([*own, thread(1.2)], 10, 1_002.0, 1_002.1)


def test_the_process_of_another_program_is_not_that_of_rtorrent() -> None:
    assert is_visible(OWN, 10)
    assert not is_visible(OWN, 9)
    assert not is_visible([Thread(10, "bash", START)], 10)
    assert not is_visible([], 10)


def test_threads_are_those_that_the_kernel_has() -> None:
    end = threading.Event()
    began = now()
    added = threading.Thread(target=end.wait)
    added.start()
    try:
        found = {each.number: each for each in threads_of(os.getpid())}
        assert found[os.getpid()].began <= found[added.native_id or 0].began
        assert began - 0.02 <= found[added.native_id or 0].began / TICKS <= now()
    finally:
        end.set()
        added.join()
    assert threads_of(2**30) == []
