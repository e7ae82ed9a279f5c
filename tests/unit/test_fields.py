"""Each field converts any text from rTorrent to its value."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.fields import FIELDS, KINDS, Detail, Field, Rows, Tags, configured, converters, field, room_field
from pyrotorque.fields.converters import leech_time, seed_time, stopped
from pyrotorque.fields.effects import effect_of
from pyrotorque.fields.file_rows import FileRows
from pyrotorque.linux.filesystems import disk_space

FILES = (("a/01.flac", 700), ("a/02.FLAC", 200), ("cover.jpeg", 100))
TRACKERS = (("http://off.example.com/a", 0), ("dht://", 1), ("https://t.one.example.co.uk:443/x", 1), ("udp://late", 1))

READ = [
    ("hash", {"d.hash=": "AA"}, "AA"),
    ("name", {"d.name=": "x\ny"}, "x\ny"),
    ("size", {"d.size_bytes=": "1234567890123"}, 1_234_567_890_123),
    ("prio", {"d.priority=": "3"}, 3),
    ("prio", {"d.priority=": "junk"}, 0),
    ("prio", {}, 0),
    ("loaded", {"d.custom=tm_loaded": "9" * 400, "d.load_date=": "9"}, 9),
    ("loaded", {"d.custom=tm_loaded": "1e999", "d.load_date=": "9"}, 9),
    ("is_open", {"d.is_open=": "1"}, True),
    ("is_open", {"d.is_open=": "0"}, False),
    ("is_open", {}, False),
    ("is_complete", {"d.complete=": "1"}, True),
    ("is_ignored", {"d.ignore_commands=": "1"}, True),
    ("message", {}, ""),
    ("done", {"d.completed_chunks=": "1", "d.size_chunks=": "3"}, 100 / 3),
    ("done", {"d.completed_chunks=": "0", "d.size_chunks=": "0"}, 0.0),
    ("ratio", {"d.ratio=": "1500"}, 1.5),
    ("xfer", {"d.down.rate=": "5", "d.up.rate=": "7"}, 12),
    ("throttle", {"d.throttle_name=": ""}, "NONE"),
    ("throttle", {"d.throttle_name=": "slow"}, "slow"),
    ("tagged", {"d.custom=tags": " New  b NEW"}, Tags({"new", "b"})),
    ("loaded", {"d.custom=tm_loaded": "5", "d.load_date=": "9"}, 5),
    ("loaded", {"d.custom=tm_loaded": "", "d.load_date=": "9"}, 9),
    ("started", {"d.timestamp.started=": "7"}, 7),
    ("started", {"d.custom=tm_started": "x", "d.timestamp.started=": "7"}, 7),
    ("completed", {"d.custom=tm_completed": "0", "d.timestamp.finished=": "0"}, 0),
    ("path", {"d.base_path=": "/b", "d.directory=": "/d", "d.name=": "n"}, "/b"),
    ("path", {"d.base_path=": "", "d.directory=": "/d", "d.name=": "n", "d.is_multi_file=": "0"}, "/d/n"),
    ("path", {"d.base_path=": "/old/f", "d.directory=": "/d", "d.name=": "n", "d.is_multi_file=": "0"}, "/d/f"),
    ("path", {"d.base_path=": "/old/n", "d.directory=": "/d/n", "d.name=": "n", "d.is_multi_file=": "1"}, "/d/n"),
    ("path", {"d.base_path=": "/\u00e9/n", "d.directory=": "/%E9/n", "d.is_multi_file=": "1"}, "/\u00e9/n"),
    ("path", {"d.base_path=": "", "d.directory=": "/d/n", "d.name=": "n", "d.is_multi_file=": "1"}, "/d/n"),
    ("path", {}, ""),
    ("is_ghost", {}, None),
    ("is_ghost", {"d.base_path=": "/no/such/path"}, True),
    ("is_ghost", {"d.base_path=": "/"}, False),
    ("realpath", {"d.base_path=": "/usr/../"}, "/"),
    ("realpath", {}, ""),
    ("sessionfile", {"session.path=": "/s/", "d.hash=": "AA"}, "/s/AA.torrent"),
    ("sessionfile", {"d.hash=": "AA"}, ""),
    ("stopped", {"d.custom=activations": "R10P20R30P40R50"}, 40),
    ("custom_foo", {"d.custom=foo": "bar"}, "bar"),
    ("custom_1", {"d.custom1=": "bar"}, "bar"),
    ("d_hashing", {"d.hashing=": "2"}, "2"),
]


@pytest.mark.parametrize(("name", "raw", "value"), READ)
def test_a_field_reads_the_results_of_its_commands(name: str, raw: dict[str, str], value: object) -> None:
    assert found(name).read(raw) == value


def test_fields_of_files_and_trackers_read_their_rows() -> None:
    assert found("files").read({}, {"files": FILES}) == ["a/01.flac", "a/02.FLAC", "cover.jpeg"]
    assert found("kind").read({}, {"files": FILES}) == Tags({"flac", "jpg"})
    assert found("kind_25").read({}, {"files": FILES}) == Tags({"flac"})
    assert found("traits").read({"d.name=": "x"}, {"files": FILES}) == Tags({"audio", "flac"})
    assert found("label").read({"d.name=": "x"}, {"files": FILES}) == "audio/flac"
    assert found("tracker").read({}, {"trackers": TRACKERS}) == "https://t.one.example.co.uk:443/x"
    assert found("alias").read({}, {"trackers": TRACKERS}) == "example.co.uk"
    assert found("views").read({}, {"views": ["Main", "x"]}) == Tags({"main", "x"})


def test_kinds_and_traits_are_computed_once_per_torrent() -> None:
    looks: list[int] = []

    class Looked(FileRows):
        def __iter__(self) -> Iterator[Sequence[Any]]:
            looks.append(1)
            return super().__iter__()

    def read(rows: FileRows) -> list[object]:
        details: dict[Detail, Rows] = {"files": rows}
        return [found(name).read({"d.name=": "x"}, details) for name in ("traits", "label", "kind_25")]

    rows = Looked(FILES)
    first, looked = read(rows), len(looks)
    assert read(rows) == first == [{"audio", "flac"}, "audio/flac", {"flac"}]
    assert len(looks) == looked > 0


def test_missing_results_are_empty() -> None:
    assert found("traits").read({}) == frozenset()
    assert found("label").read({}) == "misc/other"
    assert found("tracker").read({}) == ""
    assert found("alias").read({}) == ""


@pytest.mark.parametrize(
    ("activations", "completed", "now", "leech", "seed"),
    [
        ("R100P200", 0, 1_000, 100.0, None),
        ("R100", 0, 1_000, 900.0, None),
        ("R100P200R300P400", 350, 1_000, 150.0, 50.0),
        ("R100P200R300", 350, 1_000, 150.0, 650.0),
        ("P50R100R150P200P250", 120, 1_000, 20.0, 80.0),
        ("", 350, 1_000, None, 650.0),
        ("junk", 0, 1_000, 0.0, None),
    ],
)
def test_activity_is_split_at_completion(
    activations: str, completed: int, now: float, leech: float | None, seed: float | None
) -> None:
    assert leech_time(activations, 0, completed, now) == leech
    assert seed_time(activations, completed, now) == seed


def test_without_a_record_of_activity_the_download_took_from_start_to_completion() -> None:
    assert leech_time("", 100, 350, 1_000) == 250
    assert stopped("") == 0


@pytest.mark.parametrize(
    "name", ["nope", "kind_101", "kind_", "kind_x", "custom_", "d_", "d_UP", "", "custom_a.b", "d_x=1"]
)
def test_an_unknown_name_is_no_field(name: str) -> None:
    assert field(name) is None


def test_each_field_has_a_kind_and_a_sentence() -> None:
    for name, each in FIELDS.items():
        assert each.name == name
        assert each.kind in KINDS
        assert each.doc
        assert not each.doc.endswith(".")


def test_only_fields_with_an_extra_call_are_costly() -> None:
    costly = {name for name, each in FIELDS.items() if each.costly}
    assert costly == {
        *("tracker", "alias", "files", "kind", "traits", "label", "views"),
        *("is_ghost", "realpath", "has_room", "left", "seeds", "leeches", "scraped"),
    }


def test_settings_name_trackers_and_their_themes() -> None:
    fields = configured({"example.co.uk": "Music"}, {"Music": "audio"}, min_free=0)
    assert fields["alias"].read({}, {"trackers": TRACKERS}) == "Music"
    assert fields["traits"].read({"d.name=": "x"}, {"files": FILES, "trackers": TRACKERS}) == Tags({"audio", "flac"})
    assert fields["label"].read({"d.name=": "x"}, {"files": (), "trackers": TRACKERS}) == "audio/other"
    assert fields["label"].read({"d.name=": "x"}, {"files": FILES}) == "audio/flac"


def test_has_room_compares_the_remaining_bytes_with_the_free_space_beyond_min_free(tmp_path: Path) -> None:
    space = disk_space(str(tmp_path))
    assert space is not None
    free = space.free
    directory = str(tmp_path)

    def has_room(left: int, min_free: int) -> object:
        return room_field(min_free).read({"d.directory=": directory, "d.left_bytes=": str(left)})

    assert has_room(1, 0) is True
    assert has_room(free * 2, 0) is False
    assert has_room(1, free * 2) is False
    assert has_room(free // 2, free // 4) is True


def test_has_room_is_false_if_the_free_space_is_unknown() -> None:
    assert room_field(0).read({"d.directory=": "", "d.left_bytes=": "0"}) is False


def found(name: str) -> Field:
    each = field(name)
    assert each is not None
    return each


@pytest.mark.parametrize(
    ("files", "chunks"),
    [
        pytest.param([(1, 100)], 10, id="one file"),
        pytest.param([(0, 100)], 0, id="nothing is selected"),
        pytest.param([(1, 15), (0, 100)], 2, id="the end of a chunk belongs to the next file"),
        pytest.param([(1, 15), (1, 5), (2, 80)], 10, id="a chunk of two files counts once"),
        pytest.param([(1, 15), (0, 3), (1, 2), (0, 70), (1, 10)], 3, id="gaps"),
        pytest.param([(1, 0), (1, 5), (1, 0)], 1, id="empty files"),
        pytest.param([], 0, id="no file"),
    ],
)
def test_the_wanted_chunks_are_those_with_a_part_of_a_selected_file(files: list[tuple[int, int]], chunks: int) -> None:
    assert converters.wanted_chunks(files, 10) == chunks


def test_left_is_never_more_than_what_is_missing() -> None:
    left = found("left")
    raw = {"d.left_bytes=": "25", "d.wanted_chunks=": "3", "d.chunk_size=": "10"}
    assert left.read(raw) == 25
    assert left.read({**raw, "d.wanted_chunks=": "1"}) == 10
    assert left.read({**raw, "d.wanted_chunks=": "0"}) == 0
    assert left.read({"d.left_bytes=": "25"}) == 25, "an rTorrent without the number of wanted chunks"
    assert left.read(raw, {"priorities": [("0", "15"), ("1", "10")]}) == 20


def test_the_fields_of_the_table_only_read() -> None:
    assert [name for name, each in FIELDS.items() if effect_of(each)] == []
    assert "d.stop" in effect_of(field("d_stop") or FIELDS["name"])
