"""The rows of the status page about processes, queues and watched trees, as plain values for its template."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from pyrotorque.events import QueueChecked
from pyrotorque.text import printable
from pyrotorque_exporter import shown
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.told import Service

Row: TypeAlias = dict[str, Any]

NEXT_MAX: Final = 5

_ORDER: Final = ("supervisord", "scheduler", "watcher", "exporter", "guardian")


def process_rows(services: Mapping[str, Service], seen: Exposition, now: float) -> list[Row]:
    """One row for each process, in the order of the process table."""
    up = seen.labelled("pyrotorque_process_up")
    memory = seen.labelled("pyrotorque_process_resident_memory_bytes")
    started = seen.labelled("pyrotorque_process_start_time_seconds")
    restarts = seen.labelled("pyrotorque_process_restarts_total")
    names = sorted({*services, *memory}, key=_place)
    return [
        {
            "name": name,
            "up": bool(up.get(name, name in memory)),
            "state": services[name].state if name in services else "",
            "step": "answering" if name == "exporter" else printable(_step(services.get(name))),
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
    """One row for each queue: what runs, what could be next, why it waits, and when it looks again."""
    slots = seen.labelled("pyrotorque_queue_slots")
    next_run = seen.labelled("pyrotorque_job_next_run_timestamp_seconds")
    last_start = seen.labelled("pyrotorque_queue_last_start_timestamp_seconds")
    break_end = seen.labelled("pyrotorque_queue_intermission_end_timestamp_seconds")
    rows: list[Row] = []
    for name in sorted({*slots, *checks}):
        check = checks.get(name)
        rows.append(
            {
                "job": name,
                "downloading": _count(_told(check, seen, name, "downloading")),
                "slots": _count(slots.get(name, check.slots if check else None)),
                "startable": _count(_told(check, seen, name, "startable")),
                "why": printable(check.reason) if check else "",
                "order": _order(explained.get(name, {}), names=names),
                "looked": shown.ago(check.at, now) if check else "",
                "next": _until(next_run.get(name), now),
                "intermission": _until(break_end.get(name), now),
                "last_start": shown.ago(last_start[name], now) if last_start.get(name) else "never",
            }
        )
    return rows


def watch_facts(seen: Exposition, now: float) -> Sequence[tuple[str, str]]:
    """What the watcher has to say, as pairs of a name and a value; none when it is silent."""
    facts = [
        ("watched folders", "pyrotorque_watch_directories"),
        ("pending metafiles", "pyrotorque_watch_pending_metafiles"),
        ("failed metafiles", "pyrotorque_watch_failed_metafiles"),
        ("missing roots", "pyrotorque_watch_roots_missing"),
    ]
    found = [(label, _count(value)) for label, name in facts if (value := seen.value(name)) is not None]
    loads = seen.labelled("pyrotorque_watch_loads_total")
    if found and loads:
        found.append(("loaded so far", _count(sum(loads.values()))))
    last = seen.value("pyrotorque_watch_last_event_timestamp_seconds")
    return [*found, ("last event", shown.ago(last, now))] if found and last else found


def _order(explained: Mapping[str, Any], *, names: bool) -> list[str]:
    """The first items that could be started."""
    order = explained.get("order")
    items = [item for item in order if isinstance(item, dict)] if isinstance(order, list) else []
    if names:
        return [printable(str(item.get("name", ""))) for item in items[:NEXT_MAX]]
    return [f"{str(item.get('hash', ''))[:8]}…" for item in items[:NEXT_MAX]]


def _told(check: QueueChecked | None, seen: Exposition, job: str, what: str) -> float | None:
    """What the last check said, or, where it needed not ask, the one before."""
    value: float | None = getattr(check, what) if check else None
    return value if value is not None else seen.labelled(f"pyrotorque_queue_{what}_items").get(job)


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"


def _until(at: float | None, now: float) -> str:
    if at is None or at <= now:
        return ""
    return f"in {shown.duration(at - now)}" if at - now >= 1 else "now"


def _step(service: Service | None) -> str:
    beat = service.heartbeat if service else None
    return beat.step if beat else ""


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
