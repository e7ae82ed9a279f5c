"""Finds other groups that run on the same rTorrent: their numbers in the mark of its session grow while we look.

A name in the mark proves nothing: it may be that of a group that was stopped, moved or restored.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from pyrotorque.rtorrent.session_mark import GroupUse, SessionMark, group_use

# Looks that find a group alive before it is reported: one may be the last sign of a group that was stopped.
_SIGNS: Final = 2
# Looks without a sign after which a group is gone: one that is busy may be late.
_QUIET: Final = 5


class Changes(NamedTuple):
    """Groups by their configuration directory; on another host, with its name."""

    appeared: list[str]
    gone: list[str]


@dataclass(slots=True)
class _Seen:
    run: str = ""
    beats: int = -1
    signs: int = 0
    quiet: int = 0

    @property
    def may_run(self) -> bool:
        return self.signs > 0 and self.quiet < _QUIET


class OtherGroups:
    """`home` is our configuration directory. A group that does not change items is no trouble, and has none."""

    def __init__(self, home: Path, *, changes_items: bool) -> None:
        self._run = os.urandom(4).hex()
        self._use = group_use(home, os.uname().nodename)
        self._changes_items = changes_items
        self._reported: set[str] = set()
        self._seen: dict[str, _Seen] = {}
        self._has_looked = False

    def restore(self, reported: Iterable[str]) -> None:
        """Groups that were reported before a restart of ours: they have ended if they show no sign from now on."""
        self._reported = set(reported)
        self._seen = {each: _Seen(signs=_SIGNS) for each in self._reported}

    @property
    def has_signs(self) -> bool:
        """Whether another group may run: ours shows in the mark that it runs, too, from then on."""
        return any(seen.may_run for seen in self._seen.values())

    def look(self, uses: Mapping[str, GroupUse]) -> Changes:
        """What changed since the last look; the first one only records the numbers."""
        found = {self._subject(use): (run, use.beats) for run, use in uses.items() if run != self._run}
        if not self._changes_items:
            found, self._seen = {}, {}
        for subject in {*found, *self._seen}:
            seen = self._seen.setdefault(subject, _Seen())
            run, beats = found.get(subject, (seen.run, seen.beats))
            is_sign = self._has_looked and (run != seen.run or beats > seen.beats)
            seen.signs, seen.quiet = (seen.signs + 1, 0) if is_sign else (seen.signs, seen.quiet + 1)
            seen.run, seen.beats = run, beats
            if not seen.may_run:
                seen.signs = 0
        self._has_looked = True
        running = {subject for subject, seen in self._seen.items() if seen.signs >= _SIGNS}
        changes = Changes(sorted(running - self._reported), sorted(self._reported - running))
        self._reported = running
        return changes

    def beat(self, mark: SessionMark) -> SessionMark:
        """The mark with a new number of ours; without any if the group changes no items."""
        if not self._changes_items:
            return mark.unused(self._run, self._use)
        self._use = msgspec.structs.replace(self._use, beats=self._use.beats + 1)
        return mark.used(self._run, self._use)

    def _subject(self, use: GroupUse) -> str:
        return use.home if use.host == self._use.host else f"{use.home} on {use.host}"
