"""What one check reads from rTorrent: the items that take slots and those that may start, with their groups."""

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

from pyrotorque.conditions import Condition, parse
from pyrotorque.customfields import worker_of
from pyrotorque.fields import field
from pyrotorque.items import Item, ItemReader, LazyItems
from pyrotorque.open_loads import MARK_FIELD
from pyrotorque.rtorrent import RTorrent
from pyrotorque_scheduler.queue.groups import group_key
from pyrotorque_scheduler.queue.rules import QueueRules
from pyrotorque_scheduler.queue.starter import BY_HAND, Starter

# Trackers of an item may change, but reading those of thousands takes a second.
_GROUPS_KEPT_FOR: Final = 3600.0
_PRIORITY: Final = "prio"
_WHOLE: Final = "main"
_COUNTED_FIELDS: Final = ("hash",)
_RUNNING_FIELDS: Final = ("hash", "name", "prio", "is_ignored", "d_bytes_done", "d_left_bytes", "d_state_changed")


class QueueItems:
    """Reads the items of one queue job; `now` is Unix seconds."""

    def __init__(self, rules: QueueRules, rtorrent: RTorrent, starter: Starter) -> None:
        self.reader = ItemReader(rtorrent, worker_of(rules.table))
        self._rules = rules
        self._rtorrent = rtorrent
        self._starter = starter
        name = rules.groups.field
        found = rules.table.get(name) or field(name) if name else None
        self._is_costly = found is not None and found.costly
        self._groups: dict[str, str] = {}
        self._groups_read_at = float("-inf")
        self._read_ahead: tuple[float, LazyItems] | None = None

    def read(self, condition: Condition | None, fields: Collection[str], now: float) -> list[Item]:
        """Items of the job's view."""
        return self.reader.read(self._rules.settings.view, condition, fields, now, table=self._rules.table)

    def running(
        self, now: float, *, read_ahead: bool = False, only_counted: bool = False, new: Sequence[str] = ()
    ) -> list[Item]:
        """The items that take slots, also while rTorrent checks their data; `only_counted` without their progress.

        With `read_ahead`, the startable items are requested meanwhile, for the next call of `startable`: after an
        event, which is usually a new item, if a slot was free. Only those among `new` (info-hashes), if there are any.
        """
        meanwhile = partial(self._read_startable_ahead, now, new) if read_ahead else None
        # In this order, an item that becomes active between the two calls is counted twice, but never missed.
        checking = self._taking_slots(self._starter.hash_checking(), now)
        fields = _COUNTED_FIELDS if only_counted else self._running_fields
        running = [*checking, *self._downloading(fields, now, meanwhile)]
        missing = self._starter.started_items.of(self._rules.name).difference(str(item["hash"]) for item in running)
        if missing:
            running += self._taking_slots(self._starter.started_items.running(sorted(missing)), now)
        return running

    def untouchable(self, running: Sequence[Item], now: float) -> set[str]:
        """The items that no queue closes: started with `pyrotorque start`, or those of other jobs among `running`."""
        return self._starter.started_items.of(BY_HAND) | self._reserved(running, now)

    def is_reserved(self, info_hash: str, now: float) -> bool:
        """Whether the item is that of another job, which no queue starts."""
        fields = set[str]().union(*(condition.fields for condition in self._rules.reserved))
        items = self.read(parse(f"hash={info_hash}"), fields, now) if self._rules.reserved else []
        return bool(self._reserved(items, now))

    def _reserved(self, items: Sequence[Item], now: float) -> set[str]:
        found = set[str]()
        for condition in self._rules.reserved if items else ():
            found |= {str(item["hash"]) for item in condition.select(items, now)}
        return found

    def started_by_us(self) -> set[str]:
        """The items that any queue or its owner started through us, also those whose start is not complete yet."""
        return self._starter.started_items.all() | self._starter.unfinished()

    def downloading(self, now: float) -> LazyItems:
        """The active items that take slots."""
        return self._downloading(self._running_fields, now)

    def _downloading(
        self, fields: Collection[str], now: float, meanwhile: Callable[[], None] | None = None
    ) -> LazyItems:
        return self._find(self._rules.downloading, fields, now, any_order=True, meanwhile=meanwhile)

    def _taking_slots(self, hashes: Sequence[str], now: float) -> list[Item]:
        """Those of these items that take a slot as soon as they are active."""
        if not hashes:
            return []
        condition = self._rules.downloading
        names = condition.fields
        items = self.read(parse(f"hash={','.join(hashes)}"), {*names, *self._running_fields}, now)
        return [
            item for item in items if condition.matches({name: item[name] for name in names} | {"is_active": True}, now)
        ]

    def startable(self, now: float) -> LazyItems:
        """The startable items in the order in which they are started."""
        ahead, self._read_ahead = self._read_ahead, None
        return ahead[1] if ahead is not None and ahead[0] == now else self._read_startable(now)

    def may_look_at_new(self) -> bool:
        """Whether the startable ones among a few items are found without a look at all others."""
        return self._rules.settings.view == _WHOLE and not self._rules.groups.field

    def _read_startable_ahead(self, now: float, new: Sequence[str]) -> None:
        self._read_ahead = None
        found = self._startable_among(new, now) if new else None
        self._read_ahead = (now, self._read_startable(now) if found is None else found)

    def _startable_among(self, hashes: Sequence[str], now: float) -> LazyItems | None:
        rules = self._rules
        rows_of = partial(self._rtorrent.rows_of, hashes)
        # With the mark, the start needs no look into the ledger; in a look at thousands it would cost more than that.
        fields = {*rules.fields, MARK_FIELD}
        found = self.reader.find_among(rows_of, rules.startable, fields, now, table=rules.table)
        return found.sorted(rules.order) if found is not None and rules.order else found

    def _read_startable(self, now: float) -> LazyItems:
        rules, order = self._rules, self._rules.order
        # Without a total order, the order of the view decides between equal items.
        any_order = order is not None and not order.fields.isdisjoint(("name", "hash"))
        found = self._find(rules.startable, {*rules.fields, *self._group_fields}, now, any_order=any_order)
        return found.sorted(order) if order else found

    def ordered(self, items: list[Item]) -> list[Item]:
        return self._rules.order.sorted(items) if self._rules.order else items

    def groups(self, items: Sequence[Item]) -> list[str]:
        """The group of each item."""
        name = self._rules.groups.field
        if not name:
            return [""] * len(items)
        if not self._is_costly:
            values = _values(items, name)
            keys = {value: group_key(value) for value in dict.fromkeys(values)}
            return [keys[value] for value in values]
        if not 0 <= time.monotonic() - self._groups_read_at < _GROUPS_KEPT_FOR:
            self._groups.clear()
            self._groups_read_at = time.monotonic()
        hashes = _values(items, "hash")
        found = list(map(self._groups.get, hashes))
        if None not in found:
            return [group for group in found if group is not None]
        self._read_groups([items[place] for place, group in enumerate(found) if group is None])
        return [self._groups.get(each, "") for each in hashes]

    def is_in_group(self, item: Item, group: str) -> bool:
        """Whether the item still is in this group; read now if it may have changed since."""
        if self._is_costly:
            self._read_groups([item])
        return not self._is_costly or self._groups.get(str(item["hash"])) == group

    def ranks(self, items: Sequence[Item]) -> list[int]:
        """The place of each item by priority, if the queue is sorted by it first: 0 for the first, then 1, ..."""
        order = self._rules.order
        if order is None or order.keys[0][0] != _PRIORITY or not self._rules.groups.field:
            return [0] * len(items)
        priorities = _values(items, _PRIORITY)
        places = {priority: place for place, priority in enumerate(dict.fromkeys(priorities))}
        return list(map(places.__getitem__, priorities))

    @property
    def _running_fields(self) -> set[str]:
        return {*_RUNNING_FIELDS, *self._group_fields}.union(*(each.fields for each in self._rules.reserved))

    @property
    def _group_fields(self) -> tuple[str, ...]:
        return (self._rules.groups.field,) if self._rules.groups.field else ()

    def _find(
        self,
        condition: Condition,
        fields: Collection[str],
        now: float,
        *,
        any_order: bool,
        meanwhile: Callable[[], None] | None = None,
    ) -> LazyItems:
        view, table = self._rules.settings.view, self._rules.table
        deferred = self._group_fields if self._is_costly else ()
        return self.reader.find(
            view, condition, fields, now, table=table, any_order=any_order, deferred=deferred, meanwhile=meanwhile
        )

    def _read_groups(self, items: Sequence[Item]) -> None:
        name, rules = self._rules.groups.field, self._rules
        for item in self.reader.fetch(items, (name,), rules.settings.view, table=rules.table):
            self._groups[str(item["hash"])] = group_key(item[name])


def _values(items: Sequence[Item], name: str) -> Sequence[Any]:
    return items.values(name) if isinstance(items, LazyItems) else [item[name] for item in items]
