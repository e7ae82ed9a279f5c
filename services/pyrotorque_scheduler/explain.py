"""Why the queue does what it does: for all of it, for one item clause by clause, and what it decided lately."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from pyrotorque.conditions import Clause, Condition, parse
from pyrotorque.items import Item
from pyrotorque.requests import Answer
from pyrotorque.text import printable
from pyrotorque_scheduler.decisions import Decision, Hold, Start
from pyrotorque_scheduler.disks import as_candidate
from pyrotorque_scheduler.history import Decided, History
from pyrotorque_scheduler.moments import Moment
from pyrotorque_scheduler.policy import decide
from pyrotorque_scheduler.queue import Queue

_SHOWN: Final = 20
_HASH: Final = 40


def explain_queue(queue: Queue, now: Moment) -> Answer:
    """The order, the slots, what would start next and when. Raises RTorrentError."""
    limits, settings = queue.rules.limits, queue.rules.settings
    running, waiting = queue.downloading(now.wall), queue.startable(now.wall)
    decisions = what_next(queue, waiting, len(running), now)
    granted = queue.granted(now)
    hold = next((d for d in decisions if isinstance(d, Hold)), None)
    starts = [d for d in decisions if isinstance(d, Start)]
    head = [
        f"queue {queue.name}: {len(running)} downloading (max {limits.downloading_max}, min {limits.downloading_min}), "
        f"{len(waiting)} startable{', dry run' if settings.dry_run else ''}",
        f"schedule {settings.schedule}: next fire {_clock(granted.next_fire)}, "
        f"{granted.left} of {limits.start_at_once} starts left now",
    ]
    if starts:
        head.append(f"now it would start: {', '.join(printable(start.name) for start in starts)}")
    if hold is not None:
        head.append(f"held back: {hold.text}{_until(hold)}")
    rows = [f"{n:4}. {printable(str(item['name']))} ({item['hash']})" for n, item in enumerate(waiting[:_SHOWN], 1)]
    more = [f"      … and {len(waiting) - _SHOWN} more"] if len(waiting) > _SHOWN else []
    data = {
        "job": queue.name,
        "paused": queue.state.paused,
        "downloading": len(running),
        "downloading_max": limits.downloading_max,
        "downloading_min": limits.downloading_min,
        "startable": len(waiting),
        "starts_left": granted.left,
        "next_fire": granted.next_fire,
        "last_start": queue.state.last_batch.wall if queue.state.last_batch else None,
        "would_start": [start.info_hash for start in starts],
        "hold": _hold(hold),
        "order": [_brief(item) for item in waiting[:_SHOWN]],
    }
    return Answer(ok=True, text="\n".join([*head, *rows, *more]), data=data)


def explain_item(queue: Queue, wanted: str, now: Moment) -> Answer:
    """Each clause with its value, and the first reason that holds the item back. Raises RTorrentError."""
    rules = queue.rules
    found = _find(queue, wanted, now.wall)
    if len(found) != 1:
        names = ", ".join(f"{printable(str(item['name']))} ({item['hash']})" for item in found[:5])
        text = f"{len(found)} items are called {printable(wanted)}: {names}" if found else _no_item(queue, wanted)
        return Answer(ok=False, text=f"queue {queue.name}: {text}")
    item = found[0]
    clauses = list(_flat(rules.startable.explain(item, now.wall)))
    running = rules.downloading.matches(item, now.wall)
    verdict, text = _verdict(queue, item, clauses, running, now)
    lines = [f"queue {queue.name}: {printable(str(item['name']))} ({item['hash']})", f"  {text}"]
    lines += [f"  {'  ' * depth}{'yes' if c.verdict else 'NO '} {c.text}{_value(c)}" for depth, c in clauses]
    data = {**_brief(item), "job": queue.name, "verdict": verdict, "text": text}
    data["clauses"] = _tree(rules.startable, item, now)
    return Answer(ok=True, text="\n".join(lines), data=data)


def explain_history(history: History, job: str | None, item: str | None) -> Answer:
    """What was decided lately, the newest first."""
    decided = history.latest(job=job, info_hash=item.upper() if item else None)
    lines = [f"{_clock(d.at)} {d.job}: {d.name or 'the queue'}: {d.verdict}: {d.text}" for d in decided]
    return Answer(ok=True, text="\n".join(lines) or "nothing was decided yet", data=[_plain(d) for d in decided])


def what_next(queue: Queue, waiting: Sequence[Item], downloading: int, now: Moment) -> list[Decision]:
    """What a check would decide now."""
    limits = queue.rules.limits
    opens = queue.rules.hours.opens(now.wall)
    candidates = map(as_candidate, waiting)
    return decide(candidates, downloading, limits, queue.state, queue.granted(now), now, opens=opens)


def _verdict(
    queue: Queue, item: Item, clauses: Sequence[tuple[int, Clause]], running: bool, now: Moment
) -> tuple[str, str]:
    if running:
        return "downloading", "it is downloading and takes a slot"
    failed = next((clause for depth, clause in clauses if depth == 0 and not clause.verdict), None)
    if failed is not None:
        return "not_startable", f"not startable, because of {failed.text}"
    waiting = queue.startable(now.wall)
    place = next((n for n, other in enumerate(waiting) if other["hash"] == item["hash"]), None)
    if place is None:
        return "not_in_view", f"startable, but not in view {queue.rules.settings.view}"
    decisions = what_next(queue, waiting, len(queue.downloading(now.wall)), now)
    mine = next((d for d in decisions if d.info_hash == item["hash"]), None)
    if isinstance(mine, Start):
        return "starts_now", f"number {place + 1} of the queue, starts now"
    hold = mine or next((d for d in decisions if isinstance(d, Hold)), None)
    if hold is None:
        return "waiting", f"number {place + 1} of the queue, waits for its turn"
    return hold.reason, f"number {place + 1} of the queue, held back: {hold.text}{_until(hold)}"


def _find(queue: Queue, wanted: str, now: float) -> list[Item]:
    """The item with this info-hash, or those with this name, else those whose name contains it."""
    fields = queue.rules.fields | queue.rules.startable.fields | queue.rules.downloading.fields | {"hash", "name"}
    is_hash = len(wanted) == _HASH and all(char in "0123456789abcdefABCDEF" for char in wanted)
    if not is_hash:
        names = queue.read(None, {"hash", "name"}, now)
        same = [item for item in names if printable(str(item["name"])) == wanted]
        close = same or [item for item in names if wanted.lower() in printable(str(item["name"])).lower()]
        if len(close) != 1:
            return close
        wanted = str(close[0]["hash"])
    return queue.read(parse(f"hash={wanted.upper()}"), fields, now)


def _flat(clauses: Sequence[Clause], depth: int = 0) -> Iterator[tuple[int, Clause]]:
    for clause in clauses:
        yield depth, clause
        yield from _flat(clause.parts, depth + 1)


def _tree(condition: Condition, item: Item, now: Moment) -> list[dict[str, Any]]:
    def plain(clause: Clause) -> dict[str, Any]:
        value = clause.value if isinstance(clause.value, bool | int | float | None) else printable(str(clause.value))
        parts = [plain(part) for part in clause.parts]
        return {"text": clause.text, "field": clause.field, "value": value, "verdict": clause.verdict, "parts": parts}

    return [plain(clause) for clause in condition.explain(item, now.wall)]


def _brief(item: Item) -> dict[str, Any]:
    return {"hash": item["hash"], "name": printable(str(item["name"]))}


def _hold(hold: Hold | None) -> dict[str, Any] | None:
    return None if hold is None else {"reason": hold.reason, "text": hold.text, "until": hold.until}


def _plain(decided: Decided) -> dict[str, Any]:
    return {name: getattr(decided, name) for name in decided.__struct_fields__}


def _value(clause: Clause) -> str:
    return f"   ({clause.field} is {_shown(clause.value)})" if clause.field else ""


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    return printable(str(value)) or "empty"


def _no_item(queue: Queue, wanted: str) -> str:
    return f"no item {printable(wanted)} in view {queue.rules.settings.view}"


def _clock(at: float | None) -> str:
    return "never" if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def _until(hold: Hold) -> str:
    return "" if hold.until is None else f" (until {_clock(hold.until)})"
