"""Passes fire times to the loop: APScheduler keeps the schedules and wakes the loop; it runs nothing itself."""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from apscheduler.events import EVENT_JOB_MISSED
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from pyrotorque.schedule import Schedule

_MISFIRE_GRACE: Final = 60


class FireTimes:
    """Schedules by job; `wake` is called in APScheduler's thread whenever one fires."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._due: deque[str] = deque()
        self._missed: deque[str] = deque()
        self._schedules: dict[str, Schedule] = {}
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        # The executor runs in APScheduler's own thread: a fire is one append and one wake-up.
        self._scheduler: Any = BackgroundScheduler(
            executors={"default": DebugExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _MISFIRE_GRACE},
        )
        self._scheduler.add_listener(self._on_missed, EVENT_JOB_MISSED)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def set_schedules(self, schedules: Mapping[str, Schedule]) -> None:
        """Fire for these jobs only; unchanged schedules go on undisturbed."""
        for name in self._schedules.keys() - schedules.keys():
            self._scheduler.remove_job(name)
        for name, schedule in schedules.items():
            if self._schedules.get(name) != schedule:
                self._scheduler.add_job(
                    self._fire, schedule.trigger, args=(name,), id=name, name=name, replace_existing=True
                )
        self._schedules = dict(schedules)

    def recompute(self) -> None:
        """Compute all fire times again after the system clock was set: the old ones may be far in the future."""
        for name, schedule in self._schedules.items():
            self._scheduler.reschedule_job(name, trigger=schedule.trigger)

    def due(self) -> list[str]:
        """The jobs that fired since the last call, each once."""
        return list(dict.fromkeys(_drained(self._due)))

    def missed(self) -> list[str]:
        """The jobs that could not fire in time since the last call."""
        return _drained(self._missed)

    def next_fires(self) -> dict[str, float]:
        """When each job fires next, in Unix seconds."""
        times = ((job.id, job.next_run_time) for job in self._scheduler.get_jobs())
        return {name: at.timestamp() for name, at in times if at is not None}

    def _fire(self, name: str) -> None:
        self._due.append(name)
        self._wake()

    def _on_missed(self, event: Any) -> None:
        self._missed.append(event.job_id)
        self._wake()


def _drained(names: deque[str]) -> list[str]:
    drained: list[str] = []
    while names:
        drained.append(names.popleft())
    return drained
