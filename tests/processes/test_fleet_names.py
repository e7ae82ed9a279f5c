"""Two groups with one name, as after a copy of a home: whatever one of them is permitted, only one of them starts."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.fleet_site import FleetSite
from tests.nats import NatsServer
from tests.programs import Program
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("fleet placement"),
    pytest.mark.rtorrent_version(">=0.10", reason="it is about the fleet: loads are tested with both"),
]

# All processes of this group are some days in the past.
PAST = """
import time
_real, _real_ns = time.time, time.time_ns
time.time = lambda: _real() - 300000
time.time_ns = lambda: _real_ns() - 300000 * 10**9
"""
TAKEN = "another group of the fleet is called one"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pfn-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def make_site(folder: Path, place: str, name: str, servers: str, *lines: str, patch: str = "") -> FleetSite:
    """A group in a folder of its own, which is not started. Its heartbeats are so rare that it does not see at once
    that another one has its name."""
    patched = folder / place / "patch"
    patched.mkdir(parents=True)
    (patched / "sitecustomize.py").write_text(patch)
    return FleetSite(
        folder / place, name, servers, lines, patch=patched if patch else None, beat=1.5, silent=5.0, turn=0.0
    )


@pytest.mark.parametrize("case", ["later", "later, with an older clock", "at one moment"])
def test_of_two_groups_with_one_name_only_one_starts_what_is_dropped(
    folder: Path, rtorrent_program: Program, case: str
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(NatsServer(folder / "nats")).url
        first = make_site(folder, "a", "one", url)
        second = make_site(folder, "b", "one", url, patch=PAST if "clock" in case else "")
        sender = make_site(folder, "c", "sender", url, "fleet.accepts = name=nothing")
        for site in (first, second, sender):
            stack.callback(site.rtorrent.kill)
        stack.enter_context(sender.group)
        stack.enter_context(first.group)
        if case != "at one moment":
            eventually(lambda: sender.drop("before") in first.items(), 60, interval=1, why="the first one has the name")
        stack.enter_context(second.group)
        dropped: set[str] = set()

        def has_ended_often() -> bool:
            dropped.add(sender.drop(f"item-{len(dropped)}"))
            return sum(site.group.log("fleet").count(TAKEN) for site in (first, second)) >= 3

        eventually(has_ended_often, 120, interval=0.2, why="one of them is refused, and tries again")
        one_has = lambda: dropped <= first.items().keys() ^ second.items().keys()  # noqa: E731
        eventually(one_has, 120, interval=1, why="each is in one rTorrent")
        assert not first.items().keys() & second.items().keys()
        if case != "at one moment":
            assert not second.items()
            assert TAKEN not in first.group.log("fleet")
        assert second.group.states()["watcher"] == "RUNNING"


def test_a_group_takes_over_the_name_of_one_that_is_stopped(folder: Path, rtorrent_program: Program) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(NatsServer(folder / "nats")).url
        first, second = (make_site(folder, place, "one", url) for place in ("a", "b"))
        for site in (first, second):
            stack.callback(site.rtorrent.kill)
        stack.enter_context(first.group)
        eventually(lambda: first.drop("before") in first.items(), 60, interval=1, why="it has the name")
        stack.enter_context(second.group)
        waits = second.drop("waits")
        eventually(lambda: TAKEN in second.group.log("fleet"), 60, why="the second one is refused")
        assert waits not in second.items()
        first.group.stop()
        eventually(lambda: second.items().get(waits), 120, why="it has the name, and starts what waited")
