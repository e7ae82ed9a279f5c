"""Explains a queue: its state and next start, one item clause by clause, and the history of decisions."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pyrotorque.conditions import Clause, parse
from pyrotorque.humanize import coming_time, date_time, rate, size
from pyrotorque.items import Item
from pyrotorque.requests import Answer, wrong
from pyrotorque.text import is_hash_of, printable
from pyrotorque_scheduler.queue.check import Queue
from pyrotorque_scheduler.queue.explain_groups import explain_groups, group_lines
from pyrotorque_scheduler.queue.explain_text import (
    clause_data,
    clause_lines,
    clipped,
    failure_text,
    hold_data,
    hold_text,
    shown,
    until,
)
from pyrotorque_scheduler.queue.forecast import Forecast
from pyrotorque_scheduler.queue.groups import GroupRoom
from pyrotorque_scheduler.queue.model import Hold, Instant, QueueStart
from pyrotorque_scheduler.queue.policy import group_hold
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord

_SHOWN: Final = 20
_NAMED: Final = 5
_HASH_DIGITS: Final = 40
# When an item starts that the passing of time alone does not start.
_WHEN: Final = {
    "no_slot": "when a slot is free",
    "traffic": "when the download rate is lower",
    "group_full": "when a slot of its group is free",
    "disk": "when there is space on the disk",
    "paused": "after the job is resumed",
}


def explain_queue(queue: Queue, now: Instant) -> Answer:
    """Slots, order, what starts next and when; `data` is described in docs/queue.md. Raises RTorrentError."""
    limits, settings = queue.rules.limits, queue.rules.settings
    slots = queue.items.running(now.wall)
    running = queue.items.read(queue.rules.downloading, {"hash", "name", "done", "down", "left", "size"}, now.wall)
    startable = queue.waiting(now.wall)
    taken = len(slots)
    forecast, granted = queue.forecast(startable, slots, now), queue.granted(now)
    groups = explain_groups(queue, slots, startable)
    stall = queue.rotation.sentence(now)
    listed = list(startable[:_SHOWN])
    marks = "".join([", paused" * queue.state.paused, ", dry run: starts nothing" * settings.dry_run])
    lines = [
        f"queue {queue.name}{marks}: {taken} of {limits.downloading_max} slots taken, {len(startable)} startable",
        *_next(forecast, startable, now),
        f"  pace      {limits.start_at_once} at each time of {settings.schedule}, {granted.left} of them left now;"
        f" next time {'never' if granted.next_fire is None else coming_time(granted.next_fire, now.wall)}",
        *_limits(queue),
        *([f"  stalled   {stall}"] if stall else []),
        *group_lines(queue.rules.groups, groups),
        *_running(running),
        *_order(queue, listed, len(startable), forecast, now),
    ]
    data = {
        "job": queue.name,
        "paused": queue.state.paused,
        "dry_run": settings.dry_run,
        "downloading": taken,
        "downloading_max": limits.downloading_max,
        "downloading_min": limits.downloading_min,
        "startable": len(startable),
        "starts_left": granted.left,
        "next_fire": granted.next_fire,
        "last_start": queue.state.last_batch.wall if queue.state.last_batch else None,
        "would_start": [start.info_hash for start in forecast.now if isinstance(start, QueueStart)],
        "next_start": forecast.at,
        "next_items": [start.info_hash for start in forecast.starts],
        "groups": groups,
        "stalled": stall or None,
        "parked": queue.rotation.held_until,
        "hold": hold_data(forecast.hold, now.wall) if forecast.hold else None,
        "running": [_progress(item) for item in running[:_SHOWN]],
        "order": [_brief(item) for item in listed],
    }
    return Answer(ok=True, text="\n".join(lines), data=data)


def explain_item(queue: Queue, wanted: str, now: Instant) -> Answer:
    """Each clause with its value, and the first reason why the item is not started. Raises RTorrentError."""
    found = _find(queue, wanted, now.wall)
    if len(found) != 1:
        return wrong(_not_unique(found, printable(wanted), queue.rules.settings.view))
    item, rules = found[0], queue.rules
    running = rules.running.matches(item, now.wall)
    clauses = (rules.downloading if running else rules.startable).explain(item, now.wall)
    number, verdict, text = _verdict(queue, item, clauses, running, now)
    lines = [f"queue {queue.name}: {_named(item)}", f"  {text}"]
    lines += [f"  {line}" for line in clause_lines(clauses)]
    data = {**_brief(item), "job": queue.name, "number": number, "verdict": verdict, "text": text}
    return Answer(ok=True, text="\n".join(lines), data={**data, "clauses": clause_data(clauses)})


def explain_history(history: DecisionHistory, job: str | None, item: str | None) -> Answer:
    """The latest decisions, newest first; `item` is an info-hash, a name or a part of one."""
    records = history.latest(job=job, item=item)
    lines = [f"{date_time(r.at)}  {r.job:<10} {r.name or '(all)'}: {_decision_text(r)}" for r in records]
    nothing = "no decision is recorded yet" if item is None else f"no decision is recorded about {printable(item)}"
    data = [{name: getattr(record, name) for name in record.__struct_fields__} for record in records]
    return Answer(ok=True, text="\n".join(lines) or nothing, data=data)


def _next(forecast: Forecast, startable: Sequence[Item], now: Instant) -> Iterator[str]:
    hold = forecast.hold
    if forecast.at == now.wall:
        yield f"  now       starts {_names([start.name for start in forecast.starts])}"
        return
    if hold is not None:
        yield f"  now       starts nothing: {hold_text(hold, now.wall)}{until(hold, now.wall)}"
    if forecast.at is not None:
        yield f"  next      {coming_time(forecast.at, now.wall)}: {_names([start.name for start in forecast.starts])}"
    elif startable and (last := forecast.last_hold) is not None:
        before = f", not before {coming_time(forecast.next_at, now.wall)}" if forecast.next_at - now.wall >= 1 else ""
        yield f"  next      {_names([str(startable[0]['name'])])}, {_WHEN.get(last.reason, 'later')}{before}"


def _limits(queue: Queue) -> Iterator[str]:
    limits, hours = queue.rules.limits, queue.rules.settings.hours
    parts = [f"at least {limits.downloading_min} downloading"] if limits.downloading_min else []
    parts += [f"{limits.intermission:g} s between batches"] if limits.intermission else []
    parts += [f"{size(limits.min_free)} free on the disk"] if limits.min_free else []
    parts += [f"while less than {rate(limits.max_down_rate)} is downloaded"] if limits.max_down_rate else []
    parts += [f"within the hours {hours}"] if hours.strip() else []
    if parts:
        yield f"  limits    {'; '.join(parts)}"


def _running(running: Sequence[Item]) -> Iterator[str]:
    if running:
        yield "  running"
    yield from (f"    {item['done']:5.1f} %  {_named(item)}" for item in running[:_SHOWN])
    yield from _more(len(running))


def _order(queue: Queue, items: Sequence[Item], count: int, forecast: Forecast, now: Instant) -> Iterator[str]:
    order = queue.rules.order
    # Show the values that the list is sorted by.
    keys = [name for name, _ in order.keys if name not in ("name", "hash")] if order else []
    holds = [hold for hold in (*forecast.next, *forecast.now) if isinstance(hold, Hold) and hold.reason != "batch_full"]
    notes = {info_hash: failure_text(failure) for info_hash, failure in queue.state.failures.items()}
    notes |= {hold.info_hash: hold_text(hold, now.wall) for hold in holds}
    if items:
        yield f"  startable, {f'sorted by {order}' if order else 'as in its view'}"
    for number, item in enumerate(items, 1):
        values = "  ".join(shown(name, item[name]) for name in keys)
        note = f": {notes[item['hash']]}" if item["hash"] in notes else ""
        yield f"    {number:4}.  {f'{values}  ' if values else ''}{_named(item)}{note}"
    yield from _more(count)


def _more(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"           … and {count - _SHOWN} more"


def _verdict(
    queue: Queue, item: Item, clauses: Sequence[Clause], running: bool, now: Instant
) -> tuple[int | None, str, str]:
    failed = next((clause for clause in clauses if not clause.verdict), None)
    if running:
        slot = "takes a slot" if failed is None else f"takes no slot of this queue, because of {printable(failed.text)}"
        return None, "downloading", f"downloading: {slot}"
    if failed is not None:
        return (None, *_not_startable(queue, item, failed, now))
    startable = queue.waiting(now.wall)
    place = next((n for n, other in enumerate(startable, 1) if other["hash"] == item["hash"]), None)
    if place is None:
        return None, "not_in_view", f"startable, but not in view {queue.rules.settings.view}"
    slots = queue.items.running(now.wall)
    forecast = queue.forecast(startable, slots, now)
    full = _group_hold(queue, startable[place - 1], queue.room(slots))
    head = f"number {place} of {len(startable)} startable items"
    return (place, *_startable(queue, item, head, first=place == 1, forecast=forecast, full=full, now=now))


def _group_hold(queue: Queue, item: Item, room: GroupRoom) -> Hold | None:
    (group,) = queue.items.groups([item])
    return group_hold(room, group, str(item["hash"]), str(item["name"])) if room.is_full(group) else None


def _startable(
    queue: Queue, item: Item, head: str, *, first: bool, forecast: Forecast, full: Hold | None, now: Instant
) -> tuple[str, str]:
    decision = next((each for each in forecast.now if each.info_hash == item["hash"]), None)
    if isinstance(decision, QueueStart):
        return "starts_now", f"{head}: starts now"
    decision = decision or full
    hold = decision or forecast.hold
    if hold is None:
        return "waiting", f"{head}: waits for its turn"
    if (failure := queue.state.failures.get(item["hash"])) is not None and decision is None:
        head += f" ({failure_text(failure)})"
    whole_queue = "" if decision is not None or first else "the queue is "
    if forecast.at is not None and any(start.info_hash == item["hash"] for start in forecast.starts):
        end = f"; starts at {coming_time(forecast.at, now.wall)} if nothing else happens"
    else:
        end = until(hold, now.wall)
    return hold.reason, f"{head}; {whole_queue}held back: {hold_text(hold, now.wall)}{end}"


def _not_startable(queue: Queue, item: Item, failed: Clause, now: Instant) -> tuple[str, str]:
    if queue.is_hash_checking(item):
        return "checked", "started: rTorrent still checks its data, and it keeps its slot meanwhile"
    if item["is_complete"]:
        return "not_startable", "not startable: it is complete"
    if item["is_partial"]:
        return "not_startable", "not startable: all that is wanted of it is complete"
    again = ""
    if cause := queue.closed_cause(item, now.wall):
        again = "; rTorrent closed it because the disk is full, it starts again when there is space"
        if cause == "check_failed":
            failure = queue.state.failures.get(str(item["hash"]))
            again = "; rTorrent could not check its data, it is tried again"
            again += f": {failure_text(failure)}" if failure else ""
    return "not_startable", f"not startable, because of {printable(failed.text)}{again}"


def _find(queue: Queue, wanted: str, now: float) -> list[Item]:
    """The item with this info-hash, or those with this name, else those whose name contains it, or by their hash."""
    rules = queue.rules
    conditions = rules.startable.fields | rules.downloading.fields | rules.closed_by_rtorrent.fields
    is_hash = len(wanted) == _HASH_DIGITS and all(char in "0123456789abcdefABCDEF" for char in wanted)
    if not is_hash:
        names = queue.items.read(None, {"hash", "name"}, now)
        same = [item for item in names if printable(str(item["name"])) == wanted]
        close = same or [item for item in names if wanted.lower() in printable(str(item["name"])).lower()]
        close = close or [item for item in names if is_hash_of(str(item["hash"]), wanted)]
        if len(close) != 1:
            return close
        wanted = str(close[0]["hash"])
    fields = rules.fields | conditions | {"is_complete", "is_partial", "hash", "name"}
    return queue.items.read(parse(f"hash={wanted.upper()}"), fields, now)


def _not_unique(found: Sequence[Item], wanted: str, view: str) -> str:
    if not found:
        return f"no item {wanted} in view {view}"
    lines = [f"{len(found)} items match {wanted}; use the full name or the info-hash of one:"]
    lines += [f"  {_named(item)}" for item in found[:_SHOWN]]
    return "\n".join([*lines, *_more(len(found))])


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(clipped, names[:_NAMED])) + more


def _named(item: Item) -> str:
    return f"{clipped(str(item['name']))}  {item['hash']}"


def _brief(item: Item) -> dict[str, Any]:
    return {"hash": item["hash"], "name": printable(str(item["name"]))}


def _progress(item: Item) -> dict[str, Any]:
    return _brief(item) | {name: item[name] for name in ("done", "down", "left", "size")}


def _decision_text(record: DecisionRecord) -> str:
    if record.verdict in ("started", "failed"):
        return record.verdict if record.text == record.verdict else f"{record.verdict}: {record.text}"
    return record.text if record.verdict in ("stalled", "adopted") else f"held: {record.text}"
