"""Events of housekeeping until the scheduler has stored them: also those of a killed run, and of commands."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.events import TorrentRemoved, UniqueEvent
from pyrotorque.housekeeping.journal import RemovalRecord
from pyrotorque.json_input import JsonDecoder
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json, printable

log = logging.getLogger(__name__)

FOLDER: Final = "events"
_SUFFIX: Final = ".json"
_AT_ONCE: Final = 500
KEPT: Final = 5_000

_decoder: Final[JsonDecoder[UniqueEvent]] = JsonDecoder(UniqueEvent)


@dataclass
class PendingEvents:
    """One file for each event in a folder that all jobs share; `publish` is None outside of the scheduler."""

    folder: Path
    publish: Callable[[str, UniqueEvent], None] | None = None
    _sent: list[Path] = field(default_factory=list[Path])

    def begin_run(self) -> None:
        """Forget what was published: the scheduler has stored the events of a run before it starts the next one."""
        for path in self._sent:
            path.unlink(missing_ok=True)
        self._sent.clear()

    def add(self, identity: str, event: UniqueEvent) -> None:
        """Keep the event; repeated with the same `identity` after a kill it is the first one. Raises StateError."""
        path = self.folder / f"{identity}{_SUFFIX}"
        if path.exists():
            return
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        write_atomically(path, encode_json(event))

    def send(self) -> None:
        """Publish the oldest events; the scheduler stores each once, however often it is sent."""
        files = sorted((path.stat().st_mtime, path) for path in self.folder.glob(f"*{_SUFFIX}"))
        for _, path in files[:-KEPT]:  # no scheduler has taken any for long
            path.unlink(missing_ok=True)
        for _, path in files[-KEPT:][:_AT_ONCE] if self.publish else ():
            try:
                event = _decoder.decode(read_regular_file(path))
            except OSError as error:
                log.warning("%s cannot be read now: %s; its event is published later", path, error.strerror)
                continue
            except msgspec.DecodeError as error:
                log.error("%s is damaged: %s; its event is not published", path, error)
                path.unlink(missing_ok=True)
                continue
            if self.publish is not None:
                self.publish(path.name.removesuffix(_SUFFIX), event)
                self._sent.append(path)


def removed_event(removal: RemovalRecord) -> TorrentRemoved:
    """The event of a finished removal."""
    return TorrentRemoved(
        at=removal.at,
        info_hash=removal.info_hash,
        name=removal.name,
        job=removal.job,
        reason=removal.reason,
        data=removal.data,
        size=removal.frees,
        freed=removal.frees if removal.data == "delete" else 0,
        files=len(removal.files),
        kept_files=removal.kept,
        quarantine=printable(removal.entry) if removal.data == "quarantine" else "",
    )
