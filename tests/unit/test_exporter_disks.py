"""The disks of items and watched folders: what is free, promised, absent, or does not answer."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyrotorque import disk_usage
from pyrotorque.disk_usage import DiskUsage
from pyrotorque.linux.filesystems import disk_space
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.collectors.disks import DisksCollector
from pyrotorque_exporter.exposition import PREFIX
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.scrape import Scraper
from tests.exporter_fakes import Clock, FakeRTorrent
from tests.waiting import bound, eventually


def item(directory: str, *, multi: bool = False, left: int = 0) -> dict[str, str]:
    return {
        "d.directory=": directory,
        "d.is_multi_file=": str(int(multi)),
        "d.left_bytes=": str(left),
        "d.wanted_chunks=": "9999",
        "d.chunk_size=": "1024",
    }


def scraped(
    started: Sequence[dict[str, str]], items: Sequence[dict[str, str]] = (), roots: Sequence[str] = ()
) -> tuple[Scraper, FakeRTorrent]:
    rtorrent = FakeRTorrent(tables={("incomplete", "d.is_active="): started, ("main", ""): items})
    calls = RTorrentCalls(rtorrent, rtorrent, clock=lambda: 0.0)
    return Scraper([DisksCollector(roots)], calls, PREFIX, clock=lambda: 0.0), rtorrent


def samples(scraper: Scraper) -> dict[str, float]:
    text = scraper.scrape(frozenset(), 10.0).plain.decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("pyrotorque_disk")]
    return {name: float(value) for name, _, value in lines}


def of(found: dict[str, float], metric: str) -> dict[str, float]:
    return {name: value for name, value in found.items() if name.startswith(metric)}


def test_free_bytes_and_size_are_those_of_the_filesystem(tmp_path: Path) -> None:
    scraper, _ = scraped([], roots=[str(tmp_path)])
    found = samples(scraper)
    (free,), (size,) = (of(found, f"pyrotorque_disk_{what}_bytes").values() for what in ("free", "size"))
    real = os.statvfs(tmp_path)
    assert size == real.f_blocks * real.f_frsize
    assert abs(free - real.f_bavail * real.f_frsize) < size / 10


def test_what_started_items_still_need_is_added_up_for_each_disk(tmp_path: Path) -> None:
    folder = str(tmp_path)
    scraper, _ = scraped([item(folder, left=1000), item(f"{folder}/Item", multi=True, left=500)], roots=[folder])
    assert list(of(samples(scraper), "pyrotorque_disk_promised").values()) == [1500.0]


def test_deselected_files_are_not_promised(tmp_path: Path) -> None:
    row = item(str(tmp_path), left=1_000_000) | {"d.wanted_chunks=": "2"}
    assert list(of(samples(scraped([row])[0]), "pyrotorque_disk_promised").values()) == [2048.0]


def test_a_folder_of_another_machine_has_no_disk() -> None:
    assert samples(scraped([item("/no-such-folder-here/data", left=5)])[0]) == {}


def test_a_folder_that_does_not_exist_yet_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    found = samples(scraped([item(str(tmp_path / "new" / "one"), left=7)])[0])
    assert list(of(found, "pyrotorque_disk_promised").values()) == [7.0]


def test_disks_are_shown_while_rtorrent_does_not_answer(tmp_path: Path) -> None:
    from pyrotorque.errors import RTorrentUnavailable

    scraper, rtorrent = scraped([], [item(str(tmp_path))])
    assert of(samples(scraper), "pyrotorque_disk_free")
    rtorrent.broken = RTorrentUnavailable("away")
    found = samples(scraper)
    assert of(found, "pyrotorque_disk_free")
    assert not of(found, "pyrotorque_disk_promised")
    text = scraper.without_rtorrent(frozenset()).plain.decode()
    assert "pyrotorque_disk_free_bytes{" in text
    assert 'rtorrent_scrape_collector_success{collector="disks"} 0.0' in text


def test_the_folders_of_all_items_are_read_every_ten_minutes(tmp_path: Path) -> None:
    rtorrent = FakeRTorrent(tables={("main", ""): [item(str(tmp_path))]})
    clock = Clock()
    collector = DisksCollector((), clock=clock)
    calls = RTorrentCalls(rtorrent, rtorrent, clock=lambda: 0.0)
    calls.begin(10.0)
    context = ScrapeContext(0.0, calls)
    for _ in range(3):
        assert list(collector.collect(context))
    assert len(rtorrent.asked) == 4
    clock.now += 601
    assert list(collector.collect(context))
    assert len(rtorrent.asked) == 6


def test_a_disk_that_does_not_answer_hides_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released, real = threading.Event(), disk_space

    def slow(folder: str) -> object:
        if folder == "/dead":
            released.wait(bound(30))
        return real(folder)

    monkeypatch.setattr(disk_usage, "disk_space", slow)
    monkeypatch.setattr(disk_usage, "_ANSWER_WITHIN", 0.05)
    usage = DiskUsage()
    try:
        eventually(lambda: len(usage.measure([str(tmp_path), "/dead"])) == 1)
        assert usage.is_measuring
        assert len(usage.measure([str(tmp_path), "/dead"])) == 1
    finally:
        released.set()
    eventually(lambda: not usage.is_measuring)


def test_ten_thousand_folders_of_one_disk_are_one_folder_afterwards(tmp_path: Path) -> None:
    usage = DiskUsage()
    folders = [str(tmp_path / f"new {number}") for number in range(50)]
    usage.measure(folders)
    eventually(lambda: not usage.is_measuring)
    assert len(usage.one_of_each(folders)) == 1
