"""What each service has to tell, in lines for a person, from the facts that it gives."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from pyrotorque.text import printable
from pyrotorque_control.overview import ServiceView


def lines(service: ServiceView) -> list[str]:
    """At least one line; for queues and tree watches one each."""
    if service.state == "STARTING" and service.data is None:
        return [""]
    told = _TELLERS.get(service.name)
    if told is None or not isinstance(service.data, Mapping):
        return [service.says]
    return list(told(service.says, service.data)) or [service.says]


def _scheduler(says: str, data: Mapping[str, Any]) -> Iterator[str]:
    yield says
    for job in data.get("jobs", ()):
        name = printable(str(job.get("job")))
        if job.get("paused"):
            yield f"{name}: paused (`pyrotorque resume {name}`)"
        elif job.get("last"):
            yield f"{name}: {job['last']}{_next(job.get('next_fire'))}"


def _next(moment: float | None) -> str:
    return "" if moment is None else f" (next tick {time.strftime('%H:%M:%S', time.localtime(moment))})"


def _watcher(says: str, data: Mapping[str, Any]) -> Iterator[str]:
    jobs: Mapping[str, Any] = data.get("jobs", {})
    if says:
        yield says
    if not jobs:
        yield "no tree watch is active"
    for name, job in jobs.items():
        yield f"{name}: {_folders(job)}"
    counts: Mapping[str, int] = data.get("metafiles", {})
    if counts:
        yield "metafiles: " + ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    if data.get("rtorrent") == "away":
        yield "rTorrent is away: what comes is loaded when it is back"


def _folders(job: Mapping[str, Any]) -> str:
    said = f"watches {', '.join(job.get('roots', ()))}"
    if missing := job.get("missing"):
        said += f"; missing: {', '.join(missing)}"
    if polled := job.get("polled"):
        said += "; polled: " + ", ".join(f"{root} ({why})" for root, why in polled.items())
    return said


_TELLERS = {"scheduler": _scheduler, "watcher": _watcher}
