"""Watches the bell with inotify: a file that rTorrent reads when an item is inserted, completed or erased.

Reading it costs rTorrent no fork, and inotify merges events while the scheduler is busy. The watcher reads it as well,
after it has loaded an item that a queue may start: see `pyrotorque.bell_file`.
"""

import ctypes
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

# inotify(7)
_IN_CLOSE_NOWRITE: Final = 0x10
_IN_IGNORED: Final = 0x8000
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC
_TEXT: Final = b"# Read by rTorrent to ring the scheduler's bell: see rtorrent.d/bell.rc. It stays empty.\n"
_EVENTS_MAX: Final = 64 * 1024


class Bell:
    """`fd` becomes readable when rTorrent reads the file; without inotify or the include, ticks alone cause checks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(_FLAGS)
        self._watched = False
        self.watch()

    def watch(self) -> None:
        """Create the file and watch it, also after it was removed."""
        if self._watched or self.fd < 0:
            return
        try:
            self._write()
        except OSError as error:
            log.debug("cannot create the bell %s: %s", self._path, error)
            return
        watch = self._libc.inotify_add_watch(self.fd, os.fsencode(self._path), _IN_CLOSE_NOWRITE)
        self._watched = watch >= 0

    def drain(self) -> None:
        """Read the pending events."""
        with suppress(BlockingIOError):
            events = os.read(self.fd, _EVENTS_MAX)
            masks = (int.from_bytes(events[at + 4 : at + 8], "little") for at in range(0, len(events), 16))
            if any(mask & _IN_IGNORED for mask in masks):
                self._watched = False

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _write(self) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "r+b") as opened:
            # rTorrent executes what it reads there: replace everything but this comment.
            if opened.read(len(_TEXT) + 1) != _TEXT:
                opened.seek(0)
                opened.truncate()
                opened.write(_TEXT)
