"""The jobs as the scheduler has stored them, for `pyrotorque status` while it does not answer."""

import time
from typing import Any

from pyrotorque.errors import UserError
from pyrotorque.layout import Layout
from pyrotorque.schedule import parse_schedule
from pyrotorque.settings.schema import AnyJob, CustomSettings, QueueSettings, Settings, StatsSettings
from pyrotorque.store import rows_of_other
from pyrotorque.stored_configuration import last_good

_RUNS = "SELECT job, at, seconds, ok, reason FROM last_runs"
# Those of queues and of statistics are in memory only; of a queue, the newest decision is stored.
_DECISIONS = (
    "SELECT job, at, text, name FROM decisions WHERE number IN (SELECT max(number) FROM decisions GROUP BY job)"
)


def stored_jobs(layout: Layout) -> list[dict[str, Any]]:
    """The active jobs as the scheduler describes them: results from its file, next runs from the configuration."""
    settings = last_good(layout)
    file = layout.database("scheduler")
    paused = {job for (job,) in rows_of_other(file, "SELECT job FROM paused")}
    queued = dict(rows_of_other(file, "SELECT job, count(*) FROM event_runs GROUP BY job"))
    runs = {
        job: {"at": at, "seconds": seconds, "ok": bool(ok), "reason": reason}
        for job, at, seconds, ok, reason in rows_of_other(file, _RUNS)
    }
    decisions = {
        job: {"at": at, "text": f"{text} ({name})" if name else text}
        for job, at, text, name in rows_of_other(file, _DECISIONS)
    }
    return [
        {
            "job": job.name,
            "paused": job.name in paused,
            "next_fire": _next_fire(job.schedule),
            "last_run": runs.get(job.name),
            **_by_kind(job, decisions.get(job.name), queued.get(job.name, 0)),
        }
        for job in (_jobs(settings) if settings else ())
    ]


def _jobs(settings: Settings) -> list[AnyJob]:
    kinds: tuple[type[QueueSettings | StatsSettings | CustomSettings], ...] = (
        QueueSettings,
        StatsSettings,
        CustomSettings,
    )
    return sorted((job for kind in kinds for job in settings.active_jobs(kind)), key=lambda job: job.name)


def _by_kind(job: AnyJob, decision: dict[str, Any] | None, queued: int) -> dict[str, Any]:
    if isinstance(job, CustomSettings):
        events = {"on": job.on, "after": job.after, "events": queued} if job.on else {}
        return {"kind": "custom", **events}
    return {"kind": "queue" if isinstance(job, QueueSettings) else "stats", "last_decision": decision}


def _next_fire(schedule: str) -> float | None:
    try:
        return parse_schedule(schedule).next_fire(time.time()) if schedule else None
    except UserError:
        return None
