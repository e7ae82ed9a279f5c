"""Base of jobs that act on items: choice, order and limit; a failed item does not stop the remaining ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyrotorque.conditions import Condition, parse_sort
from pyrotorque.errors import ConditionError, PyrotorqueError, SessionNotKnown, UserError
from pyrotorque.events import Event
from pyrotorque.fields import field
from pyrotorque.items import Item
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.params import get_count, get_text
from pyrotorque.text import printable

_ERRORS_SHOWN = 5


class ItemJob(Job):
    """`condition` (or pyrosimple's `matcher`) chooses items of `view`; `sort` orders them, `limit` bounds their number.

    An item that rTorrent restored without its load commands is left out until the watcher has loaded it again.
    For an event, only the event's item is processed, if it matches the condition.
    """

    needed: frozenset[str] = frozenset()
    """The fields that `run_item` reads."""
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

    def run(self, event: Event | None = None) -> None:
        failed: list[str] = []
        for item in self.due(event):
            try:
                self.run_item(item)
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
        fields = {"name", *self.needed, *(self._order.fields if self._order else ())}
        items = self.items(wanted or "", fields, view=self.view)
        incomplete = self._incomplete(items)
        ordered = self._order.sorted(items) if self._order else items
        return [item for item in ordered if item["hash"] not in incomplete][: self._limit or None]

    def _incomplete(self, items: Sequence[Item]) -> set[str]:
        state_dir = self._context.state_dir
        if not items or state_dir is None:
            return set()
        from pyrotorque.open_loads import OpenLoads  # SQLite takes memory, which idle workers do not need

        return OpenLoads.below(state_dir).incomplete([str(item["hash"]) for item in items], self.rtorrent)

    def check_fields(self, names: Iterable[str]) -> frozenset[str]:
        """`names`, if all of them are fields of an item; raises ConditionError for the first that is not."""
        for name in names:
            if name not in self._table and field(name) is None:
                raise ConditionError(f"there is no field `{printable(name)}`; all fields are in docs/conditions.md")
        return frozenset(names)
