"""The context of a job in its process: rTorrent's address, folders, and where its reports go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pyrotorque.events import JobReported, UniqueEvent
from pyrotorque.layout import Layout

if TYPE_CHECKING:
    from pyrotorque.customfields import CustomFieldWorker
    from pyrotorque.fields.field import Field


def job_state_dir(state_dir: Path, job: str) -> Path:
    """The private folder of a job."""
    return state_dir / "jobs" / quote(job, safe="")


def _discard(_: JobReported) -> None:
    pass


@dataclass
class JobContext:
    """The defaults hold outside of a worker, for example in a test of a job: no rTorrent, reports are discarded."""

    config_dir: Path | None = None
    state_dir: Path | None = None
    run_dir: Path | None = None
    reviewed_config_py: Path | None = None
    """The copy of config.py that was checked: if there is one, its content is used."""
    url: str | None = None
    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    traits_by_alias: Mapping[str, str] = field(default_factory=dict[str, str])
    publish: Callable[[JobReported], None] = _discard
    publish_once: Callable[[str, UniqueEvent], None] | None = None
    """Gets an event and a unique name of what happened; None if the scheduler does not accept these events."""
    _custom: "CustomFieldWorker | None" = None

    def private_folders(self, session: bytes = b"") -> tuple[Path, ...]:
        """The folders and files of pyrotorque and rTorrent that receive no content of torrents."""
        from pyrotorque.confinement import private_folders

        if self.config_dir is None:
            return ()
        return private_folders(Layout.below(self.config_dir, run_dir=self.run_dir, state_dir=self.state_dir), session)

    def custom_worker(self) -> "CustomFieldWorker | None":
        """The process of the user's config.py; None without that file."""
        if self._custom is None and self.config_dir is not None:
            path, reviewed = self.config_dir / "config.py", self.reviewed_config_py
            if path.exists() or (reviewed is not None and reviewed.exists()):
                from pyrotorque.customfields import CustomFieldWorker

                self._custom = CustomFieldWorker(path, reviewed=reviewed)
        return self._custom

    def close(self) -> None:
        """End the process of config.py, if it was started."""
        if self._custom is not None:
            self._custom.close()

    def custom_fields(self) -> "Mapping[str, Field]":
        worker = self.custom_worker()
        return worker.declared().fields if worker else {}

    def state_dir_of(self, job: str) -> Path:
        if self.state_dir is None:
            raise RuntimeError("this job does not run in a worker process: it has no state folder")
        return job_state_dir(self.state_dir, job)


_current = JobContext()


def current_context() -> JobContext:
    return _current


def set_context(context: JobContext) -> None:
    """Use `context` for jobs that are constructed from now on."""
    global _current
    _current = context
