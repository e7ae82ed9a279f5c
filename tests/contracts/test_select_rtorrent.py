"""Over a real rTorrent: `pyrotorque select` as its users type it, also where names and files of theirs are odd."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.effects import changes_something
from pyrotorque_control.cli import run
from tests.programs import Program
from tests.waiting import eventually

DAY = 86_400
ODD = ("-dash", "!bang", "a]", "{{x}}", "OR", "tab\tand\x1b[31mred", "日本語 ü", "two words")
ALBUM = (("01.flac", 90_000), ("cover.jpg", 40_000), ("é b.nfo", 5))
CONFIG = """
from pyrotorque.customfields import field

@field("weight", kind="number", needs=("size", "prio", "kind"))
def weight(item):
    return item.size * item.prio * ("flac" not in item.kind)
"""
TORQUE = """[TORQUE]
scgi_url = {url}
job.queue.min_free = {min_free}
"""

Select = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def filled(rtorrent_program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRTorrent]:
    with PrivateRTorrent(tmp_path_factory.mktemp("rt", numbered=True)) as running:
        client = RTorrent(running.url)
        for number in range(24):
            loaded = f"d.custom.set=tm_loaded,{time.time() - number * DAY:.0f}"
            commands = (loaded, f"d.priority.set={number % 4}", f"d.custom.set=x,{number}")
            metafile = make_metafile(f"item {number:02}", size=(number + 1) * 1_000)
            client.call("load.raw_start" if number % 3 == 0 else "load.raw", "", metafile, *commands)
        for name in (*ODD, b"caf\xe9.iso"):
            client.call("load.raw", "", make_metafile(name, size=500))
        client.call("load.raw", "", make_metafile("Album", files=ALBUM))
        content = running.downloads / "whole"
        content.write_bytes(b"x" * 40_000)
        client.call("load.raw_start", "", make_metafile("whole", content=content))
        eventually(lambda: client.call("view.size", "", "main") == 24 + len(ODD) + 3)
        eventually(lambda: client.call("view.size", "", "complete") == 1, timeout=20)
        yield running


@pytest.fixture
def select(filled: PrivateRTorrent, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Select:
    (tmp_path / "torque.ini").write_text(TORQUE.format(url=filled.url, min_free=0))

    def ask(*words: str) -> tuple[int, str, str]:
        code = run(["--config-dir", str(tmp_path), "select", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ask


def names(select: Select, *words: str) -> list[str]:
    code, out, err = select("--json", *words)
    assert (code, err) == (0, "")
    return [json.loads(line)["name"] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("name=-dash", "-dash"),
        ("-dash", "-dash"),
        (r"name=\!bang", "!bang"),
        ('"a]"', "a]"),
        (r"name=\{{x\}}", "{{x}}"),
        ("name=OR", "OR"),
        (r"/\x1b/", "tab\tand\x1b[31mred"),
        ("*語*", "日本語 ü"),
        ('"two words"', "two words"),
        ("name=two\\ words", "two words"),
        ("files=*.nfo kind_25=jpg,png", "Album"),
    ],
)
def test_an_odd_name_is_found_and_shown_as_it_is(select: Select, typed: str, name: str) -> None:
    assert names(select, "--", *typed.split(" ")) == [name]


def test_a_table_never_breaks_the_terminal_and_shows_times_as_such(select: Select) -> None:
    code, out, _ = select("size<1k OR loaded>20d", "--fields", "loaded,completed", "--sort=loaded")
    head, *rows, count = out.splitlines()
    assert code == 0
    assert head.split() == ["hash", "prio", "done", "size", "loaded", "completed", "name"]
    assert count == f"{len(rows)} items"
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - 23 * DAY)) in rows[0]
    assert "never" in rows[0]
    assert r"tab\tand\x1b[31mred" in out
    assert "\x1b" not in out


def test_json_has_one_object_per_line_with_the_requested_fields(select: Select) -> None:
    code, out, _ = select("prio=3 custom_x>20", "--json", "--sort", "-custom_x", "--fields", "tagged,is_open")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "hash": json.loads(out)["hash"],
            "name": "item 23",
            "prio": 3,
            "done": 0.0,
            "size": 24_000,
            "custom_x": "23",
            "tagged": [],
            "is_open": False,
        }
    ]


def test_a_view_is_looked_at_in_its_order_or_named_where_there_is_none(select: Select) -> None:
    assert names(select, "*", "--view", "started") == names(select, "is_active=yes") != []
    code, out, err = select("*", "--view", "complet")
    assert (code, out) == (64, "")
    assert "rTorrent has no view 'complet', did you mean complete? (active, " in err


def test_times_are_rtorrents_own_where_the_include_kept_none(select: Select) -> None:
    started = [f"item {number:02}" for number in range(0, 24, 3)]
    assert names(select, "started<1h", "--sort=name") == [*started, "whole"]
    assert names(select, "completed<1h") == ["whole"]
    assert len(names(select, "loaded>0")) == 24 + len(ODD) + 3


def test_rtorrent_replaces_the_home_in_a_path_of_data(select: Select, filled: PrivateRTorrent) -> None:
    metafile = filled.folder / "home.torrent"
    metafile.write_bytes(make_metafile("at home"))
    client = RTorrent(filled.url)
    client.call("load.normal", "", "~/home.torrent", "d.directory.set=~/data")
    info = info_hash(metafile.read_bytes())
    try:
        eventually(lambda: names(select, "path=*/data/*") == ["at home"])
        assert names(select, f"directory={filled.folder}/data", "metafile=~/home.torrent") == ["at home"]
        code, _, err = select("path=~/data/*")
        assert (code, "write `path=*/data/*`" in err) == (64, True)
    finally:
        client.call("d.erase", info)


def test_numbers_of_custom_values_and_commands_are_sorted_by_value(select: Select) -> None:
    assert names(select, "custom_x>0", "--sort=custom_x") == [f"item {number:02}" for number in range(1, 24)]
    sizes = names(select, "item*", "--sort=-d_size_bytes")
    assert sizes == [f"item {number:02}" for number in reversed(range(24))]


def test_a_misspelt_command_is_logged(select: Select, caplog: pytest.LogCaptureFixture) -> None:
    assert names(select, "d_peers_conected=1") == []
    assert "no command d.peers_conected; fields that need it are empty" in caplog.text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("is_open=no -o name,size", "-o, did you mean --fields?"),
        ("-s -size prio>0", "-s, did you mean --sort?"),
        ("* --output-format=name", "--output-format, did you mean --fields?"),
        ("* --feilds name", "--feilds, did you mean --fields?"),
        ("--reverse *", "--reverse (--fields, "),
    ],
)
def test_an_option_of_another_program_is_no_pattern_for_names(select: Select, typed: str, meant: str) -> None:
    code, out, err = select(*typed.split(" "))
    assert (code, out) == (64, "")
    assert f"No such option: {meant}" in err


def test_a_name_that_looks_like_an_option_can_be_typed(select: Select) -> None:
    for typed in (["name=-o"], ["--", "-o"], ["name=--output"], ["--", "--output"]):
        assert names(select, *typed) == []


def _state(client: RTorrent) -> list[tuple[str, ...]]:
    """What the commands that act would change: states, texts, numbers, and the metafiles of items."""
    shown = ("hash", "state", "is_open", "is_active", "state_counter", "priority", "custom1", "custom5", "peers_max")
    return client.rows("main", [f"d.{name}=" for name in (*shown, "tied_to_file", "throttle_name", "directory")])


def test_no_field_runs_a_command_that_changes_an_item(select: Select, filled: PrivateRTorrent) -> None:
    client = RTorrent(filled.url)
    methods = client.call("system.listMethods")
    assert isinstance(methods, list)
    acting = [str(name) for name in methods if str(name).startswith("d.") and changes_something(str(name))]
    assert {"d.erase", "d.stop", "d.delete_tied", "d.custom1.set", "d.disconnect.seeders"} <= set(acting)
    before = _state(client)
    for name in acting:
        field = name.replace(".", "_")
        for words in ([f"{field}=1"], [f"[ NOT {field}=1 ]"], ["*", "--fields", field], ["*", f"--sort=-{field}"]):
            code, out, err = select(*words)
            assert (code, out) == (64, ""), words
            assert "which changes something" in err
    assert _state(client) == before


def test_a_field_of_config_py_needs_nothing_that_changes_an_item(
    select: Select, filled: PrivateRTorrent, tmp_path: Path
) -> None:
    before = _state(RTorrent(filled.url))
    (tmp_path / "config.py").write_text(CONFIG.replace('"kind"', '"d_try_stop"'))
    assert select("weight>1")[0] == 64
    assert _state(RTorrent(filled.url)) == before


@pytest.mark.parametrize("field", ["d_tracker_numwant", "d_up_rate", "d_views_has", "d_timestamp_started"])
def test_what_only_reads_is_read(select: Select, field: str) -> None:
    assert select("*", "--fields", field)[0] == 0


def test_fields_of_config_py_select_and_sort(select: Select, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(CONFIG)
    assert names(select, "item*", "weight>40000", "--sort=-weight") == ["item 23", "item 19", "item 15", "item 22"]


@pytest.mark.parametrize("text", ["print 'Python 2'\n", "from pyrocore import config\n"])
def test_an_old_config_py_is_in_the_way_only_of_what_it_would_define(select: Select, tmp_path: Path, text: str) -> None:
    (tmp_path / "config.py").write_text(text)
    assert names(select, "Album") == ["Album"]
    code, _, err = select("weight>1")
    assert code == 64
    assert "there is no field `weight`" in err
    assert f"{tmp_path / 'config.py'}:1" in err


def test_has_room_leaves_what_the_queue_leaves(select: Select, filled: PrivateRTorrent, tmp_path: Path) -> None:
    assert names(select, "Album", "has_room=yes") == ["Album"]
    (tmp_path / "torque.ini").write_text(TORQUE.format(url=filled.url, min_free="900t"))
    assert names(select, "Album", "has_room=yes") == []
