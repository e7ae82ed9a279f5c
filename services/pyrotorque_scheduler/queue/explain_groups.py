"""The groups of a queue for `explain`: slots taken, limit, and items that wait."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pyrotorque.items import Item
from pyrotorque_scheduler.queue.check import Queue
from pyrotorque_scheduler.queue.explain_text import clipped
from pyrotorque_scheduler.queue.groups import GroupLimits

_SHOWN: Final = 20


def explain_groups(queue: Queue, running: Sequence[Item], startable: Sequence[Item]) -> list[dict[str, Any]]:
    """Each group that has items or a limit of its own, those with most items first."""
    limits = queue.rules.groups
    if not limits.field:
        return []
    taken, waiting = Counter(queue.items.groups(running)), Counter(queue.items.groups(startable))
    names = sorted({*taken, *waiting, *limits.by_name}, key=lambda name: (-taken[name] - waiting[name], name))
    return [
        {
            "group": clipped(name),
            "downloading": taken[name],
            "group_max": limits.of(name) or None,
            "startable": waiting[name],
        }
        for name in names
    ]


def group_lines(limits: GroupLimits, groups: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not groups:
        return
    yield f"  groups by {limits.field}"
    for group in groups[:_SHOWN]:
        slots = f"{group['downloading']} of {group['group_max']}" if group["group_max"] else f"{group['downloading']}"
        is_full = group["group_max"] and group["downloading"] >= group["group_max"]
        full = ": full" if is_full and group["startable"] else ""
        yield f"    {group['group']}: {slots} slots taken, {group['startable']} startable{full}"
    if len(groups) > _SHOWN:
        yield f"    … and {len(groups) - _SHOWN} more groups"
