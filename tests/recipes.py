"""Recipes of the docs, executed: their texts with amounts that a test can reach, and what a queue does under them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from demo.private_rtorrent import PrivateRTorrent
from tests.scheduling import QueueScene, midnight, since_begin
from tests.waiting import eventually


def reachable(text: str, amounts: Mapping[str, str]) -> str:
    """A recipe with other amounts in place of those on the page."""
    for old, new in amounts.items():
        assert old in text
        text = text.replace(old, new)
    return text


def untried(recipes: Iterable[str], file: str) -> list[str]:
    """The recipes that a file of tests does not name."""
    source = Path(file).read_text(encoding="utf-8")
    return [name for name in recipes if f'"{name}"' not in source]


def rounds(d: QueueScene, until: int) -> None:
    """All queues look at each fire time of `second=*/15`."""
    for at in range(0, until, 15):
        for job in d.job_table.queues:
            d.check(at=at, job=job)


def starts(d: QueueScene, until: int) -> dict[int, int]:
    """After how many seconds how many items start, looked at each five."""
    return {at: count for at in range(0, until, 5) if (count := d.check(at=at).started)}


def starts_by_hour(d: QueueScene, *hours: float) -> dict[float, int]:
    """How many items start at these hours of the next day."""
    clock = midnight()
    return {hour: d.check(at=clock + hour * 3600).started for hour in hours}


def order_of_starts(d: QueueScene, until: int) -> list[str]:
    """Who is started, one after the other, at the fire times of `second=*/15`."""
    order: list[str] = []
    for at in range(0, until, 15):
        d.check(at=at)
        order += d.running() - set(order)
    return order


def free_but_900_mb(real: PrivateRTorrent) -> str:
    """So many bytes must stay free; others of this machine may use some of the rest meanwhile."""
    space = os.statvfs(real.downloads)
    return str(space.f_bavail * space.f_frsize - 900_000_000)


def prove_that_a_stalled_item_takes_a_slot_for_two_minutes(d: QueueScene) -> None:
    item = d.load("stalled")
    d.check(at=0)
    eventually(lambda: d.rtorrent.call("d.is_active", item) == 1)
    d.rtorrent.call("d.custom.set", item, "tm_started", str(int(since_begin(30))))
    assert len(d.queue.items.downloading(since_begin(60))) == 1
    assert len(d.queue.items.downloading(since_begin(151))) == 0
    d.rtorrent.call("d.priority.set", item, 1)
    assert len(d.queue.items.downloading(since_begin(60))) == 0
