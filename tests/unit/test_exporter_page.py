"""The status page shows what goes on, without names unless told to, and nothing in it is taken for markup."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest

from pyrotorque.events import LoadFailed, TorrentLoaded
from pyrotorque_exporter.calls import Calls
from pyrotorque_exporter.collectors import Turn
from pyrotorque_exporter.collectors.processes import Processes
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.families import by_label, from_services, labelled, single
from pyrotorque_exporter.page import StatusPage
from pyrotorque_exporter.shown import ago, duration, rate, size
from pyrotorque_exporter.told import Told
from tests.exporter_fakes import FakeRTorrent
from tests.exporter_scene import HASH, NOW, ODD, recent, told

EXPLAINED: Mapping[str, Mapping[str, Any]] = {"queue": {"order": [{"name": ODD, "hash": HASH}]}}


class Text(HTMLParser):
    """The words of a page, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def text(self) -> str:
        return " ".join(self.words)


def _seen(known: Told) -> Exposition:
    fake = FakeRTorrent()
    turn = Turn(NOW, Calls(fake, fake))
    metrics = [*Processes(known, tuple, supervisor=1).collect(turn)]
    metrics += from_services(known.families(lambda name: not name.startswith("pyrotorque_process")))
    metrics += [
        single("gauge", "rtorrent_up", "…", 1.0),
        labelled("gauge", "rtorrent_info", "…", ("client_version",), {("0.9.8",): 1.0}),
        single("gauge", "rtorrent_start_time_seconds", "…", NOW - 400_000),
        single("gauge", "rtorrent_download_rate_bytes_per_second", "…", 12_345_678.0),
        by_label("gauge", "rtorrent_items", "…", "state", {"stopped": 5000.0, "seeding": 4990.0}),
    ]
    return Exposition(b"", tuple(metrics))


def _page(*, names: bool = False) -> Text:
    known = told()
    page = StatusPage(known, recent, explained=lambda: EXPLAINED, names=names, wall=lambda: NOW)
    return Text(page.html(_seen(known)).decode())


def test_rates_items_and_version_of_rtorrent_are_shown() -> None:
    text = _page().text
    for words in ("rTorrent ● up", "download 11.8 MiB/s", "items 9990", "stopped 5000", "version 0.9.8", "4 d 15 h"):
        assert words in text


def test_the_queue_tells_what_runs_what_could_and_why_it_waits() -> None:
    text = _page().text
    assert "queue 2 of 3 17 intermission: 18 s until the next batch (1 s ago) 42 s ago in 18 s in 4 s" in text
    assert f"next {HASH[:8]}…" in text


def test_every_process_is_shown_with_its_state() -> None:
    text = _page().text
    for words in ("scheduler ● running waiting", "watcher ● running waiting", "exporter ● up", "guardian ● silent"):
        assert words in text


def test_names_paths_and_reasons_are_hidden() -> None:
    text = _page().text
    assert "Ødd" not in text
    assert "/watch" not in text
    assert "no space" not in text
    assert "too large" in text
    assert "job mover failed" in text
    assert HASH[:8] in text


def test_names_are_shown_when_the_owner_wants_them_and_are_never_markup() -> None:
    page = _page(names=True)
    assert ODD in page.text
    assert "/watch/" in page.text
    assert "b" not in {tag for tag, _ in page.tags}


def test_a_metafile_that_was_loaded_after_all_is_no_failure() -> None:
    failed = LoadFailed(at=NOW - 9, metafile="/watch/x", job="treewatch", kind="rpc", reason="away")
    loaded = TorrentLoaded(
        at=NOW - 5, info_hash=HASH, name="x", metafile="/watch/x", job="treewatch", mode="normal", seconds=1.0
    )
    page = StatusPage(told(), lambda: [failed, loaded], wall=lambda: NOW)
    assert "Failed metafiles" not in Text(page.html(None).decode()).text


def test_the_page_is_there_while_rtorrent_is_away_and_nothing_is_known() -> None:
    page = StatusPage(Told(lambda: 0.0), list, wall=lambda: NOW)
    text = Text(page.html(None).decode()).text
    assert "does not answer" in text
    assert "None yet." in text


def test_the_page_needs_nothing_from_elsewhere_and_no_script() -> None:
    page = _page(names=True)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} == {"/metrics"}
    assert ("meta", {"http-equiv": "refresh", "content": "10"}) in page.tags
    styles = "".join(page.words)
    assert not re.search(r"url\(|@import", styles)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (size(0), "0 B"),
        (size(1023), "1023 B"),
        (size(1536), "1.5 KiB"),
        (size(5 * 1024**5), "5120.0 TiB"),
        (rate(2048), "2.0 KiB/s"),
        (duration(0.0123), "12 ms"),
        (duration(59.4), "59 s"),
        (duration(3599), "59 min"),
        (duration(3600 + 61), "1 h 01 min"),
        (duration(86400 * 3 + 7200), "3 d 2 h"),
        (duration(-5), "0 ms"),
        (ago(100.0, 100.4), "now"),
        (ago(100.0, 142.0), "42 s ago"),
    ],
)
def test_numbers_are_written_for_people(shown: str, expected: str) -> None:
    assert shown == expected
