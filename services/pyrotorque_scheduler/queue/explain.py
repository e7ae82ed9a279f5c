"""Why the queue does what it does: for all of it, for one item clause by clause, and what it decided lately."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pyrotorque.conditions import Clause, parse
from pyrotorque.items import Item
from pyrotorque.requests import Answer
from pyrotorque.text import printable
from pyrotorque_scheduler.queue.check import Queue
from pyrotorque_scheduler.queue.explain_text import amount, clause_lines, clipped, clock, moment, shown, tree, until
from pyrotorque_scheduler.queue.forecast import Forecast
from pyrotorque_scheduler.queue.model import Failure, Hold, Instant, QueueStart
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord

_SHOWN: Final = 20
_NAMED: Final = 5
_HASH: Final = 40
# What brings a start that no clock brings.
_WHEN: Final = {
    "no_slot": "when a slot is free",
    "traffic": "when less is downloaded",
    "disk": "when there is room on the disk",
    "paused": "after it is resumed",
}


def explain_queue(queue: Queue, now: Instant) -> Answer:
    """The order, the slots, what would start next and when. Raises RTorrentError."""
    limits, settings = queue.rules.limits, queue.rules.settings
    checked = queue.being_checked(now.wall)
    running = queue.read(queue.rules.downloading, {"hash", "name", "done"}, now.wall)
    waiting = queue.startable(now.wall)
    taken = checked + len(running)
    foreseen, granted = queue.forecast(waiting, taken, now), queue.granted(now)
    shown_items = list(waiting[:_SHOWN])
    marks = "".join([", paused" * queue.paused, ", dry run: starts nothing" * settings.dry_run])
    lines = [
        f"queue {queue.name}{marks}: {taken} of {limits.downloading_max} slots taken, {len(waiting)} startable",
        *_next(foreseen, waiting, now),
        f"  pace      {limits.start_at_once} at each time of {settings.schedule}, {granted.left} of them left now;"
        f" next time {'never' if granted.next_fire is None else moment(granted.next_fire, now.wall)}",
        *_limits(queue),
        *_running(running),
        *_order(queue, shown_items, len(waiting), foreseen),
    ]
    data = {
        "job": queue.name,
        "paused": queue.paused,
        "dry_run": settings.dry_run,
        "downloading": taken,
        "downloading_max": limits.downloading_max,
        "downloading_min": limits.downloading_min,
        "startable": len(waiting),
        "starts_left": granted.left,
        "next_fire": granted.next_fire,
        "last_start": queue.state.last_batch.wall if queue.state.last_batch else None,
        "would_start": [start.info_hash for start in foreseen.now if isinstance(start, QueueStart)],
        "next_start": foreseen.at,
        "next_items": [start.info_hash for start in foreseen.starts],
        "hold": _hold(foreseen.hold),
        "running": [_brief(item) for item in running[:_SHOWN]],
        "order": [_brief(item) for item in shown_items],
    }
    return Answer(ok=True, text="\n".join(lines), data=data)


def explain_item(queue: Queue, wanted: str, now: Instant) -> Answer:
    """Each clause with its value, and the first reason that holds the item back. Raises RTorrentError."""
    found = _find(queue, wanted, now.wall)
    if len(found) != 1:
        return Answer(ok=False, text=_not_one(found, printable(wanted), queue.rules.settings.view))
    item, rules = found[0], queue.rules
    running = rules.running.matches(item, now.wall)
    clauses = (rules.downloading if running else rules.startable).explain(item, now.wall)
    number, verdict, text = _verdict(queue, item, clauses, running, now)
    lines = [f"queue {queue.name}: {_named(item)}", f"  {text}"]
    lines += [f"  {line}" for line in clause_lines(clauses)]
    data = {**_brief(item), "job": queue.name, "number": number, "verdict": verdict, "text": text}
    return Answer(ok=True, text="\n".join(lines), data={**data, "clauses": tree(clauses)})


def explain_history(history: DecisionHistory, job: str | None, item: str | None) -> Answer:
    """What was decided lately, the newest first; an item is named by its info-hash, its name or a part of it."""
    decided = history.latest(job=job, item=item)
    lines = [f"{clock(d.at)}  {d.job:<10} {d.name or '(all)'}: {_said(d)}" for d in decided]
    nothing = "nothing was decided yet" if item is None else f"nothing was decided about {printable(item)} lately"
    return Answer(ok=True, text="\n".join(lines) or nothing, data=[_plain(d) for d in decided])


def _next(foreseen: Forecast, waiting: Sequence[Item], now: Instant) -> Iterator[str]:
    hold = foreseen.hold
    if foreseen.at == now.wall:
        yield f"  now       starts {_names([start.name for start in foreseen.starts])}"
        return
    if hold is not None:
        yield f"  now       starts nothing: {hold.text}{until(hold, now.wall)}"
    if foreseen.at is not None:
        yield f"  next      {moment(foreseen.at, now.wall)}: {_names([start.name for start in foreseen.starts])}"
    elif waiting and (last := foreseen.last_hold) is not None:
        before = f", not before {moment(foreseen.then_at, now.wall)}" if foreseen.then_at - now.wall >= 1 else ""
        yield f"  next      {_names([str(waiting[0]['name'])])}, {_WHEN.get(last.reason, 'later')}{before}"


def _limits(queue: Queue) -> Iterator[str]:
    limits, hours = queue.rules.limits, queue.rules.settings.hours
    parts = [f"at least {limits.downloading_min} downloading"] if limits.downloading_min else []
    parts += [f"{limits.intermission:g} s between batches"] if limits.intermission else []
    parts += [f"{amount(limits.min_free)} free on the disk"] if limits.min_free else []
    parts += [f"while less than {amount(limits.max_down_rate)}/s is downloaded"] if limits.max_down_rate else []
    parts += [f"within the hours {hours}"] if hours.strip() else []
    if parts:
        yield f"  limits    {'; '.join(parts)}"


def _running(running: Sequence[Item]) -> Iterator[str]:
    if running:
        yield "  running"
    yield from (f"    {item['done']:5.1f} %  {_named(item)}" for item in running[:_SHOWN])
    yield from _more(len(running))


def _order(queue: Queue, items: Sequence[Item], count: int, foreseen: Forecast) -> Iterator[str]:
    order = queue.rules.order
    # Who reads the list sees by what it is sorted.
    keys = [name for name, _ in order.keys if name not in ("name", "hash")] if order else []
    holds = [hold for hold in (*foreseen.then, *foreseen.now) if isinstance(hold, Hold) and hold.reason != "batch_full"]
    notes = {info_hash: _failed_before(failure) for info_hash, failure in queue.state.failures.items()}
    notes |= {hold.info_hash: hold.text for hold in holds}
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
    rules = queue.rules
    failed = next((clause for clause in clauses if not clause.verdict), None)
    if running:
        slot = "takes a slot" if failed is None else f"takes no slot of this queue, because of {printable(failed.text)}"
        return None, "downloading", f"downloading: {slot}"
    if failed is not None:
        return (None, *_refused(queue, item, failed, now))
    waiting = queue.startable(now.wall)
    place = next((n for n, other in enumerate(waiting, 1) if other["hash"] == item["hash"]), None)
    if place is None:
        return None, "not_in_view", f"startable, but not in view {rules.settings.view}"
    foreseen = queue.forecast(waiting, queue.being_checked(now.wall) + len(queue.downloading(now.wall)), now)
    head = f"number {place} of {len(waiting)} startable items"
    mine = next((decision for decision in foreseen.now if decision.info_hash == item["hash"]), None)
    if isinstance(mine, QueueStart):
        return place, "starts_now", f"{head}: starts now"
    hold = mine or foreseen.hold
    if hold is None:
        return place, "waiting", f"{head}: waits for its turn"
    if (failure := queue.state.failures.get(item["hash"])) is not None and mine is None:
        head += f" ({_failed_before(failure)})"
    who = "" if mine is not None or place == 1 else "the queue is "
    if foreseen.at is not None and any(start.info_hash == item["hash"] for start in foreseen.starts):
        then = f"; starts at {moment(foreseen.at, now.wall)} if nothing comes in between"
    else:
        then = until(hold, now.wall)
    return place, hold.reason, f"{head}; {who}held back: {hold.text}{then}"


def _failed_before(failure: Failure) -> str:
    return f"did not start {f'{failure.times} times' if failure.times > 1 else 'before'}: {printable(failure.text)}"


def _refused(queue: Queue, item: Item, failed: Clause, now: Instant) -> tuple[str, str]:
    if queue.is_checked(item):
        return "checked", "started: rTorrent still checks its data, and it keeps its slot meanwhile"
    if item["is_complete"]:
        return "not_startable", "not startable: it is complete"
    closed = queue.rules.closed_for_room.matches(item, now.wall)
    again = "; rTorrent closed it for want of room, it comes back when there is some" if closed else ""
    return "not_startable", f"not startable, because of {printable(failed.text)}{again}"


def _find(queue: Queue, wanted: str, now: float) -> list[Item]:
    """The item with this info-hash, or those with this name, else those whose name contains it."""
    rules = queue.rules
    asked = rules.startable.fields | rules.downloading.fields | rules.closed_for_room.fields | {"is_complete"}
    is_hash = len(wanted) == _HASH and all(char in "0123456789abcdefABCDEF" for char in wanted)
    if not is_hash:
        names = queue.read(None, {"hash", "name"}, now)
        same = [item for item in names if printable(str(item["name"])) == wanted]
        close = same or [item for item in names if wanted.lower() in printable(str(item["name"])).lower()]
        if len(close) != 1:
            return close
        wanted = str(close[0]["hash"])
    return queue.read(parse(f"hash={wanted.upper()}"), rules.fields | asked | {"hash", "name"}, now)


def _not_one(found: Sequence[Item], wanted: str, view: str) -> str:
    if not found:
        return f"no item {wanted} in view {view}"
    lines = [f"{len(found)} items are meant by {wanted}; name one of them, or its hash:"]
    lines += [f"  {_named(item)}" for item in found[:_SHOWN]]
    return "\n".join([*lines, *_more(len(found))])


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(clipped, names[:_NAMED])) + more


def _named(item: Item) -> str:
    return f"{clipped(str(item['name']))}  {item['hash']}"


def _brief(item: Item) -> dict[str, Any]:
    return {"hash": item["hash"], "name": printable(str(item["name"]))}


def _hold(hold: Hold | None) -> dict[str, Any] | None:
    return None if hold is None else {"reason": hold.reason, "text": hold.text, "until": hold.until}


def _said(decided: DecisionRecord) -> str:
    if decided.verdict in ("started", "failed"):
        return decided.verdict if decided.text == decided.verdict else f"{decided.verdict}: {decided.text}"
    return f"held: {decided.text}"


def _plain(decided: DecisionRecord) -> dict[str, Any]:
    return {name: getattr(decided, name) for name in decided.__struct_fields__}
