"""A scrape succeeds whatever a group or rTorrent does, and reports the result of each group."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from prometheus_client.core import Metric

from pyrotorque.errors import RTorrentFault, RTorrentUnavailable
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.families import single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.scrape import Scraper
from tests.exporter_fakes import Clock, FakeRTorrent


@dataclass
class Scripted:
    """A collector of one gauge, or one that raises."""

    name: str
    uses_rtorrent: bool = False
    raises: Exception | None = None
    collected: list[float] = field(default_factory=list[float])

    def collect(self, context: ScrapeContext) -> Iterable[Metric]:
        self.collected.append(context.now)
        if self.uses_rtorrent:
            context.calls.multicall(self.name, [("anything", ())])
        if self.raises:
            raise self.raises
        yield single("gauge", f"of_{self.name}", "Something.", 1.0)


def _scraper(fake: FakeRTorrent, *groups: Scripted, clock: Clock | None = None) -> Scraper:
    ticking = clock or Clock()
    return Scraper(groups, RTorrentCalls(fake, fake, clock=ticking), "rtorrent_", clock=ticking, wall=lambda: 1000.0)


def _scrape(scraper: Scraper, *wanted: str, deadline: float = 110.0) -> Exposition:
    return scraper.scrape(frozenset(wanted), deadline)


def test_every_group_is_shown_and_reported() -> None:
    exposition = _scrape(_scraper(FakeRTorrent(), Scripted("queue"), Scripted("system", uses_rtorrent=True)))
    assert exposition.value("rtorrent_up") == 1.0
    assert exposition.labelled("rtorrent_scrape_collector_success") == {"queue": 1.0, "system": 1.0}
    assert exposition.value("of_queue") == exposition.value("of_system") == 1.0


def test_an_exception_in_a_group_affects_only_that_group() -> None:
    groups = Scripted("queue", raises=ZeroDivisionError()), Scripted("watch")
    exposition = _scrape(_scraper(FakeRTorrent(), *groups))
    assert exposition.labelled("rtorrent_scrape_collector_success") == {"queue": 0.0, "watch": 1.0}
    assert exposition.value("of_queue") is None
    assert exposition.value("of_watch") == 1.0


def test_a_fault_in_one_group_does_not_mark_rtorrent_as_down() -> None:
    groups = Scripted("system", True, RTorrentFault("no such view")), Scripted("views", True)
    exposition = _scrape(_scraper(FakeRTorrent(), *groups))
    assert exposition.value("rtorrent_up") == 1.0
    assert exposition.labelled("rtorrent_scrape_collector_success") == {"system": 0.0, "views": 1.0}


def test_an_unavailable_rtorrent_is_called_once_and_the_rest_is_shown() -> None:
    fake = FakeRTorrent(broken=RTorrentUnavailable("connection refused"))
    system = Scripted("system", uses_rtorrent=True)
    exposition = _scrape(_scraper(fake, Scripted("queue"), system))
    assert exposition.value("rtorrent_up") == 0.0
    assert exposition.labelled("rtorrent_scrape_collector_success") == {"queue": 1.0, "system": 0.0}
    assert fake.asked == ["ping"]
    assert system.collected == []


def test_after_rtorrent_dies_during_a_scrape_no_further_group_calls_it() -> None:
    first, second = Scripted("system", True, None), Scripted("views", True)
    fake = FakeRTorrent()

    class Dying(Scripted):
        def collect(self, context: ScrapeContext) -> Iterable[Metric]:
            fake.broken = RTorrentUnavailable("gone")
            return super().collect(context)

    exposition = _scrape(_scraper(fake, first, Dying("throttle", True), second))
    assert exposition.value("rtorrent_up") == 0.0
    assert second.collected == []
    assert exposition.value("of_system") == 1.0


def test_no_call_starts_after_the_deadline() -> None:
    fake, clock = FakeRTorrent(), Clock()
    exposition = _scrape(_scraper(fake, Scripted("system", True), clock=clock), deadline=clock.now)
    assert fake.asked == []
    assert exposition.value("rtorrent_up") == 0.0


def test_each_call_is_bounded_by_the_remaining_time() -> None:
    fake, clock = FakeRTorrent(), Clock(now=100.0)
    _scrape(_scraper(fake, Scripted("system", True), clock=clock), deadline=103.0)
    assert fake.read_timeout == 3.0


def test_only_the_requested_groups_are_collected() -> None:
    queue, watch = Scripted("queue"), Scripted("watch")
    exposition = _scrape(_scraper(FakeRTorrent(), queue, watch), "watch")
    assert queue.collected == []
    assert exposition.labelled("rtorrent_scrape_collector_success") == {"watch": 1.0}
    assert exposition.value("rtorrent_up") is None


def test_groups_without_rtorrent_are_available_immediately() -> None:
    fake = FakeRTorrent(broken=AssertionError("must not be called"))
    scraper = _scraper(fake, Scripted("queue"), Scripted("system", True))
    exposition = scraper.without_rtorrent(frozenset())
    assert exposition.value("rtorrent_up") == 0.0
    assert exposition.value("of_queue") == 1.0
    assert exposition.labelled("rtorrent_scrape_collector_success") == {"queue": 1.0, "system": 0.0}


def test_a_problem_and_its_end_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeRTorrent()
    scraper = _scraper(fake, Scripted("system", True))
    caplog.set_level("INFO")
    for seconds in (2.49987, 2.49991, 2.5):
        fake.broken = RTorrentUnavailable(f"connection refused within {seconds} s")
        _scrape(scraper)
        _scrape(scraper, deadline=0.0)
    fake.broken = None
    for _ in range(3):
        _scrape(scraper)
    lines = caplog.messages
    assert lines == [
        "rTorrent does not answer, its metrics are absent: connection refused within 2.49987 s",
        "rTorrent answers again",
    ]


def test_the_prefix_of_rtorrents_metrics_is_a_setting() -> None:
    fake = FakeRTorrent()
    scraper = Scraper([Scripted("system", uses_rtorrent=True)], RTorrentCalls(fake, fake), "seedbox_")
    exposition = scraper.scrape(frozenset(), float("inf"))
    assert b"\nseedbox_up 1.0\n" in exposition.plain
    assert b"rtorrent_" not in exposition.plain
    assert exposition.value("rtorrent_up") == 1.0, "the page needs no prefix"
