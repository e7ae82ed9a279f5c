"""What jobs about items share: which items, in which order, and one that fails does not keep the others waiting."""

from collections.abc import Iterable, Mapping
from typing import Any

from pyrotorque.conditions import Condition, parse_sort
from pyrotorque.errors import ConditionError, PyrotorqueError, UserError
from pyrotorque.events import Event
from pyrotorque.fields import field
from pyrotorque.items import Item
from pyrotorque.jobs.base import Job
from pyrotorque.jobs.params import text_of, whole_of
from pyrotorque.text import printable

_TOLD_MAX = 5


class ItemJob(Job):
    """`condition` (or pyrosimple's `matcher`) chooses the items of `view`; `sort` orders, `limit` bounds them.

    For an event only the item of the event is taken, where it meets the condition.
    """

    needed: frozenset[str] = frozenset()
    """The fields that `run_item` reads."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        text = text_of(config, "condition", "matcher")
        self.chosen: Condition | None = self.condition(text) if text else None
        if self.chosen is None and not config.get("on"):
            raise UserError(
                f"job.{self.name}.condition is not set: say which items are meant, for example is_complete=yes"
            )
        self.view = text_of(config, "view") or "main"
        sort = text_of(config, "sort", "sort_fields")
        self._order = parse_sort(sort) if sort else None
        self._limit = whole_of(config, "limit")

    def run(self, event: Event | None = None) -> None:
        failed: list[str] = []
        for item in self.due(event):
            try:
                self.run_item(item)
            except PyrotorqueError as error:
                failed.append(f"{printable(str(item['name']))}: {error}")
                self.log.error("%s", failed[-1])
        if failed:
            more = f" and {len(failed) - _TOLD_MAX} more" if len(failed) > _TOLD_MAX else ""
            raise UserError(f"{len(failed)} of its items failed: {'; '.join(failed[:_TOLD_MAX])}{more}")

    def run_item(self, item: Item) -> None:
        raise NotImplementedError(f"{type(self).__name__} does nothing with an item")

    def due(self, event: Event | None) -> list[Item]:
        """The items of this run."""
        wanted = self.chosen
        if event is not None:
            info_hash = getattr(event, "info_hash", None)
            if info_hash is None:
                raise UserError(f"{type(event).__name__} tells of no item")
            this = self.condition(f"hash={info_hash}")
            wanted = this if wanted is None else this.also(wanted)
        fields = {"name", *self.needed, *(self._order.fields if self._order else ())}
        items = self.items(wanted or "", fields, view=self.view)
        ordered = self._order.sorted(items) if self._order else items
        return list(ordered)[: self._limit or None]

    def check_fields(self, names: Iterable[str]) -> frozenset[str]:
        """Those names, when all of them are fields of an item; ConditionError for the first that is none."""
        for name in names:
            if name not in self._table and field(name) is None:
                raise ConditionError(f"there is no field `{printable(name)}`; all fields are in docs/conditions.md")
        return frozenset(names)
