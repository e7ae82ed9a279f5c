"""What `on_failed` may dispose of: only what is proven to be no metafile; all else stays and is loaded later."""

import time
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import LoadFailure
from pyrotorque.metafile import MAX_SIZE
from pyrotorque.settings.schema import Disposal
from pyrotorque_watcher.rows import LoadRefused
from tests.dropping import drop
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")


@pytest.mark.parametrize("on_failed", ["rename", "move", "delete"])
def test_what_failed_because_of_a_setting_stays_and_is_loaded_later(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, on_failed: Disposal, caplog: pytest.LogCaptureFixture
) -> None:
    """`on_failed` applies to what is no metafile, whatever else was wrong."""
    (root / "watch.ini").write_text("colour = red\n")
    settings = job(root, on_failed=on_failed, failed_path=short_folder / "failed")
    with Watching(short_folder, settings, url=rtorrent.url) as watching:
        for name in ("x", "y"):
            drop(root / f"{name}.torrent")
        (root / "bad.torrent").write_bytes(b"<html>login</html>")
        watching.until(lambda: watching.states("failed") == 3)
        watching.until(lambda: not (root / "bad.torrent").exists())
        watching.settle()
        assert (root / "x.torrent").exists()
        reports = [record.message for record in caplog.records if "stays where it is" in record.message]
        assert len(reports) == 1
        (root / "watch.ini").write_text("custom1 = tv\n")
        watching.until(lambda: watching.states("loaded") == 2)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rpc", "rTorrent refused it"),
        ("timeout", "it may be the cause of the crash"),
        ("refused", "rTorrent shows no item"),
        ("too_large", "the limit of requests"),
        ("invalid", "rTorrent before 0.16 does not load it"),
        ("io", "a row of version 1.0.0"),
    ],
)
def test_a_failure_that_says_nothing_about_the_content_deletes_nothing(
    short_folder: Path, root: Path, kind: LoadFailure, reason: str
) -> None:
    with Watching(short_folder, job(root, on_failed="delete")) as watching:
        drop(root / "a.torrent")
        watching.until(lambda: watching.states("seen") == 1)
        ledger = watching.watcher.ledger
        ledger.mark_failed(watching.row(root / "a.torrent"), LoadRefused(kind, reason), time.time())
        assert [todo for todo, _ in ledger.todo(10)] == ["failed_kept"]


@pytest.mark.parametrize(
    "content",
    [
        b"d1:x" + b"l" * 200 + b"e" * 200 + b"e",
        b"x" * (MAX_SIZE + 1),
        b"d4:infod9:file treede12:meta versioni2e4:name1:a12:piece lengthi16384eee",
        b"d4:infod6:lengthi1e4:name0:12:piece lengthi16384e6:pieces20:" + b"x" * 20 + b"ee",
        b"d4:infod6:lengthi1e4:name1:a12:piece lengthi8589934592e6:pieces20:" + b"x" * 20 + b"ee",
    ],
    ids=["nested deeper than our limit", "larger than our limit", "BitTorrent v2", "an empty name", "large pieces"],
)
def test_what_may_be_a_metafile_beyond_our_limits_is_not_deleted(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, content: bytes
) -> None:
    with Watching(short_folder, job(root, on_failed="delete"), url=rtorrent.url) as watching:
        (root / "a.torrent").write_bytes(content)
        watching.until(lambda: watching.states("failed") == 1)
        watching.settle()
        assert (root / "a.torrent").exists()
