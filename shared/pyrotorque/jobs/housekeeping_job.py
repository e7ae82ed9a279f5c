"""Base of jobs that remove items or files: their lock, their shared folder, and what belongs to no torrent."""

from functools import cached_property
from pathlib import Path
from typing import Final

from pyrotorque.confinement import private_folders
from pyrotorque.housekeeping.activity import FOLDER
from pyrotorque.housekeeping.own_clock import OwnClock
from pyrotorque.housekeeping.quarantine import NAME
from pyrotorque.jobs.base import Job
from pyrotorque.layout import Layout
from pyrotorque.locks import hold

_LOCK: Final = "lock"


class HousekeepingJob(Job):
    """All such jobs of a group share one folder and one lock, so that only one of them acts at a time."""

    below: tuple[Path, ...] = ()
    chosen_quarantine: Path | None = None

    @property
    def folder(self) -> Path:
        """The private folder that all housekeeping of the group shares."""
        return self.state_dir.parents[1] / FOLDER

    @property
    def clock(self) -> OwnClock:
        """What all times that must pass before something goes are counted by."""
        return OwnClock(self.folder)

    def locked(self) -> int:
        """The descriptor of the lock, to be closed. Raises AlreadyRunning."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return hold(self.folder / _LOCK, "another clean-up is running", "it is repeated at the next time")

    def quarantines(self) -> list[Path]:
        """The quarantine folders of this job."""
        return [self.chosen_quarantine] if self.chosen_quarantine else [folder / NAME for folder in self.below]

    @cached_property
    def private(self) -> tuple[Path, ...]:
        """The folders of pyrotorque and rTorrent's configuration, whose files are no data of torrents."""
        context = self._context
        if context.config_dir is None:
            return ()
        return private_folders(Layout.below(context.config_dir, state_dir=context.state_dir))
