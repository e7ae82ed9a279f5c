"""The group `items` shows selected attributes, no URLs or paths, and at most items_max items."""

import pytest

from pyrotorque.item_stats import parse_labels, parse_stats
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.collectors.items import ItemsCollector
from pyrotorque_exporter.exposition import render
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.tracker_names import TrackerNames
from tests.exporter_fakes import FakeRTorrent

HASHES = ("A" * 40, "B" * 40, "C" * 40)


def _shown(label: str, *, stat: str = "7", limit: int = 10) -> str:
    rows = [{"d.hash=": one, "d.custom1=": label, "d.custom=score": stat} for one in HASHES]
    fake = FakeRTorrent(tables={("main", ""): rows})
    calls = RTorrentCalls(fake, fake)
    calls.begin(float("inf"))
    items = ItemsCollector(parse_stats(["custom:score"]), parse_labels(["custom1"]), TrackerNames({}), limit=limit)
    return render(items.collect(ScrapeContext(0.0, calls))).plain.decode()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("TV/HD", "TV/HD", id="a label with a slash"),
        pytest.param("100%25", "100%25", id="a percent sign"),
        pytest.param("TV%20HD", "TV%20HD", id="a label as ruTorrent writes it"),
        pytest.param("https://tracker.org/secret", "", id="a URL"),
        pytest.param("https%3A%2F%2Ftracker.org%2Fsecret", "", id="a URL as ruTorrent writes it"),
        pytest.param("/home/me/secret", "", id="a path"),
        pytest.param("~/secret", "", id="a path at home"),
    ],
)
def test_neither_a_url_nor_a_path_becomes_a_label(value: str, shown: str) -> None:
    assert f'custom1="{shown}"}} 1\n' in _shown(value)


def test_items_beyond_the_limit_are_counted() -> None:
    text = _shown("x", limit=1)
    assert "rtorrent_item_series_dropped 2.0" in text
    assert text.count("rtorrent_item_info{") == text.count("rtorrent_item_score{") == 1


def test_a_value_that_is_not_a_number_has_no_sample() -> None:
    text = _shown("x", stat="seven")
    assert "rtorrent_item_score{" not in text
    assert text.count("rtorrent_item_info{") == len(HASHES)
