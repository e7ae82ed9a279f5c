"""Metafiles against the real rTorrent: what we take it loads under our hash, and what would kill it we refuse."""

import base64
import random
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from bencode2 import bdecode

from demo.metafiles import Bencodable, bencode, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import MetafileError, RTorrentError, RTorrentFault
from pyrotorque.metafile import magnet, read
from pyrotorque.rtorrent import RTorrent
from tests.programs import Program
from tests.unit.test_metafile import entry, with_files, with_info, with_outer
from tests.waiting import eventually

ODD: list[Any] = [0, -1, 2**32, 2**63 - 1, b"", b"..", b"/", b"\xff" * 30, [], {}, [[]], [b"x"], {b"a": 1}, [1, 2]]


def loads(client: RTorrent, data: bytes, info_hash: str) -> bool:
    """Whether rTorrent has the item soon after the load command."""

    def there() -> bool:
        try:
            client.call("d.hash", info_hash)
        except RTorrentFault:
            return False
        return True

    client.call("load.raw", "", data)
    try:
        return eventually(there, 20)
    except AssertionError:
        return False


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_info(name=b"taken"), id="single file"),
        pytest.param(with_info(name=b"junk") + b"junk", id="what follows is ignored"),
        pytest.param(with_info(name=b"\xff\n;$x=\\"), id="odd bytes in the name"),
        pytest.param(with_info(name=b"small", piece_length=1025), id="smallest pieces"),
        pytest.param(with_info(name=b"hybrid", meta_version=2, file_tree={}), id="hybrid"),
        pytest.param(with_files(entry(["a", "b"], 0), entry(["a", "c"])), id="an empty file"),
        pytest.param(with_files(entry(["x", ""])), id="empty part of a path"),
        pytest.param(with_outer(libtorrent_resume={"files": [{"mtime": 1, "completed": 1}]}), id="fast resume"),
    ],
)
def test_what_we_take_is_loaded_under_our_hash(shared_rtorrent: PrivateRTorrent, data: bytes) -> None:
    assert loads(RTorrent(shared_rtorrent.url), data, read(data).info_hash)


PAD: dict[str, Bencodable] = {"path": [".pad", "1"], "length": 5, "attr": "p"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_files(entry(["a"]), entry(["a"])), id="two files of one path"),
        pytest.param(with_files(entry(["a"]), entry(["a", "b"])), id="a file as folder"),
        pytest.param(with_files(entry(["a"]), PAD, PAD), id="padding next to each other"),
        pytest.param(with_outer(libtorrent_resume={"files": [5]}), id="resume data of a file"),
        pytest.param(with_outer(libtorrent_resume={"trackers": {"u": 5}}), id="resume data of a tracker"),
        pytest.param(with_info(name="meta", meta_download=1), id="claims to be a magnet link"),
    ],
)
def test_what_kills_every_rtorrent_is_refused(rtorrent: PrivateRTorrent, data: bytes) -> None:
    with pytest.raises(MetafileError):
        read(data)
    client = RTorrent(rtorrent.url)
    with suppress(RTorrentError):  # it may end while it answers
        client.call("load.raw", "", data)

    def has_ended() -> bool:
        """Or opens the item, which appears later than the load answers."""
        if rtorrent.running:
            client.multicall([("d.open", row) for row in client.rows("main", ["d.hash="])])
        return not rtorrent.running

    eventually(has_ended)


@pytest.mark.rtorrent_version(">=0.16", reason="0.9.8 loads it")
def test_an_empty_name_ends_rtorrent_and_is_refused(rtorrent: PrivateRTorrent) -> None:
    data = with_info(name="")
    with pytest.raises(MetafileError):
        read(data)
    with suppress(RTorrentError):  # it may end while it answers
        RTorrent(rtorrent.url).call("load.raw", "", data)
    eventually(lambda: not rtorrent.running, 20.0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_info(name=b"numbers", zz=123).replace(b"i123e", b"i0123e"), id="leading zeros"),
        pytest.param(with_info(name=b"signs", zz=-12).replace(b"i-12e", b"i -012e"), id="blanks and a sign"),
        pytest.param(with_info(name=b"lengths").replace(b"7:lengths", b"007:lengths"), id="a length with zeros"),
        pytest.param(with_info(name=b"two comments").replace(b"d8:ann", b"d1:c1:a1:c1:b8:ann"), id="a doubled key"),
        pytest.param(with_info(name=b"unordered").replace(b"d8:ann", b"d1:z1:a1:c1:b8:ann"), id="unordered keys"),
        pytest.param(with_info(name=b"long", pieces=b"x" * 39), id="half a hash too many"),
        pytest.param(with_info(name=b"empty", private=1).replace(b"35:http://tracker.example.com/announce", b"0:"),
                     id="private with an empty tracker"),
        pytest.param(with_info(name=b"any name", **{"name.utf-8": ".."}), id="another name that cannot be one"),
        pytest.param(with_files(entry(["f", "g"]), entry(["f"])), id="a folder as file"),
        pytest.param(with_outer(libtorrent_resume={"bitfield": [], "files": 5, "peers": {}}), id="odd resume data"),
        pytest.param(with_files(entry(["a"]), PAD, entry(["b"]), PAD), id="padding of one path"),
        pytest.param(with_files(entry(["a"], utf8=[".."])), id="path.utf-8 with .."),
        pytest.param(with_files({"path.utf-8": ["only"], "length": 5}), id="path.utf-8 only"),
    ],
)  # fmt: skip
def test_odd_metafiles_are_taken_as_this_rtorrent_takes_them(
    shared_rtorrent: PrivateRTorrent, rtorrent_program: Program, data: bytes
) -> None:
    found, client = read(data), RTorrent(shared_rtorrent.url)
    loaded = loads(client, data, found.info_hash)
    if loaded:
        try:
            client.call("d.open", found.info_hash)
        except RTorrentFault:
            loaded = False
        client.call("d.erase", found.info_hash)
    assert loaded == (not found.refusal(rtorrent_program.version))


HASH = "5B" * 20
TRACKER = "tr=http://127.0.0.1:1/a"


@pytest.mark.parametrize(
    "text",
    [
        f"MAGNET:?XT=URN:BTIH:{HASH}&{TRACKER}",
        f"magnet:?xt=urn%3Abtih%3A{HASH}&{TRACKER}",
        f"magnet:?dn=ä b%FF&amp;xt=urn:btih:{HASH}&amp;{TRACKER}",
        f"magnet:?xt=urn:btmh:1220{'ab' * 32}&xt=urn:btih:{HASH}&tr.1=http://127.0.0.1:1/a",
        f"magnet:?xt=urn:btih:{'00' * 20}&xt=urn:btih:{HASH}&{TRACKER}&tr=http%3A%2F%2F127.0.0.1%3A2%2F%3Fk%3Dv%26w",
        f" magnet:?foo&&xt=urn:btih:{HASH}/&dn=%zz&{TRACKER} ",
        f"magnet:?xt=urn:btih:{base64.b32encode(bytes.fromhex(HASH)).decode().lower()}&{TRACKER}",
    ],
)
def test_each_spelling_of_a_magnet_link_is_loaded(shared_rtorrent: PrivateRTorrent, text: str) -> None:
    link, client = magnet(text), RTorrent(shared_rtorrent.url)
    assert link.info_hash == HASH
    assert loads(client, link.metafile(), HASH)
    client.call("d.erase", HASH)


def test_a_magnet_link_is_loaded_without_a_path(shared_rtorrent: PrivateRTorrent) -> None:
    link = magnet(f"magnet:?xt=urn:btih:{'5A' * 20}&dn=x&tr=http://127.0.0.1:1/a")
    assert loads(RTorrent(shared_rtorrent.url), link.metafile(), link.info_hash)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, each in inner for place in places(each, (*path, key)))]


def mutant(number: int, dice: random.Random) -> bytes:
    """A metafile with everything in it that rTorrent reads, and up to three of its values replaced."""
    files: list[Any] = [{b"length": 1000, b"path": [b"d", b"%d" % n], b"path.utf-8": [b"%d" % n]} for n in range(3)]
    whole: dict[bytes, Any] = {
        b"announce": b"http://127.0.0.1:1/a",
        b"announce-list": [[b"http://127.0.0.1:1/a", b"udp://127.0.0.1:1"], [b"http://127.0.0.1:2"]],
        b"encoding": b"utf-8",
        b"nodes": [[b"127.0.0.1", 1]],
        b"rtorrent": {b"custom1": b"x", b"directory": b"/etc"},
        b"info": {b"name": b"%d" % number, b"piece length": 16384, b"pieces": b"x" * 20, b"files": files},
        b"libtorrent_resume": {
            b"bitfield": b"\xff",
            b"files": [{b"completed": 1, b"mtime": 1, b"priority": 1} for _ in files],
            b"peers": b"123456",
            b"trackers": {b"http://127.0.0.1:1/a": {b"enabled": 1}},
            b"uncertain_pieces.timestamp": 1,
        },
    }
    for _ in range(dice.randint(0, 3)):
        *way, key = dice.choice(places(whole))
        holder = whole
        for step in way:
            holder = holder[step]
        holder[key] = deepcopy(dice.choice(ODD))
    value: Bencodable = whole
    return bencode(value)


def test_no_mutant_that_we_take_kills_rtorrent(rtorrent: PrivateRTorrent) -> None:
    client, dice = RTorrent(rtorrent.url), random.Random(11)
    taken = 0
    for number in range(600):
        data = mutant(number, dice)
        try:
            info_hash = read(data).info_hash
        except MetafileError:
            continue
        client.call("load.raw", "", data)
        taken += len(info_hash) == 40
    good = make_metafile("after all of them")
    assert loads(client, good, read(good).info_hash)
    assert rtorrent.running
    assert taken > 100


def test_the_smallest_number_is_taken_where_rtorrent_hashes_it_correctly(
    shared_rtorrent: PrivateRTorrent, rtorrent_program: Program
) -> None:
    data = with_info(name=b"smallest", zz=[{"z": -(2**63)}])
    found = read(data)
    assert bool(found.refusal(rtorrent_program.version)) == rtorrent_program.satisfies(">=0.16")
    assert not found.refusal(rtorrent_program.version) or "info-hash" in found.refusal(rtorrent_program.version)
    if not found.refusal(rtorrent_program.version):
        assert loads(RTorrent(shared_rtorrent.url), data, found.info_hash)


def test_the_smallest_number_in_a_name_is_no_number() -> None:
    assert not read(with_info(name=b"i-9223372036854775808e")).limits


DOCUMENTED = ("the name  cannot be the name", "is not a path inside the torrent", "is that of two files")
"""docs/watch.md, "Not loaded, although a version of rTorrent would"."""


def test_what_rtorrent_loads_is_taken_unless_it_is_documented(
    rtorrent: PrivateRTorrent, rtorrent_program: Program
) -> None:
    """Each value of a metafile replaced by each odd one, a part of them."""
    client, dice = RTorrent(rtorrent.url), random.Random(14)
    whole = mutant(1, NoDice())
    values: Any = bdecode(whole)
    made = [(way, odd) for way in places(values) for odd in [*ODD, -(2**63), [b"", b""], b"x" * 300]]
    for way, odd in dice.sample(made, 250):
        values = bdecode(whole)
        holder = values
        for step in way[:-1]:
            holder = holder[step]
        holder[way[-1]] = deepcopy(odd)
        data = bencode(values)
        try:
            refusal = read(data).refusal(rtorrent_program.version)
        except MetafileError as error:
            refusal = str(error)
        if refusal:
            assert not is_loaded(rtorrent, client, data) or any(part in refusal for part in DOCUMENTED), (way, odd)


class NoDice(random.Random):
    """Nothing is replaced."""

    def randint(self, a: int, b: int) -> int:
        return 0


def erased(client: RTorrent) -> list[str]:
    """The items that rTorrent has, which are erased."""
    items = [info_hash for (info_hash,) in client.rows("main", ["d.hash="])]
    client.multicall([("d.erase", (info_hash,)) for info_hash in items])
    return items


def start_empty(rtorrent: PrivateRTorrent) -> None:
    for file in rtorrent.session.glob("*.torrent*"):
        file.unlink()
    rtorrent.start()


def is_loaded(rtorrent: PrivateRTorrent, client: RTorrent, data: bytes) -> bool:
    """Whether rTorrent has an item of it that can be opened; it is erased. An rTorrent that ends is started again."""
    # The metafile before may end it after it answered.
    eventually(lambda: not rtorrent.running or not erased(client), why="nothing is left of another metafile")
    if not rtorrent.running:
        start_empty(rtorrent)
    try:
        client.call("load.raw", "", data)
        items = [info_hash for (info_hash,) in client.rows("main", ["d.hash="])]
        opened = client.multicall([("d.open", (info_hash,)) for info_hash in items])
        erased(client)
        client.call("system.pid")
    except RTorrentError:
        eventually(lambda: not rtorrent.running)
        start_empty(rtorrent)
        return False
    # 0.16 computes another hash of the smallest number.
    return any(answer == 0 for answer in opened) and b"i-9223372036854775808e" not in data
