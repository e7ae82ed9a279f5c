"""Reports a queue whose slots all stand still while others wait, and that it moves again."""

from typing import Final

from pyrotorque.events import QueueResumed, QueueStalled
from pyrotorque.humanize import duration
from pyrotorque_scheduler.open_problems import OpenProblems
from pyrotorque_scheduler.queue.check import Queue
from pyrotorque_scheduler.queue.check_result import CheckResult
from pyrotorque_scheduler.queue.model import Instant

KIND: Final = "queue stalled"
_ASK_EVERY: Final = 300.0
"""Seconds between two readings of what waits: the items of a full queue are not read otherwise."""


class StallReports:
    """After each check of a queue; durations are those of the clock that stands still while the machine sleeps."""

    def __init__(self, problems: OpenProblems) -> None:
        self._problems = problems
        self._asked: dict[str, float] = {}

    def checked(self, queue: Queue, result: CheckResult, now: Instant) -> None:
        """Raises RTorrentError."""
        limit, began = queue.rules.settings.stall_report, self._problems.began(KIND, queue.name)
        if began is not None:
            if result.started or queue.rotation.moves_since(began, now):
                self._resumed(queue, began, now)
            return
        seconds = queue.rotation.stalled_for(now)
        if limit <= 0 or seconds < limit or now.awake - self._asked.get(queue.name, float("-inf")) < _ASK_EVERY:
            return
        self._asked[queue.name] = now.awake
        if not queue.items.startable(now.wall):
            return
        slots = queue.rules.limits.downloading_max
        event = QueueStalled(at=now.wall, job=queue.name, slots=slots, seconds=seconds)
        text = (
            f"{queue.name}: all {slots} slots stand still for {duration(seconds)} while others wait; "
            f"`pyrotorque explain` lists them"
        )
        self._problems.begin(KIND, queue.name, now.wall, event, "queue stalled", text)

    def _resumed(self, queue: Queue, began: float, now: Instant) -> None:
        seconds = max(0.0, now.wall - began)
        event = QueueResumed(at=now.wall, job=queue.name, seconds=seconds)
        text = f"{queue.name}: the queue moves again after {duration(seconds)}"
        self._problems.end(KIND, queue.name, event, "queue resumed", text)
