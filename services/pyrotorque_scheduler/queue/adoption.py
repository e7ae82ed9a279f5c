"""`adopt`: items that others started above the limit of a queue are closed, and wait in the queue."""

from collections.abc import Collection, Iterable, Sequence

from pyrotorque.conditions import parse
from pyrotorque.logs import job_logger
from pyrotorque.text import printable
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.groups import GroupRoom
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.queue.parked_items import ParkedItem
from pyrotorque_scheduler.queue.parking import Parking
from pyrotorque_scheduler.queue.queue_items import QueueItems
from pyrotorque_scheduler.queue.rules import QueueRules
from pyrotorque_scheduler.queue.stall import HIGH_PRIORITY, RunningItem
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord


def surplus(
    items: Iterable[RunningItem], kept: Collection[str], downloading: int, slots: int, room: GroupRoom
) -> list[RunningItem]:
    """The items above the limits, those that were started last first; never one of `kept`, forced or ignored.

    `downloading` items take the slots of the queue, and as in `room` those of the groups.
    """
    room = room.copy()
    chosen: list[RunningItem] = []
    for item in sorted(items, key=lambda item: (-item.started, item.info_hash)):
        if item.info_hash in kept or item.forced or item.priority >= HIGH_PRIORITY or item.ignored:
            continue
        if downloading - len(chosen) > slots or room.is_over(item.group):
            chosen.append(item)
            room.stop(item.group)
    return chosen


class Adoption:
    """Adopts for one queue; what its owner starts again stays running."""

    def __init__(
        self,
        rules: QueueRules,
        items: QueueItems,
        parking: Parking,
        history: DecisionHistory,
        metrics: SchedulerMetrics,
    ) -> None:
        self._rules = rules
        self._items = items
        self._parking = parking
        self._history = history
        self._metrics = metrics
        self._log = job_logger(rules.name)

    def adopt(
        self, running: Sequence[RunningItem], kept: Collection[str], room: GroupRoom, now: Instant
    ) -> list[ParkedItem]:
        """Close the surplus items that match `adopt`, except those in `kept`; returns their rows."""
        # Below `downloading_min`, the queue would start them again at once.
        slots = max(self._rules.limits.downloading_max, self._rules.limits.downloading_min)
        if self._rules.adopt is None or not surplus(running, kept, len(running), slots, room):
            return []
        able = [item for item in running if item.info_hash not in kept]
        matching = self._matching([item.info_hash for item in able], now.wall)
        able = [item for item in able if item.info_hash in matching]
        chosen = surplus(able, kept, len(running), slots, room)
        return [row for item in chosen if (row := self._close(item, now)) is not None]

    def _matching(self, hashes: Sequence[str], now: float) -> set[str]:
        assert self._rules.adopt is not None
        condition = parse(f"hash={','.join(hashes)}").also(self._rules.adopt)
        return {str(item["hash"]) for item in self._items.read(condition, {"hash"}, now)}

    def _close(self, item: RunningItem, now: Instant) -> ParkedItem | None:
        name, job = printable(item.name), self._rules.name
        if self._rules.settings.dry_run:
            self._log.info("WOULD close %s (%s): it was started by others above the limit", name, item.info_hash)
            return None
        row = self._parking.close(ParkedItem(item.info_hash, job, item.name, 0, item.bytes_done, now.wall, now.wall))
        if row is not None:
            text = "started by others above the limit: closed, waits in the queue"
            record = DecisionRecord(
                at=now.wall, job=job, verdict="adopted", text=text, info_hash=item.info_hash, name=name
            )
            self._history.record(record)
            self._metrics.adopted.inc(job)
            self._log.info("%s (%s): %s", name, item.info_hash, text)
        return row
