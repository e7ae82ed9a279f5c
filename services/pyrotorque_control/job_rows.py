"""The jobs of the group for `pyrotorque status`: the last result of each, and when it runs next; failing ones first."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyrotorque import humanize
from pyrotorque.settings.handlers import NEEDS_OWNER, PROBLEMS
from pyrotorque.text import counted, printable

if TYPE_CHECKING:
    from rich.text import Text

_REASON_MAX = 120


def job_rows(jobs: Iterable[Mapping[str, Any]], now: float) -> "list[tuple[str, Text, str, str]]":
    """Name, last result, its age, and the next run of each job."""
    from rich.text import Text

    rows: list[tuple[str, Text, str, str]] = []
    for job in sorted(jobs, key=_order):
        last = job.get("last_run")
        failed = last is not None and not last["ok"]
        result = Text(_result(last), style="red" if failed else "")
        age = humanize.age(last["at"], now) if last else ""
        rows.append((printable(str(job["job"])), result, age, _next(job, now)))
    return rows


def _order(job: Mapping[str, Any]) -> tuple[bool, str]:
    last = job.get("last_run")
    return last is None or bool(last["ok"]), str(job["job"])


def _result(last: Mapping[str, Any] | None) -> str:
    if last is None:
        return "has not run"
    if last["ok"]:
        return f"ok, {humanize.duration(last['seconds'])}"
    reason = printable(str(last["reason"]))
    return f"failed: {reason if len(reason) <= _REASON_MAX else reason[: _REASON_MAX - 1] + '…'}"


def _events(names: Sequence[str]) -> list[str]:
    """The events that a job runs on; those of a notification by their common name."""
    if not set(NEEDS_OWNER) <= set(names):
        return list(names)
    return [PROBLEMS, *(name for name in names if name not in NEEDS_OWNER)]


def _next(job: Mapping[str, Any], now: float) -> str:
    if job.get("paused"):
        return "paused"
    parts: list[str] = []
    if job.get("next_fire") is not None:
        parts.append(f"in {humanize.duration(job['next_fire'] - now)}")
    if job.get("on"):
        parts.append(f"on {', '.join(_events(job['on']))}")
    if job.get("events"):
        parts.append(f"{counted(job['events'], 'event')} queued")
    return "; ".join(parts)
