"""Counts for each item how long it has been seeding, and since when it has not transferred anything.

rTorrent has neither: its own times are lost, or begin again, with a restart. Only what two readings prove is counted.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pyrotorque.fields.field import Field
from pyrotorque.fields.table import FIELDS
from pyrotorque.housekeeping.own_clock import OwnClock
from pyrotorque.json_input import decode_json
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.options import write_atomically

if TYPE_CHECKING:
    from pyrotorque.housekeeping.inventory import LiveItem

FILE: Final = "activity.json"


class ItemActivity(msgspec.Struct, frozen=True, array_like=True):
    """`seeded` counts seconds; `transferred_at` is when data was last transferred, or `since`, the first reading."""

    since: float
    seeded: float
    transferred_at: float
    uploaded: int
    done: int
    loaded: float
    seeding: bool


class Activity(msgspec.Struct, frozen=True):
    """All items at the last reading, at `at` of the own clock, of the rTorrent with this incarnation."""

    at: float = 0.0
    incarnation: str = ""
    items: dict[str, ItemActivity] = {}
    removed: int = 0
    """How many items clean-up jobs have removed: a list that is shorter by these is complete."""

    def seeded(self, info_hash: str) -> float | None:
        """Seconds for which the item was seeding, as far as that was counted."""
        found = self.items.get(info_hash)
        return found.seeded if found else None

    def idle(self, info_hash: str) -> float | None:
        """Seconds since the item transferred anything; None before the second reading."""
        found = self.items.get(info_hash)
        return self.at - found.transferred_at if found and found.since < self.at else None


def sampled(
    before: Activity, items: "Mapping[str, LiveItem]", incarnation: str, now: float, wall: float | None = None
) -> Activity:
    """The activity after a reading at `now` of the own clock; `wall` is the system's, as rTorrent has it."""
    is_same = incarnation == before.incarnation
    wall = now if wall is None else wall
    return Activity(
        now,
        incarnation,
        {
            info_hash: _after(_same_item(before.items.get(info_hash), item, is_same), item, before.at, now, wall)
            for info_hash, item in items.items()
        },
        before.removed,
    )


def _same_item(known: ItemActivity | None, item: "LiveItem", is_same_process: bool) -> ItemActivity | None:
    """What is known of the item, unless it was erased and loaded again."""
    if known is None or not is_same_process:
        return known
    return known if item.loaded == known.loaded and item.uploaded >= known.uploaded else None


def _after(known: ItemActivity | None, item: "LiveItem", last: float, now: float, wall: float) -> ItemActivity:
    is_seeding = item.active and item.complete and not item.hashing
    if known is None:
        return ItemActivity(now, 0.0, now, item.uploaded, item.done, item.loaded, is_seeding)
    seeded, transferred_at = known.seeded, known.transferred_at
    if is_seeding and known.seeding:
        # Active now, and not stopped since `changed`: it was active all the time from then on.
        seeded += max(0.0, min(now - last, wall - item.changed))
    # Fewer bytes done: it was closed, or a chunk was damaged. That is a new baseline, and no transfer.
    if item.uploaded != known.uploaded or item.done > known.done:
        transferred_at = now
    return ItemActivity(
        known.since, seeded, min(transferred_at, now), item.uploaded, item.done, item.loaded, is_seeding
    )


def read_activity(folder: Path) -> Activity:
    """What is stored in the folder; empty if there is nothing, or nothing readable: then counting begins again."""
    try:
        return decode_json(read_regular_file(folder / FILE, limit=RECORDS_MAX), type=Activity)
    except (OSError, msgspec.DecodeError):
        return Activity()


def write_activity(folder: Path, activity: Activity) -> None:
    """Store it. Raises StateError."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    write_atomically(folder / FILE, msgspec.json.encode(activity))


def activity_fields(folder: Path) -> dict[str, Field]:
    """The fields `seeded` and `idle` with the values stored in the folder, which is read when one is first used."""
    stored: list[Activity] = []
    clock = OwnClock(folder)

    def value(name: str, info_hash: str) -> float | None:
        if not stored:
            stored.append(read_activity(folder))
        found = stored[0].items.get(info_hash)
        if found is None:
            return None
        if name == "seeded":
            return found.seeded
        return clock.now() - found.transferred_at if found.since < stored[0].at else None

    return {
        name: replace(FIELDS[name], commands=("d.hash=",), convert=partial(value, name), local=True)
        for name in ("seeded", "idle")
    }
