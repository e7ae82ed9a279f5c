"""Rows of a view from the real rTorrent: packed, filtered, and whole whatever the names of the items are."""

import os

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.item_texts import equal_call
from pyrotorque.rtorrent.packed_rows import Form, packed_command
from tests.waiting import eventually

# What 0.9.8 prints; 0.16 offers each name as it is.
ODD_NAMES: dict[bytes, str] = {
    b"plain": "plain",
    b"a\x01b\x1b[2J": "a\x01b\x1b[2J",
    "Grüße".encode(): "Grüße",
    b"x]]>&lt;<b>&amp;": "x]]>&lt;<b>&amp;",
    b"tab\tand 'quotes\" \\": "tab\tand 'quotes\" \\",
    b"two\nlines": "two\nlines",
    b"a return\r": "a return\n",
    b"bad\xffbyte": "bad?byte",
    b"bad\xff %C3%BC %FF %": "bad? %C3%BC %FF %",
    "emoji 😀".encode(): "emoji ????",
    "Grüße 😀?".encode(): "Gr????e ?????",
    b"%41 100% %C3%BC %F0%9F%98%80": "%41 100% %C3%BC %F0%9F%98%80",
    b"what?": "what?",
    "right \u202e to left".encode(): "right \u202e to left",
    b"$execute.throw=touch,pwned": "$execute.throw=touch,pwned",
    b'","$execute.throw=touch,pwned': '","$execute.throw=touch,pwned',
}


@pytest.fixture
def looking(shared_rtorrent: PrivateRTorrent) -> RTorrent:
    """For tests that leave no trace."""
    return RTorrent(shared_rtorrent.url)


def load(client: RTorrent, *metafiles: bytes, commands: tuple[str, ...] = ()) -> list[str]:
    hashes = [info_hash(metafile) for metafile in metafiles]
    client.multicall([("load.raw", ["", metafile, *commands]) for metafile in metafiles])
    eventually(lambda: set(hashes) <= {row[0] for row in client.rows("main", ["d.hash="])}, why="items are loaded")
    return hashes


def test_rows_hold_the_fields_of_each_item_as_text(client: RTorrent) -> None:
    first, second = load(client, make_metafile("one", size=5), make_metafile("two", size=5 * 2**30, piece_length=2**24))
    rows = client.rows("main", ["d.hash=", "d.name=", "d.size_bytes=", "d.is_active=", "d.message="])
    assert sorted(rows) == sorted([(first, "one", "5", "0", ""), (second, "two", str(5 * 2**30), "0", "")])


def test_rows_take_commands_with_arguments_quotes_and_commands_inside(client: RTorrent) -> None:
    (item,) = load(client, make_metafile("one"), commands=('d.custom.set=key,"a,b;c"', "d.custom.set=tm_loaded,123"))
    commands = [
        "d.custom=tm_loaded",
        "d.custom=key",
        "t.multicall=,t.url=,t.is_enabled=",
        'cat="x,y",$d.custom=key',
        'if=$d.is_active=,yes,"no, not yet"',
        "d.hash=",
    ]
    assert client.rows("main", commands) == [
        ("123", "a,b;c", "http://127.0.0.1:1/announce1", "x,ya,b;c", "no, not yet", item)
    ]


def test_rows_of_some_items_are_those_of_the_view(client: RTorrent) -> None:
    items = load(client, *(make_metafile(f"item {number}") for number in range(4)), commands=("d.custom.set=key,$d.a",))
    commands = ["d.hash=", "d.name=", "d.custom=key", "d.load_date=", "not=$d.is_active="]
    whole = {row[0]: row for row in client.rows("main", commands)}
    assert client.rows_of([items[2], "0" * 40, items[0]], commands) == [whole[items[2]], whole[items[0]]]
    assert client.rows_of(["0" * 40], commands) == client.rows_of([], commands) == []


def test_one_field_and_no_items_are_rows_too(client: RTorrent) -> None:
    assert client.rows("main", ["d.hash=", "d.name="]) == []
    assert client.rows("main", ["d.hash="]) == []
    (item,) = load(client, make_metafile("one"))
    assert client.rows("main", ["d.hash="]) == [(item,)]
    assert client.rows("main", ["d.message="]) == [("",)]


def test_rows_of_no_fields_are_a_mistake_of_the_caller(looking: RTorrent) -> None:
    with pytest.raises(ValueError, match="at least one command"):
        looking.rows("main", [])


def test_rtorrent_filters_rows(client: RTorrent) -> None:
    small, large = load(client, make_metafile("small", size=5), make_metafile("large", size=10**6))
    assert client.rows("main", ["d.hash="], where="greater=d.size_bytes=,value=1000") == [(large,)]
    assert client.rows("main", ["d.hash="], where="equal=d.name=,cat=small") == [(small,)]
    assert client.rows("main", ["d.hash="], where="d.message=") == []


def test_scanned_rows_are_the_same_rows_also_when_iterated_again(client: RTorrent) -> None:
    load(client, make_metafile("Grüße & mehr"), make_metafile("two", size=10**6), make_metafile("日本"))
    commands = ["d.hash=", "d.name=", "d.size_bytes="]
    rows, large = client.scan_rows("main", commands), "greater=d.size_bytes=,value=100000"
    assert list(rows) == list(rows) == client.rows("main", commands)
    assert [row[1] for row in client.scan_rows("main", commands, where=large)] == ["two"]
    assert list(client.scan_rows("main", commands, where="d.message=")) == []


def test_an_unknown_view_or_command_is_a_fault(looking: RTorrent, client: RTorrent) -> None:
    with pytest.raises(RTorrentFault, match="Could not find view"):
        looking.rows("no_such_view", ["d.hash="])
    load(client, make_metafile("one"))
    with pytest.raises(RTorrentFault, match=r"d\.nosuch"):
        client.rows("main", ["d.hash=", "d.nosuch="])


def test_no_name_can_break_or_shift_a_row(client: RTorrent, rtorrent: PrivateRTorrent) -> None:
    hashes = {name: info_hash(make_metafile(name)) for name in ODD_NAMES}
    load(client, *map(make_metafile, ODD_NAMES), commands=("d.custom1.set=label",))
    exact = client.known("d.name.base64")
    names = {hashes[name]: os.fsdecode(name) if exact else printed for name, printed in ODD_NAMES.items()}
    rows = {row[0]: row[1:] for row in client.rows("main", ["d.hash=", "d.name=", "d.custom1="])}
    assert rows == {info_hash: (name, "label") for info_hash, name in names.items()}
    assert sorted(client.rows("main", ["d.name="])) == sorted((name,) for name in names.values())
    assert {row[0]: row[1:] for row in client.rows_of([*names], ["d.hash=", "d.name=", "d.custom1="])} == rows
    for name, info_hash_ in hashes.items():
        found = client.text(info_hash_, "d.name=")
        assert found.text == names[info_hash_]
        altered = not exact and name.decode("utf-8", "replace") != ODD_NAMES[name] and b"\r" not in name
        assert found.form is (Form.REPLACED if altered else Form.EXACT)
    assert not list(rtorrent.folder.rglob("pwned"))


def test_an_odd_text_leaves_the_other_texts_of_its_item_as_they_are(client: RTorrent) -> None:
    (item,) = load(client, make_metafile("Grüße?"))
    client.call("d.custom1.set", item, "Gr%C3%BC%C3%9Fe? ü")
    client.call("d.custom.set", item, "odd", b" %41\xff" + "😀".encode())
    commands = ["d.hash=", "d.name=", "d.custom1=", "d.custom=odd", "d.directory="]
    assert list(client.scan_rows("main", commands)) == client.rows("main", commands)
    odd = " %41\udcff😀" if client.known("d.name.base64") else " %41?????"
    directory = str(client.call("directory.default"))
    assert client.rows("main", commands) == [(item, "Grüße?", "Gr%C3%BC%C3%9Fe? ü", odd, directory)]


def test_rtorrent_compares_texts_that_it_cannot_print(client: RTorrent) -> None:
    (item,) = load(client, make_metafile("one"))
    for value in (b'/a\xff, "b\\\n', "/😀 %F0 ?".encode(), b""):
        client.call("d.tied_to_file.set", item, value)
        assert [_equal(client, item, other) for other in (value, value + b"x", b"/")] == [1, 0, 0]
    with pytest.raises(ValueError, match="begins with"):
        equal_call(item, "d.tied_to_file=", b"$d.hash=")


def _equal(client: RTorrent, item: str, value: bytes) -> object:
    method, params = equal_call(item, "d.tied_to_file=", value)
    return client.call(method, *params)


def test_a_name_that_holds_a_whole_packed_row_is_still_a_name(client: RTorrent) -> None:
    row = "</string></value></data></array></value>" + packed_command(["d.hash=", "d.name="], "AAAAAAAA")
    (item,) = load(client, make_metafile(row.replace("/", "|")))
    assert client.rows("main", ["d.hash=", "d.name=", "d.message="]) == [(item, row.replace("/", "|"), "")]


def test_a_nul_in_a_field_cuts_that_field_only(client: RTorrent) -> None:
    first, second = load(client, make_metafile("one"), make_metafile("two"))
    client.call("d.custom1.set", first, b"seen\0unseen")
    commands = ["d.hash=", "d.custom1=", "d.name=", "d.size_bytes=", "t.multicall=,t.url=,t.is_enabled="]
    tracker = "http://127.0.0.1:1/announce1"
    assert sorted(client.rows("main", commands)) == sorted(
        [(first, "seen", "one", "65536", tracker), (second, "", "two", "65536", tracker)]
    )
    assert sorted(client.scan_rows("main", commands)) == sorted(client.rows("main", commands))
