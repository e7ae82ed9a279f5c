"""The text and the data of holds, clauses and values, for `explain`, the log, the history and events."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pyrotorque.conditions import Clause
from pyrotorque.humanize import coming_time, date_time, size
from pyrotorque.text import printable
from pyrotorque_scheduler.queue.model import Case, Failure, Hold, Reason

_HOLDS: Final[Mapping[tuple[Reason, Case], str]] = {
    ("paused", ""): "the job is paused: `pyrotorque resume JOB` resumes it",
    ("hours", ""): "outside the hours of this job",
    ("intermission", ""): "the last start was {since:.0f} s ago, intermission is {intermission:g} s",
    ("pace", "window"): "outside the window of the schedule",
    ("pace", "gap"): "the last batch was {since:.1f} s ago, the schedule allows one in {gap:g} s",
    ("pace", "grant_used"): "the starts granted by the schedule are used up",
    ("no_slot", ""): "{downloading:.0f} of {slots:.0f} slots are taken",
    ("traffic", ""): "downloading {down_rate}/s, max_down_rate is {max_down_rate}/s",
    ("group_full", ""): "{running:.0f} of {group_max:.0f} slots of {group} are taken",
    ("nothing_startable", ""): "no item is startable",
    ("nothing_startable", "no_other"): "no other item is startable",
    ("disk", ""): "would leave {left} free after all running items, min_free is {min_free}",
    ("failed_before", "all_failed"): "none of the startable items started",
    ("parked", ""): "made no progress and gave up its slot",
    ("loading", ""): "rTorrent has lost the settings of its load; the watcher loads it again",
    ("batch_full", ""): "{size:.0f} may be started now, this one is next",
    ("batch_full", "failures"): "{failed:.0f} items did not start, this one is tried at the next check",
}
# These numbers are bytes, shown with a unit.
_SIZES: Final = frozenset({"down_rate", "max_down_rate", "left", "min_free"})
_TIMES: Final = frozenset({"loaded", "started", "completed", "active", "stopped", "last_xfer"})


def shown(field: str, value: object) -> str:
    """The value of a field; long lists of tags or files end in `…`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if field in _TIMES:
            return date_time(value) if value else "not set"
        return f"{value:.12g}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        value = ", ".join(sorted(map(str, value)))
    return clipped(str(value)) or "empty"


def clipped(text: str) -> str:
    """Text from a torrent for a terminal: printable, at most 100 characters."""
    text = printable(text)
    return text if len(text) <= 100 else f"{text[:99]}…"


def clause_lines(clauses: Sequence[Clause]) -> list[str]:
    """One line for each clause: verdict, text and the item's value; parts are indented below their clause."""
    rows = list(_flat(clauses))
    width = max((2 * depth + len(_text(clause)) for depth, clause in rows), default=0)
    return [_line(depth, clause, min(width, 50)) for depth, clause in rows]


def _flat(clauses: Sequence[Clause], depth: int = 0) -> Iterator[tuple[int, Clause]]:
    for clause in clauses:
        yield depth, clause
        yield from _flat(clause.parts, depth + 1)


def clause_data(clauses: Sequence[Clause]) -> list[dict[str, Any]]:
    """Clauses with their values and verdicts, for a program."""
    return [
        {
            "text": clause.text,
            "field": clause.field,
            "value": _plain(clause.value),
            "verdict": clause.verdict,
            "parts": clause_data(clause.parts),
        }
        for clause in clauses
    ]


def hold_text(hold: Hold, now: float, *, error: bool = True) -> str:
    """The sentence for a hold; without `error` it contains nothing that rTorrent or a torrent supplied."""
    if hold.reason == "failed_before" and not hold.case:
        message = f" ({printable(hold.error)})" if error and hold.error else ""
        wait = max(0.0, (hold.until or now) - now)
        return f"did not start{message}, next attempt in {wait:.0f} s"
    values: dict[str, object] = {
        name: size(number) if name in _SIZES else number for name, number in hold.numbers.items()
    }
    values["group"] = clipped(hold.group) if error else "its group"
    return _HOLDS[hold.reason, hold.case].format_map(values)


def hold_data(hold: Hold, now: float) -> dict[str, Any]:
    """A hold for a program; `summary` is `text` without rTorrent's message about an item, which is in `error`."""
    return {
        "reason": hold.reason,
        "case": hold.case,
        "numbers": dict(hold.numbers),
        "error": printable(hold.error),
        "until": hold.until,
        "hash": hold.info_hash,
        "name": printable(hold.name),
        "group": printable(hold.group),
        "text": hold_text(hold, now),
        "summary": hold_text(hold, now, error=False),
    }


def until(hold: Hold, now: float) -> str:
    """The end of a hold that ends by itself."""
    return "" if hold.until is None or hold.until <= now else f", until {coming_time(hold.until, now)}"


def failure_text(failure: Failure) -> str:
    times = f"{failure.times} times" if failure.times > 1 else "before"
    return f"did not start {times}: {printable(failure.error)}"


def _line(depth: int, clause: Clause, width: int) -> str:
    text = f"{'  ' * depth}{_text(clause)}"
    value = f"  {clause.field} is {shown(clause.field, clause.value)}" if clause.field else ""
    return f"{'yes' if clause.verdict else 'NO '}  {text:<{width}}{value}".rstrip()


def _text(clause: Clause) -> str:
    return printable(clause.text)


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        return sorted(printable(str(part)) for part in value)
    return printable(str(value))
