"""Reading items: over a client that plays answers, and from a real rTorrent, cheap clauses come first."""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.conditions import parse, parse_sort
from pyrotorque.errors import ConditionError, RTorrentFault
from pyrotorque.fields import FIELDS, Field
from pyrotorque.items import ItemReader, read_items
from pyrotorque.rtorrent import RTorrent
from tests.waiting import eventually

NOW = 1_780_000_000.0


class Playing:
    """A client with so many items, each answer made of the item's number; it records the requests."""

    def __init__(self, count: int, unknown: Sequence[str] = ()) -> None:
        self.count = count
        self.unknown = unknown
        self.wheres: list[str] = []
        self.commands: list[Sequence[str]] = []
        self.singles: list[str] = []

    def rows(
        self, view: str, commands: Sequence[str], *, where: str = "", meanwhile: Callable[[], None] | None = None
    ) -> list[tuple[str, ...]]:
        self.wheres.append(where)
        self.commands.append(commands)
        return [tuple(self._answer(command, number) for command in commands) for number in range(self.count)]

    def scan_rows(self, view: str, commands: Sequence[str], *, where: str = "") -> list[tuple[str, ...]]:
        return self.rows(view, commands, where=where)

    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]:
        if all(name == "view.size" for name, _ in calls):
            return [self.count for _ in calls]
        self.singles += [str(params[0]) for _, params in calls]
        return [_files(str(params[-1])) if name == "branch" else [] for name, params in calls]

    def known(self, command: str) -> bool:
        return command.partition("=")[0] not in self.unknown

    def _answer(self, command: str, number: int) -> str:
        known = {"d.hash=": f"{number:040X}", "d.priority=": str(number % 4), "d.name=": f"n{number}"}
        if command.startswith("f.multicall="):  # each value with the separator of the command
            first, last = re.findall(",([0-9a-f]{8})", command)
            return f"a.mkv{first}90{last}b.jpg{first}10{last}"
        return {**known, "d.size_files=": "2"}.get(command, "0")


def _files(command: str) -> str:
    """What a packed command prints for two files: each value is followed by its separator."""
    between: str = re.findall("é[-_A-Za-z0-9]{8}", command)[0]
    return between.join(("a.mkv", "90", "b.jpg", "10", ""))


def test_only_the_needed_commands_are_read_each_once() -> None:
    playing = Playing(3)
    items = read_items(playing, "main", parse("prio>1 loaded>0 OR name=n*"), ["name", "xfer", "down"], NOW)
    assert [item.name for item in items] == ["n0", "n1", "n2"]
    assert sorted(playing.commands[0]) == sorted(
        ["d.hash=", "d.name=", "d.down.rate=", "d.up.rate=", "d.priority=", "d.custom=tm_loaded", "d.load_date="]
    )


def test_files_are_read_only_for_items_that_match_the_cheap_clauses() -> None:
    playing = Playing(8)
    items = read_items(playing, "main", parse("prio>2 kind_25=mkv"), [], NOW)
    assert [item.hash for item in items] == [f"{3:040X}", f"{7:040X}"]
    assert playing.singles == [f"{3:040X}", f"{7:040X}"]


def test_files_are_read_once_per_reader() -> None:
    playing = Playing(8)
    reader = ItemReader(playing)
    for _ in range(3):
        assert len(reader.read("main", parse("prio>2 kind=jpg"), ["traits"], NOW)) == 2
    assert len(playing.singles) == 2


def test_the_filter_goes_along_and_is_left_out_where_a_command_of_it_is_unknown() -> None:
    playing, old = Playing(8), Playing(8, unknown=["d.multicall.filtered"])
    for client in (playing, old):
        assert len(read_items(client, "main", parse("prio>2"), [], NOW)) == 2
    assert (playing.wheres, old.wheres) == (["greater=d.priority=,value=2"], [""])


def test_a_command_that_is_unknown_counts_as_empty_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    playing = Playing(2, unknown=["d.timestamp.last_active", "d.timestamp.last.active"])
    reader = ItemReader(playing)
    with caplog.at_level("INFO"):
        for _ in range(2):
            assert [item["active"] for item in reader.read("main", None, ["active"], NOW)] == [0, 0]
    assert len(caplog.records) == 1


def test_an_underscore_in_a_dynamic_field_may_stand_for_a_dot() -> None:
    playing = Playing(1, unknown=["d.up_rate", "d.up_rate_", "d_up_rate"])
    read_items(playing, "main", None, ["d_up_rate"], NOW)
    assert "d.up.rate=" in playing.commands[0]


def test_what_was_not_read_is_an_error_that_names_it() -> None:
    item = read_items(Playing(1), "main", None, ["name"], NOW)[0]
    assert set(item.fields) == {"hash", "name"}
    with pytest.raises(AttributeError, match="the field `prio` was not read"):
        _ = item.prio
    with pytest.raises(KeyError):
        _ = item["prio"]
    with pytest.raises(ConditionError, match="there is no field `nope`"):
        read_items(Playing(1), "main", None, ["nope"], NOW)


def test_fields_of_config_py_are_computed_for_survivors_and_get_what_they_need() -> None:
    asked: list[Mapping[str, Any]] = []

    class Computing:
        def values(self, names: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
            asked.extend(items)
            return {name: [item["name"] == "n7" for item in items] for name in names}

    mine = Field("mine", "bool", (), str, "mine", details=("custom",), needs=("name",))
    condition = parse("prio>2 mine=yes", custom={"mine": mine})
    items = ItemReader(Playing(8), Computing()).read("main", condition, [], NOW)
    assert [item.hash for item in items] == [f"{7:040X}"]
    assert asked == [{"hash": f"{number:040X}", "name": f"n{number}"} for number in (3, 7)]
    with pytest.raises(ConditionError, match="mine of config"):
        read_items(Playing(8), "main", condition, [], NOW)


class Computing:
    """Computes the field `mine` of a config.py and notes for whom."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def values(self, names: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
        self.asked += [item["name"] for item in items]
        return {name: [True for _ in items] for name in names}


class Changing(Playing):
    """A client whose first items are erased, or changed so that the filter excludes them, between two calls."""

    def multicall(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Sequence[Any]:
        gone = f"{2:040X}"
        found = super().multicall(calls)
        fault = RTorrentFault("erased")
        return [fault if params[0] < gone else found for (_, params), found in zip(calls, found, strict=True)]

    def rows(
        self, view: str, commands: Sequence[str], *, where: str = "", meanwhile: Callable[[], None] | None = None
    ) -> list[tuple[str, ...]]:
        rows = super().rows(view, commands, where=where)
        return rows[2:] if any("multicall" in command for command in commands) else rows


MINE = {"mine": Field("mine", "bool", (), str, "mine", details=("custom",), needs=("name",))}


def test_expensive_fields_are_read_clause_by_clause_and_config_py_last() -> None:
    playing, computing = Playing(8), Computing()
    condition = parse("mine=yes tracker= kind_25=jpg,mkv files=!*.jpg prio>1", custom=MINE)
    assert ItemReader(playing, computing).read("main", condition, [], NOW) == []
    assert set(playing.singles) == {f"{number:040X}" for number in (2, 3, 6, 7)}
    assert computing.asked == []
    condition = parse("mine=yes prio>2 files=*.jpg", custom=MINE)
    assert len(ItemReader(playing, computing).read("main", condition, [], NOW)) == 2
    assert computing.asked == ["n3", "n7"]


@pytest.mark.parametrize("count", [8, 200])
def test_what_is_gone_before_its_files_are_known_does_not_match(count: int) -> None:
    """Nothing is started because nothing is known of it."""
    found = read_items(Changing(count), "main", parse("[ NOT kind=jpg ] OR files=b.jpg"), ["name"], NOW)
    assert [item.name for item in found[:2]] == ["n2", "n3"]
    assert len(found) == count - 2


def test_an_item_named_by_its_hash_costs_one_call_also_among_many() -> None:
    playing = Playing(1_000)
    reader = ItemReader(playing)
    for number in (1, 2, 3):
        reader.read("main", parse(f"hash={number:040X}"), ["name"], NOW)
    assert playing.wheres == [f"equal=d.hash=,cat={number:040X}" for number in (1, 2, 3)]


def test_a_reader_of_ever_changing_items_does_not_fill_the_memory() -> None:
    reader = ItemReader(Playing(4))
    for number in range(1_000):
        reader.read("main", parse(f"hash={number:040X}"), [], NOW)
    assert len(reader._filter_choices) <= 100  # pyright: ignore[reportPrivateUsage]


def test_an_empty_view_has_no_items() -> None:
    assert read_items(Playing(0), "main", parse("prio>0 files=*.mkv"), ["views"], NOW) == []


def test_a_real_rtorrent_answers_every_field(rtorrent: PrivateRTorrent) -> None:
    client = RTorrent(rtorrent.url)
    files = (("Show.S01E01.mkv", 70_000), ("info/x y.nfo", 10))
    metafile = make_metafile("Some.Show.S01E01.720p.WEB.x264-GRP", files=files, announce="http://t.example.org/a")
    client.call("load.raw", "", metafile, 'd.custom.set=tags,"New b"', "d.priority.set=3")
    item = eventually(lambda: read_items(client, "main", None, FIELDS, time.time()))[0]
    assert item.hash == info_hash(metafile)
    assert item.size == 70_010
    assert item.prio == 3
    assert item.files == ["Show.S01E01.mkv", "info/x y.nfo"]
    assert item.kind == {"mkv", "nfo"}
    assert (item.traits, item.label) == ({"tv", "mkv"}, "tv/mkv")
    assert (item.tracker, item.alias) == ("http://t.example.org/a", "example.org")
    assert item.tagged == {"new", "b"}
    assert abs(item.loaded - time.time()) < 60
    assert (item.started, item.completed, item.done) == (0, 0, 0.0)
    assert item.is_ghost is True
    assert item.path == os.path.join(rtorrent.downloads, "Some.Show.S01E01.720p.WEB.x264-GRP")
    assert item.sessionfile == os.path.join(rtorrent.session, f"{item.hash}.torrent")
    assert item.has_room is True


def test_many_items_get_their_files_in_one_call(rtorrent: PrivateRTorrent) -> None:
    client = RTorrent(rtorrent.url)
    for number in range(120):
        files = ((f'{number}, "x".mkv', 90_000), ("ü b.nfo", 10))
        client.call("load.raw", "", make_metafile(f"n{number:03}", files=files))
    condition = parse("kind_25=mkv files=*.nfo")
    items = eventually(lambda: _at_least(120, client, condition), timeout=20)
    ordered = parse_sort("-name").sorted(items)
    assert [item.name for item in ordered[:2]] == ["n119", "n118"]
    assert ordered[0].files == ['119, "x".mkv', "ü b.nfo"]


def _at_least(count: int, client: RTorrent, condition: Any) -> list[Any]:
    found = read_items(client, "main", condition, ["name", "files"], NOW)
    return found if len(found) >= count else []
