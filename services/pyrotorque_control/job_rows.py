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
        result = Text(_result(job), style="red" if failed else "")
        known = last or job.get("last_decision")
        age = humanize.age(known["at"], now) if known else ""
        rows.append((printable(str(job["job"])), result, age, _next(job, now)))
    return rows


def _order(job: Mapping[str, Any]) -> tuple[bool, str]:
    last = job.get("last_run")
    return last is None or bool(last["ok"]), str(job["job"])


def _result(job: Mapping[str, Any]) -> str:
    if "last_run" not in job:
        return "not known"  # a scheduler of 1.0.0, until it is restarted
    last = job["last_run"]
    if last is None:
        # Only a stored job has the key: without a decision, nothing of it is stored.
        decision = job.get("last_decision", {"text": "has not run"})
        return _shortened(decision["text"]) if decision else "not known"
    if last["ok"]:
        return f"ok, {humanize.duration(last['seconds'])}"
    return f"failed: {_shortened(last['reason'])}"


def _shortened(text: object) -> str:
    shown = printable(str(text))
    return shown if len(shown) <= _REASON_MAX else shown[: _REASON_MAX - 1] + "…"


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
