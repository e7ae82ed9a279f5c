"""Against a real rTorrent: what it filters for us is never more than what the condition excludes."""

import time
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.conditions import parse
from pyrotorque.items import ItemReader
from pyrotorque.rtorrent import RTorrent
from tests.made_conditions import BOOLS, NEVERS, TEXT
from tests.waiting import eventually

# Name, size, files, commands of the load, and what is done to the item afterwards.
ITEMS: tuple[tuple[str, int, tuple[str, ...], tuple[str, ...]], ...] = (
    ("foo", 65_536, (), ()),
    ("Foo Bar", 100_001, ("d.priority.set=0", "d.message.set=ghost"), ()),
    ("ghost town", 1_024, ("d.priority.set=3", "d.custom.set=x,foo"), ("d.start",)),
    ("bax", 1, ("d.priority.set=1", 'd.message.set="0"'), ("d.open",)),
    ("b", 10**8, ("d.custom.set=tags,new audio", 'd.message.set=" "'), ("d.start",)),
    ("ghosts", 65_535, ("d.ignore_commands.set=1", "d.custom.set=x,0"), ()),
    ("12 b", 65_537, ("d.custom.set=tm_loaded,1700000000", 'd.custom.set=tags," "'), ()),
    ("a,b", 1_536, ("d.throttle_name.set=NULL", "d.custom.set=tm_started,1700000000"), ()),
    ("x\"y{z}$d.hash=;'", 2 * 2**20, ("d.custom.set=x,7",), ("d.open", "d.close")),
)


def _is_there(client: RTorrent, wanted: str) -> bool:
    return (wanted,) in client.rows("main", ["d.hash="])


@pytest.fixture(scope="module")
def filled(shared_rtorrent: PrivateRTorrent) -> Iterator[RTorrent]:
    client = RTorrent(shared_rtorrent.url)
    hashes: list[str] = []
    for name, size, commands, calls in ITEMS:
        metafile = make_metafile(name, size=size, private=size == 1)
        hashes.append(info_hash(metafile))
        client.call("load.raw", "", metafile, *commands)
        eventually(partial(_is_there, client, hashes[-1]))
        for method in calls:
            client.call(method, hashes[-1])
    folder = make_metafile("folder", files=(("a.mkv", 70_000), ("sub/b.nfo", 10), ("c.jpg", 30_000)))
    hashes.append(info_hash(folder))
    client.call("load.raw", "", folder)
    content = shared_rtorrent.downloads / "whole"
    content.write_bytes(b"x" * 40_000)
    whole = make_metafile("whole", content=content)
    hashes.append(info_hash(whole))
    client.call("load.raw_start", "", whole)
    eventually(lambda: len(client.rows("main", ["d.hash="], where="d.complete=")) >= 1, timeout=20)
    yield client
    for each in hashes:
        client.call("d.erase", each)


@given(text=TEXT)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_rtorrent_never_filters_out_a_match(filled: RTorrent, text: str) -> None:
    _assert_sound(filled, text)


def _assert_sound(filled: RTorrent, text: str) -> None:
    condition = parse(text)
    now = time.time()
    everything = ItemReader(filled).read("main", None, condition.fields, now)
    matching = {item["hash"] for item in everything if condition.matches(item, now)}
    for where in condition.filters(now):
        passed = {row[0] for row in filled.rows("main", ["d.hash="], where=where)}
        assert matching <= passed, where
    assert {item["hash"] for item in ItemReader(filled).read("main", condition, (), now)} == matching


SINGLE = [
    *(f"{name}={value}" for name in BOOLS for value in ("yes", "no")),
    *(f"{name}{value}" for name in NEVERS for value in ("=0", ">0", "!=0", "<=0")),
    *(f"prio{value}" for value in ("=0", ">0", "<1", ">1", "=3", "!=0", ">=1", "<=2")),
    *(f"size{value}" for value in ("=65536", ">65536", "<65536", ">=65536", "<=65536", ">65535.5", "=1", ">1t")),
    *(f"fno{value}" for value in (">1", "=3", "<=1", "<2", ">=3")),
    *(f"ratio{value}" for value in ("=0", ">0", "<1", ">=0.001", "<=0")),
    *(f"done{value}" for value in ("=0", ">0", "=100", "<100", ">=50")),
    *(f"message{value}" for value in ("=", "=!", "=ghost", "=0", "=,*ghost*", "=/^$|ghost/", r"=\ ", "=*", "=?*")),
    *(f"custom_x{value}" for value in ("=", "=!", "=foo", ">5", "<5", ">=0", "=0", "=,foo")),
    *(f"tagged{value}" for value in ("=", "=!", "=new", "==new", "=!new", "=audio,")),
    *(f"{name}{value}" for name in ("down", "up", "uploaded") for value in ("=0", ">3", "<=0", "!=0")),
    *("metafile=", "metafile=!", "throttle=NULL", "throttle=NONE", "is_private=1", "name=foo"),
    *("[ is_open=1 OR prio=3 ]", "[ NOT is_open=0 ]", "[ NOT [ prio=3 OR is_open=1 ] ]", "[ size>1k OR prio>2 ]"),
    *("[ is_open=1 prio>0 OR message=ghost ]", "is_open=0 is_active=0 is_complete=0 is_ignored=0 message= prio>0"),
]


@pytest.mark.parametrize("text", SINGLE)
def test_a_filter_passes_each_match_of_one_term(filled: RTorrent, text: str) -> None:
    _assert_sound(filled, text)


def test_custom_values_with_hyphens_in_their_keys_are_compared(filled: RTorrent) -> None:
    (one, *_), (other, *_) = filled.rows("main", ["d.hash="])[:2]
    for info_hash_, chosen, score in ((one, "4", "7"), (other, "3", "1")):
        filled.call("d.custom.set", info_hash_, "chk-state", chosen)
        filled.call("d.custom.set", info_hash_, "my-score-2", score)
    for text in (
        "custom_chk-state=4",
        "custom_chk-state>3",
        "custom_my-score-2>5",
        "custom_chk-state=! custom_chk-state!=3",
    ):
        for any_order in (False, True):
            condition = parse(text)
            items = ItemReader(filled).find("main", condition, ("hash",), time.time(), any_order=any_order)
            assert [item["hash"] for item in items] == [one]
