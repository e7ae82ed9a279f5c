"""Base of jobs that act on items: choice, order and limit; a failed item does not stop the remaining ones.

A run may take long: an item that was read a while ago is read again right before its turn, and left as it is if it does
not match any more.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pyrotorque.conditions import Condition, parse_sort
from pyrotorque.errors import ConditionError, PyrotorqueError, SessionNotKnown, UserError
from pyrotorque.events import Event
from pyrotorque.fields import field
from pyrotorque.items import Item
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.params import get_count, get_text
from pyrotorque.text import printable

_ERRORS_SHOWN = 5
_AT_ONCE: Final = 50  # items that are read again in one call


class ItemJob(Job):
    """`condition` (or pyrosimple's `matcher`) chooses items of `view`; `sort` orders them, `limit` bounds their number.

    An item that rTorrent restored without its load commands is left out until the watcher has loaded it again.
    For an event, only the event's item is processed, if it matches the condition.
    """

    needed: frozenset[str] = frozenset()
    """The fields that `run_item` reads."""
    fresh_for: float = 1.0
    """Seconds after which an item is read again before its turn; 0: always, for what cannot be undone."""
    scheduled_runs_continue = False
    """Whether runs without an event respect `after`: they only continue what runs for events began."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        text = get_text(config, "condition", "matcher")
        self.chosen: Condition | None = self.condition(text) if text else None
        if self.chosen is None and not config.get("on"):
            raise UserError(
                f"job.{self.name}.condition is not set: it must choose the items, for example is_complete=yes"
            )
        is_shipped = type(self).__module__.startswith("pyrotorque.jobs.")
        if is_shipped and config.get("after") and config.get("schedule") and not self.scheduled_runs_continue:
            raise UserError(
                f"job.{self.name}.after and job.{self.name}.schedule exclude each other:"
                " a scheduled run would not wait for the other job"
            )
        self.view = get_text(config, "view") or "main"
        sort = get_text(config, "sort", "sort_fields")
        self._order = parse_sort(sort) if sort else None
        self._limit = get_count(config, "limit")
        self._wanted: Condition | None = None
        self._known: dict[str, Item] = {}
        """The items before number `_known_until`, as they were at `_known_at` (monotonic seconds)."""
        self._known_until, self._known_at = 0, 0.0

    def run(self, event: Event | None = None) -> None:
        failed: list[str] = []
        items = self.due(event)
        self._known, self._known_until = {str(item["hash"]): item for item in items}, len(items)
        for number, item in enumerate(items):
            try:
                if (current := self._current(items, number)) is not None:
                    self.run_item(current)
            except SessionNotKnown:
                raise  # it holds for all other items, too
            except PyrotorqueError as error:
                failed.append(f"{printable(str(item['name']))}: {error}")
                self.log.error("%s", failed[-1])
        if failed:
            more = f" and {len(failed) - _ERRORS_SHOWN} more" if len(failed) > _ERRORS_SHOWN else ""
            raise UserError(f"{len(failed)} of the items failed: {'; '.join(failed[:_ERRORS_SHOWN])}{more}")

    def run_item(self, item: Item) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no run_item()")

    def due(self, event: Event | None) -> list[Item]:
        """The items of this run."""
        wanted = self.chosen
        if event is not None:
            info_hash = getattr(event, "info_hash", None)
            if info_hash is None:
                raise UserError(f"{type(event).__name__} is not about an item")
            this = self.condition(f"hash={info_hash}")
            wanted = this if wanted is None else this.also(wanted)
        self._wanted, self._known_at = wanted, time.monotonic()
        fields = {"name", *self.needed, *(self._order.fields if self._order else ())}
        items = self.items(wanted or "", fields, view=self.view)
        incomplete = self._incomplete(items, is_event=event is not None)
        ordered = self._order.sorted(items) if self._order else items
        return [item for item in ordered if item["hash"] not in incomplete][: self._limit or None]

    def _current(self, items: Sequence[Item], number: int) -> Item | None:
        """The item as it is now; None, and a line in the log, if it is gone or does not match any more."""
        if number >= self._known_until or time.monotonic() - self._known_at >= self.fresh_for:
            self._known_until = number + (_AT_ONCE if self.fresh_for else 1)
            self._known_at = time.monotonic()
            again = self._read_again([str(each["hash"]) for each in items[number : self._known_until]])
            self._known = {str(item["hash"]): item for item in again}
        current = self._known.get(str(items[number]["hash"]))
        if current is None:
            name = printable(str(items[number]["name"]))
            self.log.info("%s is left as it is: it is gone, or does not match any more", name)
        return current

    def _read_again(self, hashes: Sequence[str]) -> list[Item]:
        """Those of these items that still match; without a look at all others, where that is possible."""
        assert self._wanted is not None
        rows: list[tuple[str, ...]] = []

        def rows_of(commands: Sequence[str]) -> list[tuple[str, ...]]:
            rows.extend(self.rtorrent.rows_of(hashes, commands))
            return rows

        fields, found = {"name", *self.needed}, None
        if self.view == "main":
            found = self._reader.find_among(rows_of, self._wanted, fields, time.time(), table=self._table)
        if found is not None and len(rows) == len(hashes):
            return list(found)
        # Some are gone, or only a view or their files show whether they match.
        return self.items(self.condition(f"hash={','.join(hashes)}").also(self._wanted), fields, view=self.view)

    def _incomplete(self, items: Sequence[Item], *, is_event: bool) -> set[str]:
        state_dir = self._context.state_dir
        if not items or state_dir is None:
            return set()
        from pyrotorque.open_loads import OpenLoads  # SQLite takes memory, which idle workers do not need

        open_loads, hashes = OpenLoads.below(state_dir), [str(item["hash"]) for item in items]
        if is_event:
            open_loads.require_known(hashes[0])
        return open_loads.incomplete(hashes, self.rtorrent)

    def check_fields(self, names: Iterable[str]) -> frozenset[str]:
        """`names`, if all of them are fields of an item; raises ConditionError for the first that is not."""
        for name in names:
            if name not in self._table and field(name) is None:
                raise ConditionError(f"there is no field `{printable(name)}`; all fields are in docs/conditions.md")
        return frozenset(names)
