"""Metafiles made to order, read back by a decoder that is not ours."""

import hashlib
from pathlib import Path
from typing import Any

import bencode2
import pytest

from demo.metafiles import NOWHERE, bencode, info_hash, make_metafile


def decoded(metafile: bytes) -> dict[bytes, Any]:
    value: dict[bytes, Any] = bencode2.bdecode(metafile)
    return value


def test_the_same_arguments_give_the_same_bytes_and_another_name_another_hash() -> None:
    assert make_metafile("a") == make_metafile("a")
    assert info_hash(make_metafile("a")) != info_hash(make_metafile("b"))


def test_a_single_file_has_a_length_and_a_hash_for_each_piece() -> None:
    metafile = decoded(make_metafile("a", size=40_000, piece_length=16384))
    assert metafile[b"announce"] == NOWHERE.encode()
    assert metafile[b"info"][b"length"] == 40_000
    assert metafile[b"info"][b"piece length"] == 16384
    assert len(metafile[b"info"][b"pieces"]) == 3 * 20


def test_several_files_have_paths_in_parts() -> None:
    info = decoded(make_metafile("a", files=[("x/y.mkv", 5), (b"\xff.nfo", 7)], piece_length=4))[b"info"]
    assert info[b"files"] == [
        {b"length": 5, b"path": [b"x", b"y.mkv"]},
        {b"length": 7, b"path": [b"\xff.nfo"]},
    ]
    assert b"length" not in info
    assert len(info[b"pieces"]) == 3 * 20


@pytest.mark.parametrize("name", [b"\xff\x00", "ü\n", "😀", ""])
def test_any_name_is_possible(name: str | bytes) -> None:
    raw = name if isinstance(name, bytes) else name.encode()
    assert decoded(make_metafile(name))[b"info"][b"name"] == raw


def test_private_and_other_keys_are_there_when_asked_for() -> None:
    metafile = decoded(make_metafile("a", private=True, comment="hello", info_extra={"source": "X"}))
    assert (metafile[b"info"][b"private"], metafile[b"info"][b"source"], metafile[b"comment"]) == (1, b"X", b"hello")
    assert b"private" not in decoded(make_metafile("a"))[b"info"]


def test_the_info_hash_is_that_of_the_info_dictionary_as_it_stands() -> None:
    metafile = make_metafile("a", files=[("x", 5)], comment="4:infod")
    expected = hashlib.sha1(bencode2.bencode(decoded(metafile)[b"info"])).hexdigest().upper()
    assert info_hash(metafile) == expected
    with pytest.raises(ValueError, match="without an info dictionary"):
        info_hash(b"d1:ai1ee")


def test_the_pieces_of_real_data_are_its_hashes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 100
    (tmp_path / "one.bin").write_bytes(data)
    info = decoded(make_metafile("one.bin", content=tmp_path / "one.bin", piece_length=16384))[b"info"]
    assert info[b"length"] == len(data)
    assert info[b"pieces"] == hashlib.sha1(data[:16384]).digest() + hashlib.sha1(data[16384:]).digest()


def test_the_pieces_of_a_folder_run_over_the_borders_of_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"aaa")
    (tmp_path / "sub" / "b").write_bytes(b"bbb")
    info = decoded(make_metafile("folder", content=tmp_path, piece_length=4))[b"info"]
    assert [entry[b"path"] for entry in info[b"files"]] == [[b"a"], [b"sub", b"b"]]
    assert info[b"pieces"] == hashlib.sha1(b"aaab").digest() + hashlib.sha1(b"bb").digest()


def test_keys_are_sorted_by_their_bytes_and_nested_values_are_written() -> None:
    assert bencode({"b": [1, "x", b"\xff", -2], "a": {}, "B": ()}) == b"d1:Ble1:ade1:bli1e1:x1:\xffi-2eee"
