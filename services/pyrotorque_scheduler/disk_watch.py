"""Reports disks that are nearly full, and those that have room again."""

import os
from dataclasses import dataclass
from typing import Final

from pyrotorque.configuration import Configuration
from pyrotorque.disk_usage import Disk, DiskUsage
from pyrotorque.events import DiskLow, DiskRecovered
from pyrotorque.humanize import duration, size
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable
from pyrotorque.watchroots import active_roots
from pyrotorque_scheduler.open_problems import OpenProblems

KIND: Final = "disk low"
_EVERY: Final = 60.0
_FOLDERS_EVERY: Final = 600.0
"""Seconds between two readings of the folders of all items: they rarely move to a new disk."""
_RECOVERED: Final = 1.1
"""A disk around the limit would be reported again and again: it has recovered this much above it."""


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """A disk is low with less free than both; `percent` 0: never."""

    percent: float
    bytes: int

    def is_low(self, disk: Disk, factor: float = 1.0) -> bool:
        return disk.free * 100 < disk.size * self.percent * factor and disk.free < self.bytes * factor


class DiskWatch:
    """The disks of watched folders, of the state, of rTorrent's session and of all items."""

    def __init__(self, configuration: Configuration, problems: OpenProblems, usage: DiskUsage | None = None) -> None:
        settings, layout = configuration.settings, configuration.layout
        self._limits = DiskLimits(settings.disk_free_percent, settings.disk_free_bytes)
        roots = [os.fsdecode(root.path) for root in active_roots(settings).roots]
        self._folders = (*roots, str(layout.state_dir), str(layout.log_dir))
        self._rtorrent = RTorrent.from_settings(settings.rtorrent)
        self._problems = problems
        self._usage = usage or DiskUsage()
        self._item_folders: frozenset[str] = frozenset()
        self._measured_at = self._read_at = float("-inf")
        self._has_begun = False

    def is_due(self, now: float) -> bool:
        """Whether to measure at `now` (monotonic)."""
        return self._limits.percent > 0 and now - self._measured_at >= _EVERY

    def read_items(self, session: bytes, now: float) -> bool:
        """Read the folders of all items, unless they were read a short time ago. Raises RTorrentError."""
        if self._rtorrent is None or now - self._read_at < _FOLDERS_EVERY:
            return False
        rows = self._rtorrent.rows("main", ("d.directory=", "d.is_multi_file="))
        found = {os.path.dirname(directory) if multi != "0" else directory for directory, multi in rows}
        self._item_folders = frozenset({*found, os.fsdecode(session)} - {""})
        self._read_at = now
        return True

    def begin(self, now: float) -> None:
        """Begin a measurement, which no turn waits for: a network disk may not answer."""
        self._measured_at = now
        self._has_begun = self._usage.start((*self._folders, *sorted(self._item_folders))) or self._has_begun

    def report(self, at: float) -> None:
        """Report what has changed if a measurement has ended; `at` is Unix seconds."""
        if not self._has_begun or self._usage.is_measuring:
            return
        self._has_begun = False
        disks = self._usage.results((*self._folders, *sorted(self._item_folders)))
        self._item_folders = frozenset(self._usage.one_of_each(sorted(self._item_folders)))
        for disk in disks:
            self._report(disk, at)

    def _report(self, disk: Disk, at: float) -> None:
        point = printable(disk.mountpoint)
        began = self._problems.began(KIND, point)
        room = f"{size(disk.free)} of {size(disk.size)} are free"
        if began is None and self._limits.is_low(disk):
            event = DiskLow(at=at, mountpoint=point, free=disk.free, size=disk.size)
            text = f"the disk at {point} is nearly full: {room}; make room"
            self._problems.begin(KIND, point, at, event, "disk low", text)
        elif began is not None and not self._limits.is_low(disk, _RECOVERED):
            seconds = max(0.0, at - began)
            back = DiskRecovered(at=at, mountpoint=point, free=disk.free, size=disk.size, seconds=seconds)
            text = f"the disk at {point} has room again after {duration(seconds)}: {room}"
            self._problems.end(KIND, point, back, "disk recovered", text)
