"""Group `disks`: the disks of items and watched folders, and what the started items on them still need."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.core import Metric

from pyrotorque.disk_usage import Disk, DiskUsage
from pyrotorque.fields.converters import bytes_left
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.families import by_label

_FOLDERS_EVERY: Final = 600.0
"""Seconds between two readings of the folders of all items: they rarely move to a new disk."""
_STARTED: Final = ("d.directory=", "d.is_multi_file=", "d.left_bytes=", "d.wanted_chunks=", "d.chunk_size=")


class DisksCollector:
    """One call for the incomplete items that are started; one for the folders of all items, every ten minutes."""

    name = "disks"
    uses_rtorrent = True

    def __init__(
        self, roots: Sequence[str], usage: DiskUsage | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._roots, self._clock = tuple(roots), clock
        self._usage = usage or DiskUsage()
        self._folders: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        # rTorrent refuses d.wanted_chunks on a restricted connection.
        started = context.calls.rows(self.name, "incomplete", _STARTED, where="d.is_active=", restricted=False)
        if self._clock() - self._read_at >= _FOLDERS_EVERY:
            rows = context.calls.rows(self.name, "main", ("d.directory=", "d.is_multi_file="))
            self._folders, self._read_at = frozenset(_folder(row) for row in rows), self._clock()
        promised: Counter[str] = Counter()
        for row in started:
            promised[_folder(row)] += bytes_left(*row[2:])
        disks = self._measured(promised)
        if not self._usage.is_measuring:
            self._folders = frozenset(self._usage.one_of_each(sorted(self._folders)))
        yield from _space(disks)
        needed = dict.fromkeys((disk.device for disk in disks), 0)
        for folder, left in promised.items():
            if (device := self._usage.device(folder)) in needed:
                needed[device] += left
        yield by_label(
            "gauge",
            "pyrotorque_disk_promised_bytes",
            "Bytes that the started items on a disk still have to download.",
            "mountpoint",
            {disk.mountpoint: float(needed[disk.device]) for disk in disks},
        )

    def collect_rest(self, context: ScrapeContext) -> Iterator[Metric]:
        """The disks without what is promised: a full disk may be why rTorrent does not answer."""
        del context
        yield from _space(self._measured(()))

    def _measured(self, more: Sequence[str] | Counter[str]) -> list[Disk]:
        return self._usage.measure((*self._roots, *sorted(self._folders.union(more))))


def _space(disks: Sequence[Disk]) -> Iterator[Metric]:
    yield by_label(
        "gauge",
        "pyrotorque_disk_free_bytes",
        "Bytes that can still be written to a disk that holds items or a watched folder.",
        "mountpoint",
        {disk.mountpoint: float(disk.free) for disk in disks},
    )
    yield by_label(
        "gauge",
        "pyrotorque_disk_size_bytes",
        "Size of a disk that holds items or a watched folder.",
        "mountpoint",
        {disk.mountpoint: float(disk.size) for disk in disks},
    )


def _folder(row: Sequence[str]) -> str:
    """The folder that items share: an item of several files has one of its own, which is on the same disk."""
    directory, is_multi_file = row[0], row[1]
    return os.path.dirname(directory) if is_multi_file != "0" else directory
