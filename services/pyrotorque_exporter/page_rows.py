"""The rows of the status page for processes, queues and watched trees, as plain values for its template."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from pyrotorque import humanize
from pyrotorque.events import QueueChecked
from pyrotorque.text import printable
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.service_states import EXPORTER, ServiceState, ServiceStates

Row: TypeAlias = dict[str, Any]

NEXT_MAX: Final = 5

_ORDER: Final = ("supervisord", "scheduler", "watcher", "exporter", "guardian")


def process_rows(states: ServiceStates, exposition: Exposition, now: float) -> list[Row]:
    """One row for each process, in the order of the process table."""
    services = states.snapshot()
    memory = exposition.labelled("pyrotorque_process_resident_memory_bytes")
    started = exposition.labelled("pyrotorque_process_start_time_seconds")
    restarts = exposition.labelled("pyrotorque_process_restarts_total")
    names = sorted({*services, *memory}, key=_rank)
    up = {name: states.is_up(name) if name in services else name in memory for name in names}
    return [
        {
            "name": name,
            "up": up[name],
            "state": _state(services.get(name), up=up[name]),
            "step": "serving" if name == EXPORTER else printable(_step(services.get(name))),
            "since": humanize.duration(now - started[name]) if name in started else "",
            "memory": humanize.size(memory[name]) if name in memory else "",
            "restarts": f"{restarts.get(name, 0):.0f}",
        }
        for name in names
    ]


def queue_rows(
    checks: Mapping[str, QueueChecked],
    explained: Mapping[str, Mapping[str, Any]],
    exposition: Exposition,
    now: float,
    *,
    names: bool,
) -> list[Row]:
    """One row for each queue: what runs, what is next, why no more is started, and when the next check is."""
    slots = exposition.labelled("pyrotorque_queue_slots")
    downloading = exposition.labelled("pyrotorque_queue_downloading_items")
    startable = exposition.labelled("pyrotorque_queue_startable_items")
    next_run = exposition.labelled("pyrotorque_job_next_run_timestamp_seconds")
    last_start = exposition.labelled("pyrotorque_queue_last_start_timestamp_seconds")
    break_end = exposition.labelled("pyrotorque_queue_intermission_end_timestamp_seconds")
    rows: list[Row] = []
    for name in sorted({*slots, *checks}):
        check, explanation = checks.get(name), explained.get(name, {})
        why, looked = _hold(explanation, check, now, names=names)
        starts = explanation.get("next_start")
        rows.append(
            {
                "job": name,
                "downloading": _count(
                    _number(explanation.get("downloading"), check and check.downloading, downloading.get(name))
                ),
                "slots": _count(slots.get(name, check.slots if check else None)),
                "startable": _count(
                    _number(explanation.get("startable"), check and check.startable, startable.get(name))
                ),
                "why": why,
                "looked": looked,
                "running": _items(explanation, "running", names=names),
                "order": _items(explanation, "order", names=names),
                "starts": _until(starts, now) if isinstance(starts, float | int) else "",
                "next": _until(next_run.get(name), now) or ("now" if name in next_run else ""),
                "intermission": _until(break_end.get(name), now),
                "last_start": humanize.age(last_start[name], now) if last_start.get(name) else "never",
            }
        )
    return rows


def alarms(processes: Sequence[Row], exposition: Exposition, *, failed: int) -> list[str]:
    """What needs the owner's attention, the worst first."""
    missing = exposition.value("pyrotorque_watch_roots_missing") or 0
    broken = exposition.value("rtorrent_items_hash_failed") or 0
    found = [("rTorrent does not answer", exposition.value("rtorrent_up") == 0.0)]
    found += [(f"{row['name']} is {row['state']}", not row["up"]) for row in processes]
    found += [
        (_counted(missing, "watched folder is missing", "watched folders are missing"), missing > 0),
        (_counted(broken, "item failed its hash check", "items failed their hash check"), broken > 0),
        (_counted(failed, "metafile was not loaded", "metafiles were not loaded"), failed > 0),
        (
            "the services run on different configurations (pyrotorque check)",
            (exposition.value("pyrotorque_configurations") or 0) > 1,
        ),
    ]
    return [text for text, holds in found if holds]


def watch_facts(exposition: Exposition, now: float) -> Sequence[tuple[str, str]]:
    """Numbers of the watcher as pairs of a label and a value; empty while the watcher is down."""
    facts = [
        ("watched folders", "pyrotorque_watch_directories"),
        ("pending metafiles", "pyrotorque_watch_pending_metafiles"),
    ]
    found = [(label, _count(value)) for label, name in facts if (value := exposition.value(name)) is not None]
    loads = exposition.labelled("pyrotorque_watch_loads_total")
    if found and loads:
        found.append(("loaded so far", _count(sum(loads.values()))))
    last = exposition.value("pyrotorque_watch_last_event_timestamp_seconds")
    return [*found, ("last event", humanize.age(last, now))] if found and last else found


def _hold(explanation: Mapping[str, Any], check: QueueChecked | None, now: float, *, names: bool) -> tuple[str, str]:
    """Why no more is started, and, if that comes from the queue's last check, how long ago that was.

    Without `names` this is the summary, which quotes no message of rTorrent; a scheduler of 1.0.0 sends none.
    """
    if explanation:
        hold = explanation.get("hold")
        text = hold.get("text" if names else "summary", "") if isinstance(hold, dict) else ""
        return printable(str(text)), ""
    if check is None:
        return "", ""
    return printable(check.reason if names else check.summary), humanize.age(check.at, now)


def _items(explanation: Mapping[str, Any], key: str, *, names: bool) -> list[str]:
    """The first items of a list in the scheduler's explanation."""
    listed = explanation.get(key)
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    chips = [
        printable(str(item.get("name", ""))) if names else f"{str(item.get('hash', ''))[:8]}…"
        for item in items[:NEXT_MAX]
    ]
    return [*chips, f"and {len(items) - NEXT_MAX} more"] if len(items) > NEXT_MAX else chips


def _number(explained: object, checked: object, metric: float | None) -> float | None:
    """The first number of: the scheduler's explanation, the queue's last check, the queue's metric."""
    return next((value for value in (explained, checked) if isinstance(value, float | int)), metric)


def _state(service: ServiceState | None, *, up: bool) -> str:
    """supervisord's state of the process, unless it is RUNNING without heartbeats."""
    state = service.state.lower() if service else ""
    return state or "up" if up else state.replace("running", "") or "not responding"


def _counted(count: float, one: str, many: str) -> str:
    return f"{count:.0f} {one if count == 1 else many}"


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"


def _until(at: float | None, now: float) -> str:
    if at is None or at <= now:
        return ""
    return f"in {humanize.duration(at - now)}" if at - now >= 1 else "now"


def _step(service: ServiceState | None) -> str:
    heartbeat = service.heartbeat if service else None
    return heartbeat.step if heartbeat else ""


def _rank(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
