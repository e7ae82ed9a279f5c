"""The recipes of docs/queue.md, each of them executed over a real rTorrent."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.group import REPOSITORY
from demo.private_rtorrent import PrivateRTorrent
from tests import recipes
from tests.configured import settings_for
from tests.scheduling import QueueScene, queue_scene_of

PAGE = (REPOSITORY / "docs" / "queue.md").read_text(encoding="utf-8")
_SECTION = PAGE.partition("\n## Recipes\n")[2]
RECIPES = dict(re.findall(r"^### (.+?)\n.*?^```ini\n(.*?)^```$", _SECTION, re.MULTILINE | re.DOTALL))
SLOW, OTHER = "http://slow.example.org/announce", "http://other.example.com/announce"


@contextmanager
def recipe(name: str, real: PrivateRTorrent, folder: Path, **changed: str) -> Generator[QueueScene]:
    """The queues of a recipe; `changed` puts amounts that a test can make in place of those on the page."""
    settings = settings_for(real.url, folder, recipes.reachable(RECIPES[name], changed))
    with queue_scene_of(settings, folder) as d:
        yield d


def test_every_recipe_is_executed_here() -> None:
    assert recipes.untried(RECIPES, __file__) == []
    assert len(RECIPES) == PAGE.count("```ini")


def test_a_dry_run_only_says_what_it_would_do(
    rtorrent: PrivateRTorrent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with recipe("See what it would do", rtorrent, tmp_path) as d, caplog.at_level("INFO"):
        d.load("one")
        d.check(at=0)
        assert (d.running(), d.event_types()) == (set(), [])
    assert "WOULD start one" in caplog.text


def test_a_few_at_a_time_a_minute_apart(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with recipe("A few at a time, a minute apart", rtorrent, tmp_path) as d:
        for name in "abcdefg":
            d.load(name)
        assert recipes.starts(d, until=305) == {0: 2, 60: 2, 120: 1}
        assert len(d.running()) == 5


def test_always_something_to_do(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with recipe("At least three downloads", rtorrent, tmp_path) as d:
        for number in range(11):
            d.load(f"item {number:02}")
        started = [d.check(at=at).started for at in range(0, 135, 15)]
        assert started == [3, 1, 1, 1, 1, 1, 1, 0, 0]


def test_small_ones_first(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with recipe("Small items first", rtorrent, tmp_path) as d:
        large, small = d.load("large", size=500_000), d.load("small", size=1_000)
        urgent = d.load("urgent", size=900_000, priority=3)
        assert recipes.order_of_starts(d, until=45) == [urgent, small, large]


def test_stalled_items_take_no_slot(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with recipe("Stalled items take no slot", rtorrent, tmp_path) as d:
        recipes.prove_that_a_stalled_item_takes_a_slot_for_two_minutes(d)


def test_each_tracker_has_its_limit(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with recipe("A limit for each tracker", rtorrent, tmp_path) as d:
        slow = {d.load(f"slow {n}", announce=SLOW) for n in range(4)}
        other = {d.load(f"other {n}", announce=OTHER) for n in range(3)}
        rest = {d.load(f"rest {n}") for n in range(6)}
        recipes.rounds(d, until=90)
        running = d.running()
        assert [len(running & those) for those in (slow, other, rest)] == [2, 1, 1]


def test_each_label_has_its_limit(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with recipe("A limit for each label", rtorrent, tmp_path) as d:
        movies = {d.load(f"movie {n}", "d.custom1.set=movies") for n in range(3)}
        rest = {d.load(f"show {n}", "d.custom1.set=tv") for n in range(3)} | {d.load(f"none {n}") for n in range(3)}
        recipes.rounds(d, until=105)
        assert [len(d.running() & those) for those in (movies, rest)] == [1, 6]


def test_large_ones_do_not_block_small_ones(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with recipe("Large items do not block small ones", rtorrent, tmp_path, **{"4g": "100k"}) as d:
        large = {d.load(f"large {n}", size=500_000) for n in range(3)}
        small = {d.load(f"small {n}", size=1_000) for n in range(3)}
        recipes.rounds(d, until=60)
        assert [len(d.running() & those) for those in (large, small)] == [1, 3]


def test_at_night_only(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with recipe("At night only", rtorrent, tmp_path) as d:
        for name in "abc":
            d.load(name)
        started = recipes.starts_by_hour(d, 0, 6.99, 7, 12, 22.99, 23)
        assert started == {0: 1, 6.99: 1, 7: 0, 12: 0, 22.99: 0, 23: 1}


def test_room_on_the_disk_is_kept(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    amounts = {"20g": recipes.free_but_900_mb(rtorrent)}  # room for one of the two, and for the small one
    with recipe("Keep disk space free and limit the download rate", rtorrent, tmp_path, **amounts) as d:
        first = d.load("first", size=600_000_000, piece_length=2**22)
        second = d.load("second", size=600_000_000, piece_length=2**22)
        small = d.load("small", size=1_000)
        recipes.rounds(d, until=60)
        assert (d.running(), d.queue.last and d.queue.last.hold.reason) == ({first, small}, "disk")
        assert d.job_table.history.latest(item=second)[0].verdict == "disk"
