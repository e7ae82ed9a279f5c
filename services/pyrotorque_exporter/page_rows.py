"""What the status page says of processes, queues and watched trees, as plain values for its template."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from pyrotorque.events import QueueChecked
from pyrotorque.text import printable
from pyrotorque_exporter import shown
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.service_states import OURSELVES, ServiceState, ServiceStates

Row: TypeAlias = dict[str, Any]

NEXT_MAX: Final = 5

_ORDER: Final = ("supervisord", "scheduler", "watcher", "exporter", "guardian")


def process_rows(states: ServiceStates, seen: Exposition, now: float) -> list[Row]:
    """One row for each process, in the order of the process table."""
    services = states.snapshot()
    memory = seen.labelled("pyrotorque_process_resident_memory_bytes")
    started = seen.labelled("pyrotorque_process_start_time_seconds")
    restarts = seen.labelled("pyrotorque_process_restarts_total")
    names = sorted({*services, *memory}, key=_place)
    up = {name: states.is_up(name) if name in services else name in memory for name in names}
    return [
        {
            "name": name,
            "up": up[name],
            "state": _state(services.get(name), up=up[name]),
            "step": "answering" if name == OURSELVES else printable(_step(services.get(name))),
            "since": shown.duration(now - started[name]) if name in started else "",
            "memory": shown.size(memory[name]) if name in memory else "",
            "restarts": f"{restarts.get(name, 0):.0f}",
        }
        for name in names
    ]


def queue_rows(
    checks: Mapping[str, QueueChecked],
    explained: Mapping[str, Mapping[str, Any]],
    seen: Exposition,
    now: float,
    *,
    names: bool,
) -> list[Row]:
    """One row for each queue: what runs, what is next, why it waits, and when it refreshes again."""
    slots = seen.labelled("pyrotorque_queue_slots")
    next_run = seen.labelled("pyrotorque_job_next_run_timestamp_seconds")
    last_start = seen.labelled("pyrotorque_queue_last_start_timestamp_seconds")
    break_end = seen.labelled("pyrotorque_queue_intermission_end_timestamp_seconds")
    rows: list[Row] = []
    for name in sorted({*slots, *checks}):
        check, asked = checks.get(name), explained.get(name)
        why, looked = _why(asked, check, now, names=names)
        starts = asked.get("next_start") if asked else None
        rows.append(
            {
                "job": name,
                "downloading": _count(_number(asked, check, seen, name, "downloading")),
                "slots": _count(slots.get(name, check.slots if check else None)),
                "startable": _count(_number(asked, check, seen, name, "startable")),
                "why": why,
                "looked": looked,
                "running": _items(asked, "running", names=names),
                "order": _items(asked, "order", names=names),
                "starts": _until(starts, now) if isinstance(starts, float | int) else "",
                "next": _until(next_run.get(name), now) or ("now" if name in next_run else ""),
                "intermission": _until(break_end.get(name), now),
                "last_start": shown.ago(last_start[name], now) if last_start.get(name) else "never",
            }
        )
    return rows


def alarms(processes: Sequence[Row], seen: Exposition, *, prefix: str, failed: int) -> list[str]:
    """What the owner should look at, the worst first; nothing where all is well."""
    missing = seen.value("pyrotorque_watch_roots_missing") or 0
    broken = seen.value(f"{prefix}items_hash_failed") or 0
    found = [("rTorrent does not answer", seen.value(f"{prefix}up") == 0.0)]
    found += [(f"{row['name']} is {row['state']}", not row["up"]) for row in processes]
    found += [
        (_counted(missing, "watched folder is missing", "watched folders are missing"), missing > 0),
        (_counted(broken, "item failed its hash check", "items failed their hash check"), broken > 0),
        (_counted(failed, "metafile was not loaded", "metafiles were not loaded"), failed > 0),
        (
            "the services run on different configurations (pyrotorque check)",
            (seen.value("pyrotorque_configurations") or 0) > 1,
        ),
    ]
    return [text for text, holds in found if holds]


def watch_facts(seen: Exposition, now: float) -> Sequence[tuple[str, str]]:
    """What the watcher has to say, as pairs of a name and a value; none when it is silent."""
    facts = [
        ("watched folders", "pyrotorque_watch_directories"),
        ("pending metafiles", "pyrotorque_watch_pending_metafiles"),
    ]
    found = [(label, _count(value)) for label, name in facts if (value := seen.value(name)) is not None]
    loads = seen.labelled("pyrotorque_watch_loads_total")
    if found and loads:
        found.append(("loaded so far", _count(sum(loads.values()))))
    last = seen.value("pyrotorque_watch_last_event_timestamp_seconds")
    return [*found, ("last event", shown.ago(last, now))] if found and last else found


def _why(asked: Mapping[str, Any] | None, check: QueueChecked | None, now: float, *, names: bool) -> tuple[str, str]:
    """Why no more is started, and, where that is not what the scheduler said just now, when it was so."""
    if asked is not None:
        hold = asked.get("hold")
        text, looked = str(hold.get("text", "")) if isinstance(hold, dict) else "", ""
    else:
        text, looked = (check.reason, shown.ago(check.at, now)) if check else ("", "")
    # In parentheses stands what rTorrent said of an item that failed to start.
    return printable(text if names else re.sub(r" \(.*\)", "", text)), looked


def _items(asked: Mapping[str, Any] | None, key: str, *, names: bool) -> list[str]:
    """The first items of a list in what the scheduler explained."""
    states = asked.get(key) if asked else None
    items = [item for item in states if isinstance(item, dict)] if isinstance(states, list) else []
    chips = [
        printable(str(item.get("name", ""))) if names else f"{str(item.get('hash', ''))[:8]}…"
        for item in items[:NEXT_MAX]
    ]
    return [*chips, f"and {len(items) - NEXT_MAX} more"] if len(items) > NEXT_MAX else chips


def _number(
    asked: Mapping[str, Any] | None, check: QueueChecked | None, seen: Exposition, job: str, what: str
) -> float | None:
    """What the scheduler said just now or at its last check, or, where that needed not ask, before."""
    for value in (asked.get(what) if asked else None, getattr(check, what) if check else None):
        if isinstance(value, float | int):
            return value
    return seen.labelled(f"pyrotorque_queue_{what}_items").get(job)


def _state(service: ServiceState | None, *, up: bool) -> str:
    """What supervisord says, unless the process is silent while supervisord believes that it runs."""
    state = service.state.lower() if service else ""
    return state or "up" if up else state.replace("running", "") or "silent"


def _counted(count: float, one: str, many: str) -> str:
    return f"{count:.0f} {one if count == 1 else many}"


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"


def _until(at: float | None, now: float) -> str:
    if at is None or at <= now:
        return ""
    return f"in {shown.duration(at - now)}" if at - now >= 1 else "now"


def _step(service: ServiceState | None) -> str:
    beat = service.heartbeat if service else None
    return beat.step if beat else ""


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
