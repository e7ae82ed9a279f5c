"""The roots of all tree watches: each folder belongs to one root, the innermost one, and so to one job."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pyrotorque.linux.filesystems import is_within, location, read_mounts
from pyrotorque.settings.schema import Settings, WatchSettings

_FRESH: Final = 1.0  # seconds: links and mounts may change, and a root may appear
_CACHED_MAX: Final = 100_000


class WatchRoot(NamedTuple):
    """A root as the settings of its job have it, made absolute."""

    job: str
    path: bytes


def roots_of(job: WatchSettings) -> list[WatchRoot]:
    """The roots of one job, each once."""
    paths = dict.fromkeys(os.fsencode(path.expanduser().absolute()) for path in job.path)
    return [WatchRoot(job.name, path) for path in paths]


def active_roots(settings: Settings) -> "WatchRoots":
    """Those of all active jobs."""
    return WatchRoots([root for job in settings.active_jobs(WatchSettings) for root in roots_of(job)])


@dataclass(slots=True)
class WatchRoots:
    """Compares real places: a root may be inside another one by a link, a bind mount or `..`."""

    roots: Sequence[WatchRoot]
    _read: float = float("-inf")
    _places: list[tuple[bytes, WatchRoot]] = field(default_factory=list[tuple[bytes, WatchRoot]])
    _owners: dict[bytes, WatchRoot | None] = field(default_factory=dict[bytes, WatchRoot | None])

    def owner(self, folder: bytes) -> WatchRoot | None:
        """The root that the files in `folder` belong to; None outside of all roots.

        Of equal roots the first one: `check` refuses them.
        """
        self._refresh()
        if folder not in self._owners:
            self._owners[folder] = self._owner(folder)
        return self._owners[folder]

    def owns(self, root: WatchRoot, folder: bytes) -> bool:
        """Whether the files in `folder`, which is below `root`, belong to it and not to a root inside of it."""
        return len(self.roots) <= 1 or self.owner(folder) in (root, None)

    def renamed(self, root: WatchRoot, path: bytes) -> bytes:
        """`path` as the job of `root`, which owns it, finds it: below this root."""
        if is_within(path, root.path):
            return path
        folder, _, name = path.rpartition(b"/")
        mounts = read_mounts()
        relative = location(folder, mounts)[len(location(root.path, mounts)) :].strip(b"/")
        return b"/".join(filter(None, (root.path, relative, name)))

    def equal(self) -> list[tuple[WatchRoot, WatchRoot]]:
        """Pairs of roots that are one folder."""
        return [(earlier, later) for earlier, later in self._pairs(self.places()) if earlier is not None]

    def inside(self) -> list[tuple[WatchRoot, WatchRoot]]:
        """Each root of one job inside a root of another one, and the nearest such root."""
        found: list[tuple[WatchRoot, WatchRoot]] = []
        places = self.places()
        for place, root in places:
            around = [(at, other) for at, other in places if at != place and is_within(place, at)]
            if around and (nearest := max(around, key=lambda each: len(each[0]))[1]).job != root.job:
                found.append((root, nearest))
        return found

    def places(self) -> list[tuple[bytes, WatchRoot]]:
        """Where each root is."""
        self._refresh()
        return self._places

    @staticmethod
    def _pairs(places: Iterable[tuple[bytes, WatchRoot]]) -> Iterable[tuple[WatchRoot | None, WatchRoot]]:
        first: dict[bytes, WatchRoot] = {}
        for place, root in places:
            yield first.get(place), root
            first.setdefault(place, root)

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._read > _FRESH or len(self._owners) > _CACHED_MAX:
            mounts = read_mounts()
            self._places = [(location(root.path, mounts), root) for root in self.roots]
            self._owners.clear()
            self._read = now

    def _owner(self, folder: bytes) -> WatchRoot | None:
        there = location(folder, read_mounts())
        around = [(len(place), root) for place, root in self._places if is_within(there, place)]
        if not around:  # behind a link to a place outside of all roots
            around = [(len(root.path), root) for root in self.roots if is_within(folder, root.path)]
        return max(around, key=lambda each: each[0], default=(0, None))[1]
