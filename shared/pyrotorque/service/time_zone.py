"""Detects that the machine's time zone was changed: a process keeps the one that it started with."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyrotorque.local_time import MACHINE_ZONE, zone_file

# Programs that change the zone write more than one file, and a new process may not start in between.
_STABLE: Final = 5.0


class TimeZoneWatch:
    """Compares the zone's file with what it was at first."""

    def __init__(self, environ: Mapping[str, str] = os.environ, local: Path = MACHINE_ZONE) -> None:
        self.file = zone_file(environ, local)
        self._stamp = _stamp(self.file)
        self._content = _content(self.file)
        self._changed_at: float | None = None

    def has_changed(self, monotonic: float) -> bool:
        """Whether the file has had another content for some seconds."""
        stamp = _stamp(self.file)
        if stamp != self._stamp:
            self._stamp = stamp
            is_same = stamp is None or _content(self.file) == self._content  # missing while it is replaced
            self._changed_at = None if is_same else monotonic
        return self._changed_at is not None and monotonic - self._changed_at >= _STABLE


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(1 << 16)
    except OSError:
        return b""
