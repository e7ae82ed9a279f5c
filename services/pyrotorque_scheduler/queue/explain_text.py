"""How times, amounts and clauses are worded for a person who asks why."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from pyrotorque.conditions import Clause
from pyrotorque.text import printable
from pyrotorque_scheduler.queue.model import Hold

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")
_TIMES: Final = frozenset({"loaded", "started", "completed", "active", "stopped", "last_xfer"})


def clock(at: float | None) -> str:
    try:
        return "never" if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # anybody may write anything into tm_loaded
        return f"{at:g}, which is no time"


def moment(at: float, now: float) -> str:
    """`22:13:15 (in 12 s)`, with the day where it is another one."""
    then, today = datetime.fromtimestamp(at), datetime.fromtimestamp(now).date()
    shown = then.strftime("%H:%M:%S" if then.date() == today else "%Y-%m-%d %H:%M:%S")
    return f"{shown} (in {span(at - now)})"


def span(seconds: float) -> str:
    """`12 s`, `4 min 10 s`, `3 h 5 min`, `2 d 3 h`."""
    whole = max(0, round(seconds))
    days, hours, minutes, rest = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((n for n, (number, _) in enumerate(parts) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"


def amount(size: float) -> str:
    """Bytes as a person reads them."""
    unit = "bytes"
    for larger in _UNITS:
        if abs(size) < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def shown(field: str, value: object) -> str:
    """The value of a field; long lists of tags or files end in `…`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if field in _TIMES:
            return clock(value) if value else "not set"
        return f"{value:.12g}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        value = ", ".join(sorted(map(str, value)))
    return clipped(str(value)) or "empty"


def clipped(text: str) -> str:
    """Text of strangers for a terminal: printable, and of bounded length."""
    text = printable(text)
    return text if len(text) <= 100 else f"{text[:99]}…"


def clause_lines(clauses: Sequence[Clause]) -> list[str]:
    """One line for each clause: whether it holds, what it asks, what the item has; parts stand below their whole."""
    rows = list(flat(clauses))
    width = max((2 * depth + len(_said(clause)) for depth, clause in rows), default=0)
    return [_line(depth, clause, min(width, 50)) for depth, clause in rows]


def flat(clauses: Sequence[Clause], depth: int = 0) -> Iterator[tuple[int, Clause]]:
    for clause in clauses:
        yield depth, clause
        yield from flat(clause.parts, depth + 1)


def tree(clauses: Sequence[Clause]) -> list[dict[str, Any]]:
    """The same for a program."""
    return [
        {
            "text": clause.text,
            "field": clause.field,
            "value": _plain(clause.value),
            "verdict": clause.verdict,
            "parts": tree(clause.parts),
        }
        for clause in clauses
    ]


def until(hold: Hold, now: float) -> str:
    """What is added to a hold that ends by itself."""
    return "" if hold.until is None or hold.until <= now else f", until {moment(hold.until, now)}"


def _line(depth: int, clause: Clause, width: int) -> str:
    said = f"{'  ' * depth}{_said(clause)}"
    value = f"  {clause.field} is {shown(clause.field, clause.value)}" if clause.field else ""
    return f"{'yes' if clause.verdict else 'NO '}  {said:<{width}}{value}".rstrip()


def _said(clause: Clause) -> str:
    return printable(clause.text)


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        return sorted(printable(str(part)) for part in value)
    return printable(str(value))
