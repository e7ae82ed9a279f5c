"""The status page shows the state of the group, names only if page_names is set, and escapes all of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from jinja2 import Environment, meta

from pyrotorque.events import Durable, JobFailed, LoadFailed, LoadFailure, ServiceStateChanged, TorrentLoaded
from pyrotorque.settings.schema import ExporterSettings
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.collectors.processes import ProcessesCollector
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.families import by_label, from_services, labelled, single
from pyrotorque_exporter.page import StatusPage
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.service_states import ServiceStates
from tests.exporter_fakes import FakeRTorrent
from tests.exporter_scene import HASH, NOW, ODD, beat, live, recent, service_states

RUNS, OTHER_HASH = "What runs", "F" * 40


@dataclass
class Queues:
    """The scheduler's explanations, or None while they are requested."""

    answers: Mapping[str, Mapping[str, Any]] | None = field(default_factory=dict[str, Mapping[str, Any]])
    refreshes: int = 0

    def refresh(self) -> None:
        self.refreshes += 1

    def queues(self) -> Mapping[str, Mapping[str, Any]] | None:
        return self.answers


EXPLAINED: Mapping[str, Mapping[str, Any]] = {
    "queue": {
        "downloading": 4,
        "startable": 16,
        "hold": {
            "reason": "failed_before",
            "text": "did not start (http://t.org/secret), next attempt in 9 s",
            "summary": "did not start, next attempt in 9 s",
        },
        "next_start": NOW + 9,
        "running": [{"name": RUNS, "hash": OTHER_HASH}],
        "order": [{"name": ODD, "hash": HASH}, *({"name": f"later {n}", "hash": HASH} for n in range(6))],
    }
}


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


def _metrics(known: ServiceStates) -> Exposition:
    fake = FakeRTorrent()
    context = ScrapeContext(NOW, RTorrentCalls(fake, fake))
    metrics = [*ProcessesCollector(known, tuple, supervisor=1).collect(context)]
    metrics += from_services(known.families(lambda name: not name.startswith("pyrotorque_process")))
    metrics += [
        single("gauge", "rtorrent_up", "…", 1.0),
        labelled("gauge", "rtorrent_info", "…", ("client_version",), {("0.9.8",): 1.0}),
        single("gauge", "rtorrent_start_time_seconds", "…", NOW - 400_000),
        single("gauge", "rtorrent_download_rate_bytes_per_second", "…", 12_345_678.0),
        by_label("gauge", "rtorrent_items", "…", "state", {"stopped": 5000.0, "seeding": 4990.0}),
    ]
    return Exposition(b"", tuple(metrics))


def _made(
    known: ServiceStates,
    events: Sequence[Durable] = (),
    *,
    queues: Queues | None = None,
    exposition: Exposition | None = None,
    names: bool = False,
) -> Text:
    page = StatusPage(states=known, recent=lambda: events, queues=queues or Queues(), names=names, wall=lambda: NOW)
    return Text(page.html(exposition or Exposition(b"")).decode())


def _page(*, names: bool = False, explained: Mapping[str, Mapping[str, Any]] | None = None) -> Text:
    known = service_states()
    return _made(known, recent(), queues=Queues(explained or {}), exposition=_metrics(known), names=names)


def _numbers(**values: float) -> Exposition:
    return Exposition(b"", tuple(single("gauge", name, "…", value) for name, value in values.items()))


def test_rates_items_and_version_of_rtorrent_are_shown() -> None:
    text = _page().text
    for words in ("rTorrent ● up", "download 11.8 MiB/s", "items 9990", "stopped 5000", "version 0.9.8", "4 d 15 h"):
        assert words in text


def test_a_queue_shows_its_counts_and_why_it_starts_nothing() -> None:
    text = _page().text
    assert "queue 2 of 3 17 intermission: 18 s until the next batch (as of 1 s ago) 42 s ago in 18 s in 4 s" in text


def test_a_current_explanation_precedes_the_last_check() -> None:
    text = _page(explained=EXPLAINED).text
    assert "queue 4 of 3 16 did not start, next attempt in 9 s 42 s ago" in text
    assert f"runs {OTHER_HASH[:8]}… next in 9 s {HASH[:8]}…" in text
    assert "and 2 more" in text
    assert RUNS not in text
    assert RUNS in _page(names=True, explained=EXPLAINED).text


def test_the_page_of_a_job_shows_the_explanation() -> None:
    queues = Queues(EXPLAINED)
    page = StatusPage(states=service_states(), recent=recent, queues=queues, wall=lambda: NOW)
    of_job = page.for_job(ExporterSettings(name="named", handler="…", page_names=True))
    of_job.refresh()
    assert queues.refreshes == 1
    assert RUNS in Text(of_job.html(Exposition(b"")).decode()).text


def test_the_page_refreshes_soon_while_the_first_explanation_is_requested() -> None:
    def refresh(queues: Queues) -> str | None:
        tags = _made(service_states(), queues=queues).tags
        return next(attrs["content"] for _, attrs in tags if attrs.get("http-equiv") == "refresh")

    assert (refresh(Queues(None)), refresh(Queues())) == ("1", "10")


def test_problems_that_need_attention_are_shown_first() -> None:
    known = service_states()
    exposition = _numbers(
        rtorrent_up=0.0,
        pyrotorque_watch_roots_missing=1.0,
        rtorrent_items_hash_failed=2.0,
        pyrotorque_watch_failed_metafiles=4.0,
        pyrotorque_configurations=2.0,
    )
    text = _made(known, exposition=exposition).text
    for words in (
        "Needs attention rTorrent does not answer guardian is not responding 1 watched folder is missing",
        "2 items failed their hash check 4 metafiles were not loaded the services run on different configurations",
    ):
        assert words in text


def test_without_problems_there_is_no_attention_section() -> None:
    known = service_states()
    known.receive(live("guardian", beat("guardian")))
    assert "Needs attention" not in _made(known, exposition=_numbers(rtorrent_up=1.0)).text


def test_services_with_heartbeats_are_up_without_the_group_processes() -> None:
    text = _made(service_states()).text
    assert "scheduler ● running" in text
    assert "guardian ● not responding" in text


def test_duplicates_and_removed_metafiles_are_not_failures() -> None:
    def failed(path: str, kind: LoadFailure) -> LoadFailed:
        return LoadFailed(at=NOW - 9, metafile=path, job="treewatch", kind=kind, reason="…")

    title = "Metafiles that were not loaded"
    assert title not in _made(service_states(), [failed("/watch/twice", "duplicate")]).text
    one = [failed("/watch/old", "invalid"), failed("/watch/new", "too_large")]
    text = _made(service_states(), one, exposition=_numbers(pyrotorque_watch_failed_metafiles=1.0)).text
    assert "too large" in text
    assert "invalid" not in text


def test_a_repeated_problem_is_one_row() -> None:
    failures = [JobFailed(at=NOW - 100 + n, job="mover", reason="…", seconds=1.0) for n in range(30)]
    went = ServiceStateChanged(at=NOW - 200, service="watcher", state="EXITED", before="RUNNING", reason="")
    text = _made(service_states(), [went, *failures]).text
    assert "job mover failed (30 times)" in text
    assert "watcher was running, then exited" in text


def test_every_process_is_shown_with_its_state() -> None:
    text = _page().text
    for words in (
        "scheduler ● running waiting",
        "watcher ● running waiting",
        "exporter ● up",
        "guardian ● not responding",
    ):
        assert words in text


def test_names_paths_and_error_texts_are_hidden() -> None:
    text = _page().text
    assert "Ødd" not in text
    assert "/watch" not in text
    assert "no space" not in text
    assert "too large" in text
    assert "job mover failed" in text
    assert HASH[:8] in text


def test_names_are_shown_if_page_names_is_set_and_are_escaped() -> None:
    page = _page(names=True)
    assert ODD in page.text
    assert "/watch/" in page.text
    assert "b" not in {tag for tag, _ in page.tags}


def test_a_metafile_that_was_loaded_later_is_not_a_failure() -> None:
    failed = LoadFailed(at=NOW - 9, metafile="/watch/x", job="treewatch", kind="rpc", reason="away")
    loaded = TorrentLoaded(
        at=NOW - 5, info_hash=HASH, name="x", metafile="/watch/x", job="treewatch", mode="normal", seconds=1.0
    )
    assert "Metafiles that were not loaded" not in _made(service_states(), [failed, loaded]).text


def test_the_page_is_served_without_rtorrent_and_without_services() -> None:
    text = _made(ServiceStates(lambda: 0.0), exposition=_numbers(rtorrent_up=0.0)).text
    assert "does not answer" in text
    assert "None yet." in text


def test_a_job_without_groups_of_rtorrent_does_not_report_it_as_down() -> None:
    assert "does not answer" not in _made(service_states()).text


def test_an_exporter_of_1_0_0_can_render_the_page_of_a_newer_wheel() -> None:
    """It reads the file at the first request for the page, which may be after an upgrade."""
    names = "host now refresh names alarms rtorrent processes queues watch loads starts failed troubles"
    text = files("pyrotorque_exporter").joinpath("page.html").read_text()
    assert meta.find_undeclared_variables(Environment().parse(text)) <= set(names.split())


def test_the_page_loads_no_external_resource_and_no_script() -> None:
    page = _page(names=True)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} == {"/metrics"}
    assert ("meta", {"http-equiv": "refresh", "content": "10"}) in page.tags
    styles = "".join(page.words)
    assert not re.search(r"url\(|@import", styles)


def test_names_are_hidden_from_another_site(caplog: pytest.LogCaptureFixture) -> None:
    page = StatusPage(states=service_states(), recent=lambda: (), queues=Queues(), wall=lambda: NOW)
    named = page.for_job(ExporterSettings(name="x", handler="…", page_names=True, page_hosts=("stats.example.org",)))
    shown = {host: named.for_host(host).names for host in ("stats.example.org", "127.0.0.1:9135", None, "evil.example")}
    assert shown == {"stats.example.org": True, "127.0.0.1:9135": True, None: True, "evil.example": False}
    assert "job.NAME.page_hosts" in caplog.text
    assert not page.for_host("evil.example").names
