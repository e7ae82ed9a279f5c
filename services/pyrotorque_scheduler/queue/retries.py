"""Which parked items are tried again: those whose time has come, in an order in which none keeps the others waiting."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyrotorque.conditions import parse
from pyrotorque.items import Item
from pyrotorque_scheduler.queue.parked_items import ParkedItem
from pyrotorque_scheduler.queue.queue_items import QueueItems
from pyrotorque_scheduler.queue.rules import DISK_FIELDS, QueueRules

# Items that `startable` does not match are skipped; so many more than needed are read in one check.
_SKIPPED_MAX: Final = 5


class Retries:
    """Those of one queue; what was postponed is in memory only."""

    def __init__(self, rules: QueueRules, items: QueueItems) -> None:
        self._rules = rules
        self._items = items
        self._postponed: dict[str, int] = {}
        self._last = 0

    def due(self, rows: Mapping[str, ParkedItem], count: int, now: float) -> list[Item]:
        """At most `count` items whose time has come, those that wait for longest first.

        What `startable` says about the part that is done and about the message does not count. What it does not match,
        and what was postponed, comes after all others.
        """
        self._postponed = {h: number for h, number in self._postponed.items() if h in rows}
        due = sorted(
            (self._postponed.get(h, 0), row.retry_at, h)
            for h, row in rows.items()
            if row.is_parked and row.retry_at <= now
        )
        rules = self._rules
        fields = {*rules.fields, *rules.startable.fields, *DISK_FIELDS, "is_started"}
        group = {rules.groups.field} if rules.groups.field else set[str]()
        found: list[Item] = []
        for *_, info_hash in due[: count + _SKIPPED_MAX]:
            if len(found) == count:
                break
            items = self._items.read(parse(f"hash={info_hash}"), fields | group, now)
            if items and rules.startable.matches(_as_before(items[0], rules), now):
                found.append(items[0])
            else:
                self.postpone([info_hash])
        return found

    def postpone(self, hashes: Iterable[str]) -> None:
        """These parked items cannot start now although slots are free: the next check tries others first."""
        for info_hash in hashes:
            self._last += 1
            self._postponed[info_hash] = self._last


def _as_before(item: Item, rules: QueueRules) -> dict[str, Any]:
    values = {name: item[name] for name in rules.startable.fields}
    return values | {"done": 0.0, "message": ""}
