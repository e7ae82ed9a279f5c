"""Metafiles that rTorrent accepts are parsed; others are rejected with a reason, fast and in bounded memory."""

import os
import random
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.metafiles import Bencodable, bencode, info_hash, make_metafile
from pyrotorque.errors import MetafileError, MetafileIncomplete
from pyrotorque.metafile import MAX_SIZE, Magnet, magnet, magnet_links, read, take, torrent_in
from tests.waiting import bound

PIECES = b"x" * 20
V2_FILE: dict[str, Bencodable] = {"length": 100, "pieces root": b"r" * 32}
V2_ENTRY: dict[str, Bencodable] = {"": V2_FILE}
V2_TREE: dict[str, Bencodable] = {"n": V2_ENTRY}
SPELT = {
    "piece_length": "piece length",
    "meta_version": "meta version",
    "file_tree": "file tree",
    "announce_list": "announce-list",
    "creation_date": "creation date",
}
RESUME: dict[str, Bencodable] = {"bitfield": b"x", "files": [{"mtime": 1}], "trackers": {"u": {"enabled": 1}}}
HASH = "0123456789ABCDEF0123456789ABCDEF01234567"


def with_info(*without: str, **info: Bencodable) -> bytes:
    """A small valid metafile with some keys of its info changed or left out."""
    given: dict[str, Bencodable] = {"name": "n", "piece length": 16384, "length": 100, "pieces": PIECES}
    given |= {SPELT.get(key, key): value for key, value in info.items()}
    kept = {key: value for key, value in given.items() if key not in without}
    return bencode({"announce": "http://tracker.example.com/announce", "info": kept})


def with_files(*files: Bencodable) -> bytes:
    return with_info("length", files=list(files))


def with_outer(**outer: Bencodable) -> bytes:
    return bencode(
        {
            "announce": "http://a/",
            "info": {"name": "n", "piece length": 16384, "length": 100, "pieces": PIECES},
            **{SPELT.get(key, key): value for key, value in outer.items()},
        }
    )


def entry(path: list[Bencodable], length: int = 5, *, utf8: list[Bencodable] | None = None) -> Bencodable:
    other: dict[str, Bencodable] = {} if utf8 is None else {"path.utf-8": utf8}
    return {"path": path, "length": length, **other}


def test_a_metafile_is_read() -> None:
    data = make_metafile("Größe \udcff", files=[("a/b.mkv", 100_000), ("c", 3)], private=True, comment="words")
    found = read(data)
    assert found.info_hash == info_hash(data)
    assert (found.name, found.name_bytes) == ("Größe \udcff", "Größe ".encode() + b"\xff")
    assert (found.size, found.multi_file, found.private, found.comment) == (100_003, True, True, "words")
    assert found.files == (("a/b.mkv", 100_000), ("c", 3))
    assert found.announce == ("http://127.0.0.1:1/announce",)
    assert found.info_hash_v2 is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_info(), id="single file"),
        pytest.param(with_info() + b"junk", id="what follows is ignored"),
        pytest.param(b"d4:info" + bencode({"name": "n", "piece length": 16384, "length": 1, "pieces": PIECES})
                     + b"8:announce1:xe", id="outer keys in any order"),
        pytest.param(with_info(piece_length=1025), id="smallest pieces"),
        pytest.param(with_info(piece_length=512 * 1024 * 1024), id="largest pieces"),
        pytest.param(with_info(pieces=PIECES * 3), id="more hashes than needed"),
        pytest.param(with_info(name=b".hidden"), id="leading dot"),
        pytest.param(with_info(name=b"~home"), id="leading tilde"),
        pytest.param(with_info(name=b"\xff\n;$x=\\"), id="odd bytes"),
        pytest.param(with_info(private="1"), id="private as text"),
        pytest.param(with_info(meta_version=2, file_tree=V2_TREE), id="hybrid"),
        pytest.param(with_files(entry(["a", "b"], 0), entry(["a", "c"])), id="an empty file"),
        pytest.param(with_files(entry(["a", ""])), id="empty part of a path"),
        pytest.param(with_files(entry(["a"], utf8=["b"])), id="path in another encoding"),
        pytest.param(bencode({"info": {"name": "n", "piece length": 16384, "length": 1, "pieces": PIECES}}),
                     id="trackerless"),
        pytest.param(with_outer(announce_list=[["http://b/"], ["udp://c"]]), id="list of trackers"),
        pytest.param(with_outer(announce_list=["no group"]), id="list of trackers without groups"),
        pytest.param(with_outer(creation_date="yesterday", comment=5), id="odd comments"),
        pytest.param(with_outer(libtorrent_resume=RESUME),
                     id="fast resume"),
    ],
)  # fmt: skip
def test_metafiles_that_rtorrent_accepts_are_accepted(data: bytes) -> None:
    assert len(read(data).info_hash) == 40


REFUSED = [
    pytest.param(b"", "empty", id="nothing"),
    pytest.param(b"<html>", "not a metafile", id="a web page"),
    pytest.param(b"\0" * 5000, "not a metafile", id="zeros"),
    pytest.param(b"i1e", "not a metafile", id="a number"),
    pytest.param(b"de", "no info", id="an empty dictionary"),
    pytest.param(b"d4:infoe", "a value should be there", id="a key without a value"),
    pytest.param(b"d4:info4:texte", "not a dictionary", id="info is text"),
    pytest.param(b"d4:infod1:b1:x1:a1:yee", "not in order", id="unordered info"),
    pytest.param(b"d4:infod1:a1:x1:a1:yee", "twice", id="equal keys in info"),
    pytest.param(b"di1ei2ee", "not bencode", id="a number as key"),
    pytest.param(b"d4:infodi1ei2eee", "a value should be there", id="a number as key of info"),
    pytest.param(b"d4:info-1:xe", "not bencode", id="negative length"),
    pytest.param(b"d4:infoi9223372036854775808ee", "64 bits", id="more than 64 bits"),
    pytest.param(b"d4:infoi" + b"9" * 5000 + b"ee", "not bencode", id="huge number"),
    pytest.param(b"d4:info99999999999:xe", "32 bits", id="string of 100 GB"),
    pytest.param(b"d4:info" + b"l" * 5000 + b"e" * 5001, "nested deeper", id="deep lists"),
    pytest.param(b"d4:info" + b"d1:a" * 5000 + b"e" * 5001, "nested deeper", id="deep dictionaries"),
    pytest.param(with_info("name"), "no name", id="no name"),
    pytest.param(with_info(name=""), "name", id="empty name"),
    pytest.param(with_info(name=".."), "name", id="name .."),
    pytest.param(with_info(name="../../etc"), "name", id="name with slashes"),
    pytest.param(with_info(name="/etc"), "name", id="absolute name"),
    pytest.param(with_info(name="a\0b"), "name", id="name with NUL"),
    pytest.param(with_info(name=5), "name", id="name is a number"),
    pytest.param(with_info("pieces"), "hashes", id="no pieces"),
    pytest.param(with_info(pieces=b""), "needs 1", id="too few hashes"),
    pytest.param(with_info(length=2**62), "needs", id="huge length"),
    pytest.param(with_info(length=-1), "length", id="negative size"),
    pytest.param(with_info(length=0), "empty", id="no content"),
    pytest.param(with_info("length"), "neither", id="neither length nor files"),
    pytest.param(with_info(piece_length=1024), "piece length", id="small pieces"),
    pytest.param(with_info(piece_length=2**32 + 16384), "piece length", id="piece length of 33 bits"),
    pytest.param(with_info(meta_download=1), "meta_download", id="claims to be a magnet"),
    pytest.param(with_info("length", "pieces", meta_version=2, file_tree=V2_TREE), "v2 only", id="v2 only"),
    pytest.param(with_files(), "neither", id="no files"),
    pytest.param(with_files("x"), "not a dictionary", id="a file is text"),
    pytest.param(with_files({"length": 5}), "path", id="a file without path"),
    pytest.param(with_files(entry([])), "path", id="empty path"),
    pytest.param(with_files(entry([""])), "path", id="path of nothing"),
    pytest.param(with_files(entry(["..", "x"])), "not a path inside the torrent", id="path with .."),
    pytest.param(with_files(entry(["a/../../x"])), "not a path inside the torrent", id="path with slashes"),
    pytest.param(with_files(entry(["a\0"])), "not a path inside the torrent", id="path with NUL"),
    pytest.param(with_files(entry([5])), "not a path inside the torrent", id="path of numbers"),
    pytest.param(with_files(entry(["a"], -5), entry(["b"], 50)), "length", id="negative size of a file"),
    pytest.param(with_files(entry(["a"]), entry(["a"])), "two files", id="two files of one path (rTorrent dies)"),
    pytest.param(with_files(entry(["a"]), entry(["a", "b"])), "two files", id="a file as folder (rTorrent dies)"),
    pytest.param(with_files(entry(["a"]), entry(["", "a"])), "two files", id="one path, written differently"),
    pytest.param(with_files(entry(["a"], 2**62), entry(["b"], 2**62)), "overflow", id="sizes overflow"),
    pytest.param(with_outer(announce=5), "tracker", id="tracker is a number"),
    pytest.param(with_outer(announce_list=[["http://a/"], "x"]), "tracker", id="a group is text"),
    pytest.param(with_outer(libtorrent_resume={"files": [5]}), "resume", id="resume of a file (rTorrent dies)"),
    pytest.param(with_outer(libtorrent_resume={"trackers": {"u": 5}}), "resume", id="resume of a tracker"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "said"), REFUSED)
def test_metafiles_that_rtorrent_rejects_or_crashes_on_are_rejected_with_a_reason(data: bytes, said: str) -> None:
    with pytest.raises(MetafileError, match=said):
        read(data)


def test_every_prefix_of_a_metafile_is_incomplete_and_not_invalid() -> None:
    data = make_metafile("abc", files=[(f"folder/file number {n}", 70_000) for n in range(3)], comment="c" * 20)
    for length in range(len(data)):
        with pytest.raises(MetafileIncomplete):
            read(data[:length])


@pytest.mark.parametrize(("data", "_"), REFUSED)
def test_invalid_metafiles_are_not_incomplete(data: bytes, _: str) -> None:
    if data:
        with pytest.raises(MetafileError) as caught:
            read(data)
        assert not isinstance(caught.value, MetafileIncomplete)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"d4:infol" + b"de" * 7_000_000 + b"ee", id="empty dictionaries"),
        pytest.param(b"d4:infol" + b"1:a" * 5_000_000 + b"ee", id="short strings"),
        pytest.param(b"d4:infol" + b"0:" * 7_000_000 + b"ee", id="empty strings"),
        pytest.param(b"d4:infol" + b"i1e" * 5_000_000 + b"ee", id="numbers"),
        pytest.param(b"d4:info" + b"l" * 15_000_000, id="lists that never end"),
        pytest.param(b"d4:infoi" + b"9" * 15_000_000 + b"ee", id="a number of 15 MB"),
        pytest.param(b"d1:a15000000:" + b"x" * 15_000_000 + b"e", id="a string of 15 MB"),
        pytest.param(b"d" + b"".join(b"7:%07di1e" % n for n in range(200_000)) + b"e", id="many keys"),
        pytest.param(b"d4:info100000000:" + b"x" * 1000, id="a string of 100 MB that is not there"),
        pytest.param(b"x" * (MAX_SIZE + 1), id="too large"),
        pytest.param(with_files(*[entry([f"{n}", ".."]) for n in range(20_000)]), id="20,000 wrong paths"),
    ],
)
def test_hostile_bytes_are_rejected_fast_and_in_bounded_memory(data: bytes) -> None:
    begin = time.process_time()
    with pytest.raises(MetafileError):
        read(data)
    assert time.process_time() - begin < bound(1.0)  # promised are 100 ms; a busy machine gets some more
    tracemalloc.start()
    with pytest.raises(MetafileError):
        read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 1024 * 1024 - len(data)


def test_a_torrent_of_fifty_thousand_files_is_accepted() -> None:
    files = [(f"folder {number % 100}/file number {number:06}.bin", 1000) for number in range(50_000)]
    assert len(read(make_metafile("big", files=files, piece_length=1 << 20)).files) == 50_000


@given(st.binary(max_size=200))
def test_any_bytes_are_rejected_or_parsed(data: bytes) -> None:
    for candidate in (data, b"d" + data, b"d4:info" + data, b"d4:infod4:name1:n6:pieces" + data):
        assert is_read_or_refused(candidate)


@given(st.integers(0, 10**9))
def test_mutated_metafiles_are_rejected_or_parsed(seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(make_metafile("mutant", files=[("a/b", 20_000), ("c", 3)], announce="udp://x:1"))
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data))
        piece = dice.choice([b"", b"d", b"l", b"e", b"i-1e", b"0:", b"99:", b"i" + b"9" * 30 + b"e", dice.randbytes(2)])
        data[at : at + dice.randint(0, 6)] = piece
    assert is_read_or_refused(bytes(data))


def is_read_or_refused(data: bytes) -> bool:
    try:
        return len(read(data).info_hash) == 40
    except MetafileError as error:
        return bool(str(error)) and str(error).isprintable()


def test_a_file_is_read_completely_up_to_the_limit(tmp_path: Path) -> None:
    data = make_metafile("x")
    (tmp_path / "good.torrent").write_bytes(data)
    with (tmp_path / "huge.torrent").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    os.mkfifo(tmp_path / "pipe.torrent")
    assert take(tmp_path / "good.torrent") == data
    for name, said in (("huge.torrent", "104857600 bytes"), ("pipe.torrent", "regular file")):
        with pytest.raises(MetafileError, match=said):
            take(tmp_path / name)
    for name in ("", "missing.torrent"):
        with pytest.raises(OSError, match=r"directory"):
            take(tmp_path / name)


PRIVATE: dict[str, Bencodable] = {"name": "n", "piece length": 16384, "length": 1, "pieces": PIECES, "private": 1}
PAD: dict[str, Bencodable] = {"path": [".pad", "1"], "length": 5, "attr": "p"}


@pytest.mark.parametrize(
    ("data", "refusing"),
    [
        pytest.param(with_info(), [], id="anything common"),
        pytest.param(with_files(entry(["a"]), PAD, entry(["b"]), PAD), ["0.9.8"], id="padding of one path"),
        pytest.param(with_files(entry(["a"]), entry(["b"]), {**PAD, "path": ["a"]}), ["0.9.8"], id="padding, a file"),
        pytest.param(with_files(entry(["a"], utf8=["c"]), entry(["b"], utf8=["c"])), ["0.9.8"], id="path.utf-8 twice"),
        pytest.param(with_files(entry(["a"], utf8=[".."])), ["0.9.8"], id="path.utf-8 with .."),
        pytest.param(with_files({"path.utf-8": ["a"], "length": 5}), ["0.16.17"], id="path.utf-8 only"),
        pytest.param(bencode({"info": PRIVATE}), ["0.9.8"], id="private and no tracker"),
        pytest.param(bencode({"info": PRIVATE, "announce": ""}), [], id="private and an empty tracker"),
    ],
)
def test_what_only_some_versions_load_has_a_reason_for_the_others(data: bytes, refusing: list[str]) -> None:
    found = read(data)
    assert [version for version in ("0.9.8", "0.16.17") if found.refusal(version)] == refusing
    assert found.refusal("") == ""


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_files(entry(["a"]), entry(["b"]), entry(["a"])), id="files of one path, apart"),
        pytest.param(with_files(entry(["a"]), PAD, PAD), id="padding of one path, next to each other"),
    ],
)
def test_what_no_version_opens_is_refused(data: bytes) -> None:
    with pytest.raises(MetafileError, match="two files"):
        read(data)


@pytest.mark.parametrize("number", ["0123", "+123", " 123", "-0123", "-0", "00", "000000000000000000000000123"])
def test_numbers_may_be_written_as_rtorrent_reads_them(number: str) -> None:
    """rTorrent hashes what it read, not what was written."""
    plain = with_info(zz=int(number))
    found = read(plain.replace(b"i%de" % int(number), f"i{number}e".encode()))
    assert found == read(plain)
    assert read(with_outer(creation_date=5).replace(b"i5e", f"i{number}e".encode())).creation_date == int(number)


def test_lengths_may_have_leading_zeros_and_outer_keys_appear_twice() -> None:
    data = with_info()
    assert read(data.replace(b"1:n", b"0001:n")) == read(data)
    twice = read(b"d8:announce1:x8:announce1:y7:comment1:a7:comment1:b" + data[data.index(b"4:info") :])
    assert twice.announce == ("y",)
    assert twice.comment == "b"


def test_a_lenient_metafile_that_ends_early_is_incomplete() -> None:
    whole = with_info(zz=7).replace(b"i7e", b"i07e")
    for length in range(1, len(whole)):
        with pytest.raises(MetafileIncomplete):
            read(whole[:length])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x1f\x8b\x08\0\0", "gzip"),
        (b"\x28\xb5\x2f\xfd\0", "zstd"),
        (b"PK\x03\x04", "ZIP"),
        (b"%PDF-1.7", "PDF"),
        (b"\xff\xfed\0", "UTF-16"),
        (b"<!DOCTYPE html><title>Log in</title><input type=password>", r"HTML page \(Log in\), probably a login page"),
        (b"\n <html><body>404", "HTML page"),
        (b"<?xml version='1.0'?><!DOCTYPE nzb><nzb/>", "NZB"),
        (b"<?xml version='1.0'?><rss/>", "XML"),
        (b'{"error": "no such torrent"}', 'JSON: {"error": "no such torrent"}'),
        (b"magnet:?xt=urn:btih:x", r"\.magnet"),
        (b"https://x/y.torrent\n", "download the file at this address"),
        (b"[InternetShortcut]\r\nURL=https://x/y\r\n", "shortcut to https://x/y"),
        (b"d14:failure reason17:passkey not founde", "tracker: passkey not found"),
        (b"\0" * 600, "zero bytes"),
        (b"Not Found", "text: Not Found"),
        (b"\xef\xbb\xbfd4:info", "byte order mark"),
        (b"\x80\x81\x82", "unknown kind"),
    ],
)
def test_a_rejection_says_what_the_file_really_is(data: bytes, said: str) -> None:
    with pytest.raises(MetafileError, match=said):
        read(data)


def test_a_metafile_may_hold_a_magnet_link() -> None:
    link = magnet(f"magnet:?xt=urn:btih:{HASH}&dn=x")
    assert torrent_in(link.metafile()) == (link, link.metafile())
    with pytest.raises(MetafileError, match="magnet link"):
        read(link.metafile())
    data = with_info()
    assert torrent_in(b"d10:magnet-uri1:x" + data[1:])[0] == read(data)


def test_a_file_has_one_magnet_link_per_line() -> None:
    text = f"# mine\n\nmagnet:?xt=urn:btih:{HASH.lower()}&dn=a%20b%FF&tr=http%3A%2F%2Fx%2Fa&tr=udp://y:1\r\n"
    uri = f"magnet:?xt=urn:btih:{HASH}&dn=a%20b%FF&tr=http://x/a&tr=udp://y:1"
    (link,) = magnet_links(text.encode()).links
    assert link == Magnet(uri, HASH, "a b\udcff", ("http://x/a", "udp://y:1"))
    assert link.metafile() == b"d10:magnet-uri%d:%be" % (len(link.uri), link.uri.encode())
    for written in (b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), text.encode() * 2):  # editors of Windows
        assert magnet_links(written).links == (link,)


def test_one_bad_line_is_reported_and_the_good_ones_are_used() -> None:
    found = magnet_links(f"nonsense\nmagnet:?xt=urn:btih:{HASH}\nmagnet:?dn=x\n".encode())
    assert [link.info_hash for link in found.links] == [HASH]
    assert [problem.partition(":")[0] for problem in found.problems] == ["line 1", "line 3"]


OTHER = "F" * 40


@pytest.mark.parametrize(
    "text",
    [
        f"MAGNET:?XT=URN:BTIH:{HASH}",
        f"magnet:?xt=urn%3Abtih%3A{HASH}",
        f"magnet%3A%3Fxt%3Durn%3Abtih%3A{HASH}%26dn%3Dx",
        f"magnet:?xt.1=urn:btih:{HASH}",
        f"magnet:?dn=a b c&xt=urn:btih:{HASH}",
        f"magnet:?dn=x&amp;xt=urn:btih:{HASH}&amp;tr=udp://y",
        f"magnet://?xt=urn:btih:{HASH}",
        f"magnet:?xt=urn:btih:{HASH}/",
        f"magnet:?xt=urn:btih: {HASH} &dn=x",
        f"<magnet:?xt=urn:btih:{HASH}>",
        f"'magnet:?xt=urn:btih:{HASH}'",
        f"magnet:?xt=urn:btih:{HASH}#comment",
        f"magnet:?xt=urn:btih:{HASH}&dn=%zz&tr=%4",
        f"magnet:?xt=urn:btih:{HASH}&dn=\xe9",
        f"magnet:?xt=urn:btih:{HASH}&xt=urn:btmh:1220{'a' * 64}",
        f"magnet:?xt=urn:ed2k:{'b' * 32}&xt=urn:btih:{HASH}",
        f"magnet:?xt=urn:btih:{OTHER}&xt=urn:btih:{HASH}",
        "magnet:?xt=urn:btmh:1220ab&xt=urn:btih:AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH",
        "magnet:?xt=urn:btih:aerukz4jvpg66ajdivtytk6n54asgrlh",
    ],
)
def test_a_magnet_link_may_be_written_in_many_ways(text: str) -> None:
    found = magnet(text)
    assert found.info_hash == HASH
    assert found.uri.startswith(f"magnet:?xt=urn:btih:{HASH}")
    assert found.uri.isascii()
    assert " " not in found.uri


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no magnet link"),
        ("# nothing\n", "no magnet link"),
        ("http://x/y.torrent", "must begin with magnet"),
        ("magnet:?dn=x", "xt=urn:btih: is missing"),
        ("magnet:?xt=urn:btih:xyz", "is not an info-hash"),
        ("magnet:?xt=urn:btih:" + "é" * 32, "is not an info-hash"),
        ("magnet:?xt=urn:btih:" + "1" * 32, "is not an info-hash"),
        ("magnet:?xt=urn:btmh:1220" + "a" * 64, "v2 only"),
        ("a\nb\n", r"line 1: a is not a magnet link.* \(and 1 more lines\)"),
        (f"magnet:?xt=urn:btih:{HASH}&dn=" + "x" * 70_000, "characters"),
        (f"magnet:?xt=urn:btih:{HASH}\n" * 1001, "1001 links"),
    ],
)
def test_invalid_magnet_links_are_rejected_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(MetafileError, match=said):
        magnet_links(text.encode())
