"""The roots that the watcher leaves out, because their filesystem does not answer: all others do not wait for it."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyrotorque.hanging_roots import answering_job, folders_of
from pyrotorque.humanize import duration
from pyrotorque.linux.hanging_folders import HangingFolders
from pyrotorque.logs import owner_event
from pyrotorque.settings.schema import WatchSettings
from pyrotorque.text import printable
from pyrotorque.watchroots import roots_of

log = logging.getLogger(__name__)


@dataclass
class LeftOutRoots:
    """Each is reported once, and when it answers again."""

    looks: HangingFolders
    _hanging: frozenset[bytes] = frozenset()
    _by_job: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])
    _since: dict[bytes, float] = field(default_factory=dict[bytes, float])

    def find(self, jobs: Iterable[WatchSettings]) -> list[WatchSettings]:
        """These jobs, without the roots that are left out from now on."""
        jobs = list(jobs)
        self._hanging = self.looks.find(folder for job in jobs for folder in folders_of(job))
        answering = [answering_job(job, self._hanging) for job in jobs]
        self._by_job.clear()
        for job, kept in zip(jobs, answering, strict=True):
            left = {root.path for root in roots_of(job)} - {root.path for root in roots_of(kept)}
            if left:
                self._by_job[job.name] = sorted(left)
            for folder in self._hanging.intersection(folders_of(job)):
                self._report(job.name, folder)
        for folder in self._since.keys() - self._hanging:
            self._report_end(folder)
        return answering

    @property
    def hanging(self) -> frozenset[bytes]:
        """The folders that did not answer."""
        return self._hanging

    @property
    def paths(self) -> frozenset[bytes]:
        """The roots that are left out."""
        return frozenset(path for paths in self._by_job.values() for path in paths)

    def of(self, job: str) -> list[bytes]:
        return self._by_job.get(job, [])

    @property
    def is_outdated(self) -> bool:
        """Whether one of them answers now."""
        return bool(self._hanging) and not self._hanging <= self.looks.waiting

    def _report(self, job: str, folder: bytes) -> None:
        if folder in self._since:
            return
        self._since[folder] = time.monotonic()
        text = (
            f"{job}: {printable(folder)} does not answer: what needs it waits until it does, and other trees go on; "
            "see whether its server or disk is there"
        )
        log.warning("%s", text)
        owner_event("root missing", text, subject=printable(folder))

    def _report_end(self, folder: bytes) -> None:
        away = duration(time.monotonic() - self._since.pop(folder))
        text = f"{printable(folder)} answers again after {away}"
        log.info("%s", text)
        owner_event("root back", text, subject=printable(folder))
