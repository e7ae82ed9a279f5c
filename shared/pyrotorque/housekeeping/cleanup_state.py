"""What a clean-up job keeps between its runs: since when conditions match, what it removed, and approved plans."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.housekeeping.plan import DAY, SpentRemoval
from pyrotorque.json_input import decode_json
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json

_FILE: Final = "cleanup"
_APPROVAL: Final = "approval"
_ACCEPTED: Final = "accepted-items"
_APPROVED_FOR: Final = 30 * DAY
_PAUSE: Final = 3600.0
_PAUSE_MAX: Final = DAY


class StoredRemoval(msgspec.Struct, frozen=True, array_like=True):
    """A removal that counts for the limits of a day."""

    at: float
    info_hash: str
    tracker: str
    size: int


class PlanOfItems(msgspec.Struct, frozen=True):
    """The effects of a plan by info-hash, and when it was made or approved."""

    plan: str
    at: float
    effects: dict[str, str] = {}


class FailedRemoval(msgspec.Struct, frozen=True, array_like=True):
    """An item that was stopped to be removed, and started again: how often in a row, when last, and why."""

    times: int
    at: float
    text: str

    def pause(self, now: float) -> float:
        """Seconds until the next try: the first one is in the next run, each further pause is twice as long."""
        doubled = min(_PAUSE_MAX, _PAUSE * 2.0 ** min(self.times - 2, 10)) if self.times > 1 else 0.0
        return max(0.0, doubled - max(0.0, now - self.at))


class CleanupState(msgspec.Struct, frozen=True):
    """All of it."""

    failed: dict[str, FailedRemoval] = {}

    matched: dict[str, float] = {}
    spent: tuple[StoredRemoval, ...] = ()
    pending: PlanOfItems | None = None
    approved: PlanOfItems | None = None

    def spent_since(self, now: float) -> list[SpentRemoval]:
        """The removals of the last 24 hours; those in the future, from before the clock was set back, count."""
        return [
            SpentRemoval(each.at, each.info_hash, each.tracker, each.size) for each in self.spent if each.at > now - DAY
        ]

    def approved_effects(self, now: float) -> Mapping[str, str]:
        """What the owner approved, by info-hash: other settings or other files have another effect."""
        approved = self.approved
        is_valid = approved is not None and now - approved.at < _APPROVED_FOR
        return approved.effects if approved is not None and is_valid else {}


class StoredCleanup:
    """The state of one job in its private folder; raises StateError if it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _FILE
        self.state = CleanupState()
        with suppress(FileNotFoundError):
            self.state = decode_json(read_regular_file(self._path, limit=RECORDS_MAX), type=CleanupState)
        self._apply_approval()

    def update(self, **changes: object) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        write_atomically(self._path, encode_json(self.state))

    def spend(self, at: float, info_hash: str, tracker: str, size: int) -> None:
        """Record a removal, once, before its item is erased: a run that is repeated after a kill starts no new day.

        Its approval is used up: if the owner restores the item, it is not removed again by the same approval.
        """
        known = tuple(each for each in self.state.spent if each.at > at - DAY)
        if not any((each.at, each.info_hash) == (at, info_hash) for each in known):
            spent = (*known, StoredRemoval(at, info_hash, tracker, size))
            self.update(spent=spent, approved=_without(self.state.approved, info_hash))

    def add_failure(self, info_hash: str, now: float, text: str) -> None:
        """The item was stopped and started again for nothing: its tracker is not bothered with that at each run."""
        known = self.state.failed.get(info_hash)
        failure = FailedRemoval(known.times + 1 if known else 1, now, text)
        self.update(failed={**self.state.failed, info_hash: failure})

    def _apply_approval(self) -> None:
        """Take over the plan that `pyrotorque cleanup --approve` named."""
        with suppress(FileNotFoundError, msgspec.DecodeError):
            approval = decode_json(read_regular_file(self._folder / _APPROVAL, limit=RECORDS_MAX), type=PlanOfItems)
            known = self.state.approved
            if known is None or (known.plan, known.at) != (approval.plan, approval.at):
                pending = self.state.pending
                waits = pending is not None and pending.plan != approval.plan
                self.state = msgspec.structs.replace(self.state, approved=approval, pending=pending if waits else None)

    def approve(self, now: float, plan: PlanOfItems | None = None) -> None:
        """Approve the pending plan, or this one."""
        if chosen := plan or self.state.pending:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            write_atomically(self._folder / _APPROVAL, encode_json(msgspec.structs.replace(chosen, at=now)))


def _without(approved: PlanOfItems | None, info_hash: str) -> PlanOfItems | None:
    if approved is None or info_hash not in approved.effects:
        return approved
    left = {each: effect for each, effect in approved.effects.items() if each != info_hash}
    return msgspec.structs.replace(approved, effects=left)


def accept_items(folder: Path, count: int, now: float) -> None:
    """The owner confirms that there are only so many items, at `now` of the own clock."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    write_atomically(folder / _ACCEPTED, f"{count} {now}".encode())


def take_accepted(folder: Path, now: float) -> int | None:
    """How many items the owner has confirmed within a day; None if he has not.

    It is for the next run only, whether that needs it or not: a later list that is short may be another one.
    """
    path = folder / _ACCEPTED
    try:
        count, at = read_regular_file(path).split()
        accepted, age = int(count), now - float(at)
    except (OSError, ValueError):
        return None
    finally:
        path.unlink(missing_ok=True)
    return accepted if age < DAY else None


def is_short(before: int, now: int) -> bool:
    """Whether a list of items is shorter by a tenth than at the last time: part of it may be missing."""
    return before > 0 and (now == 0 or now * 10 <= before * 9)
