"""Broken metafiles by the hundred: each is refused, or loaded, in bounded time, and the next good one is loaded."""

import random
import resource
import time
from pathlib import Path

import pytest

from demo.metafiles import make_metafile
from tests.dropping import drop
from tests.waiting import bound
from tests.watching import Watching

pytestmark = pytest.mark.usefixtures("rtorrent_program")

SECONDS = 1.0
MEGABYTES = 50
TOKENS = (b"i99999999999999999999999e", b"l" * 300, b"d" * 300, b"i-1e", b"100000000:", b"0:", b"e", b"2:..", b"4:/etc")


def mutated(chance: random.Random, metafile: bytes) -> bytes:
    """A few bytes changed, removed or doubled, or tokens of bencode inserted."""
    data = bytearray(metafile)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randint(1, 20)]
            case 2:
                data[at:at] = data[at : at + chance.randint(1, 40)]
            case _:
                data[at:at] = chance.choice(TOKENS)
    return bytes(data)


def monsters() -> list[bytes]:
    head = b"d8:announce27:http://127.0.0.1:1/announce4:info"
    return [
        b"l" * 10_000_000,
        head + b"d4:name" + b"l" * 5_000_000,
        head + b"d6:lengthi" + b"9" * 5_000_000 + b"e",
        b"d4:info100000000:",
        make_metafile("up", files=[("../../etc/cron.d/x", 1), ("a", 1)]),
        b"d" + b"".join(b"6:%06di0e" % number for number in range(200_000)) + b"e",
    ]


def test_three_hundred_mutated_files_and_some_monsters(watching: Watching, root: Path) -> None:
    chance = random.Random(4)
    sample = make_metafile("fuzzed", files=[("a/b", 70_000), ("c", 3)], comment="x" * 50)
    watching.load(root / "first.torrent")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(300):
        (root / f"f{number}.torrent").write_bytes(mutated(chance, sample))
    began = time.process_time()
    watching.settle()
    assert time.process_time() - began < bound(30 * SECONDS)
    for number, data in enumerate(monsters()):
        with (root / f"m{number}.torrent").open("wb") as file:
            file.write(data)
            if data.endswith(b"100000000:"):
                file.truncate(100_000_018)
        began = time.process_time()
        watching.settle()
        assert time.process_time() - began < bound(SECONDS), f"monster {number}"
    good = drop(root / "good.torrent")
    watching.until(lambda: watching.state(root / "good.torrent") in ("visible", "loaded"))
    assert good in {event.info_hash for event in watching.loaded}
    # Those that end too early may still have a writer.
    watching.until(lambda: all(row.progress.state != "sent" for row in watching.rows), 30)
    assert {row.progress.state for row in watching.rows} <= {"seen", "visible", "loaded", "failed", "duplicate"}
    assert all(row.progress.reason for row in watching.rows if row.progress.state in ("seen", "failed"))
    # Wrong content is final only after `settle_time`.
    watching.until(lambda: watching.states("failed") > 150, 30)
    watching.until(lambda: {watching.state(root / f"m{number}.torrent") for number in (3, 4, 5)} == {"failed"}, 30)
    made = sum(map(len, monsters())) // 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < (MEGABYTES + 2 * made) * 1024
