"""A batch of starts while it grows: who is next, who is passed over and why, and when it is full."""

from collections.abc import Mapping
from typing import Final

from pyrotorque_scheduler.decisions import Candidate, Decision, Failure, Hold, Start

# An item that does not start costs a call: a queue full of them must not hang the loop.
FAILURES_MAX: Final = 10


class Disks:
    """What is promised of each disk: what running items still need, and those chosen in this very check."""

    def __init__(self, promised: Mapping[int, int], min_free: int) -> None:
        self._promised = dict(promised)
        self._min_free = min_free

    def refusal(self, item: Candidate) -> Hold | None:
        if item.free is None:
            return None
        left = item.free - self._promised.get(item.disk, 0) - item.need
        if left >= self._min_free:
            return None
        text = f"would leave {left} bytes free after what runs already, min_free is {self._min_free}"
        return Hold("disk", text, info_hash=item.info_hash, name=item.name)

    def promise(self, item: Candidate) -> None:
        self._promised[item.disk] = self._promised.get(item.disk, 0) + item.need


class Batch:
    """Takes candidates in their order; one that is held, or fails, uses no slot and does not block those behind it."""

    def __init__(self, count: int, disks: Disks, failures: Mapping[str, Failure], now: float) -> None:
        self.started = 0
        self._count = count
        self._disks = disks
        self._failures = failures
        self._now = now
        self._failed = 0
        self._held: Hold | None = None

    def decide(self, item: Candidate) -> Decision:
        """Start this item or hold it; a hold with the reason `batch_full` ends the batch."""
        decision = self._full(item) or _failed_before(item, self._failures, self._now) or self._disks.refusal(item)
        if decision is None:
            return Start(item.info_hash, item.name, f"{self.started + 1} of {self._count} that may be started now")
        self._held = self._held or decision
        return decision

    def succeeded(self, item: Candidate) -> None:
        """It was started: others have its slot and its room no more."""
        self.started += 1
        self._disks.promise(item)

    def failed(self) -> None:
        self._failed += 1

    def why_no_more(self) -> Hold:
        """Why the batch is not larger."""
        if self._held is not None:
            return self._held
        if self.started:
            return Hold("nothing_startable", "no other item is startable")
        if self._failed:
            return Hold("failed_before", "none of the startable items did start")
        return Hold("nothing_startable", "no item is startable")

    def _full(self, item: Candidate) -> Hold | None:
        if self.started >= self._count:
            text = f"{self._count} may be started now, this one is next"
            return Hold("batch_full", text, info_hash=item.info_hash, name=item.name)
        if self._failed >= FAILURES_MAX:
            text = f"{self._failed} items did not start, this one is tried at the next check"
            return Hold("batch_full", text, info_hash=item.info_hash, name=item.name)
        return None


def _failed_before(item: Candidate, failures: Mapping[str, Failure], now: float) -> Hold | None:
    failure = failures.get(item.info_hash)
    if failure is None or failure.until <= now:
        return None
    text = f"did not start ({failure.text}), tried again in {failure.until - now:.0f} s"
    return Hold("failed_before", text, failure.until, item.info_hash, item.name)
