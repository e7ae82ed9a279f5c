"""Writes the heartbeat of this group with its facts, which are read from rTorrent every ten seconds."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from importlib.metadata import version
from typing import Final, Protocol

import msgspec

from pyrotorque.errors import RTorrentError
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import FleetSettings, Settings, WatchSettings
from pyrotorque_fleet.facts import with_rtorrent
from pyrotorque_fleet.messages import GroupFacts, encode

log = logging.getLogger(__name__)

_FACTS_EVERY: Final = 10.0
_SHARE: Final = 0.05
_SILENT_PART: Final = 3.0
_PROBLEMS_MAX: Final = 8
_JOBS_MAX: Final = 16
_JOB_MAX: Final = 64
_BROKEN: Final = frozenset(("FATAL", "BACKOFF"))


def interval(settings: FleetSettings, groups: int) -> float:
    """Seconds between two heartbeats: so that all groups together write at most twenty a second, as far as
    `fleet.silent` permits that."""
    return max(settings.beat, min(settings.silent / _SILENT_PART, groups * _SHARE))


class FactsLink(Protocol):
    """The part of the link that is needed here."""

    def put_facts(self, value: bytes) -> Future[None]: ...


class GroupHeartbeat:
    """`states` has the states of this group's services; times are CLOCK_MONOTONIC."""

    def __init__(self, settings: Settings, started: int, rtorrent: RTorrent | None, states: Mapping[str, str]) -> None:
        self.started = started
        """Identifies this process among those that use its name."""
        self.due = 0.0
        self._settings, self._rtorrent, self._states = settings, rtorrent, states
        self._number = 0
        takes = [job for job in settings.active_jobs(WatchSettings) if job.place == "fleet" and not job.dry_run]
        self._jobs = tuple(job.name for job in takes if len(job.name) <= _JOB_MAX)[:_JOBS_MAX]
        self._read_at = 0.0
        self._writing: Future[None] | None = None
        self.facts = self._plain()

    def restart(self) -> None:
        """Write at once: a connection was made."""
        self.due = 0.0

    def write(self, link: FactsLink, now: float, groups: int = 1, *, joining: bool = False) -> None:
        """Write it, unless JetStream has not answered the last one; in a fleet of many `groups` less often."""
        self.due = now + interval(self._settings.fleet, groups)
        if self._writing is not None and not self._writing.done():
            return
        self._number += 1
        if now >= self._read_at:
            self.facts = self._read()
            self._read_at = now + _FACTS_EVERY
        plain = self._plain()
        self.facts = msgspec.structs.replace(self.facts, number=plain.number, problems=plain.problems, joining=joining)
        self._writing = link.put_facts(encode(self.facts))

    def _plain(self) -> GroupFacts:
        settings = self._settings.fleet
        broken = [f"{name} is {state}" for name, state in sorted(self._states.items()) if state in _BROKEN]
        return GroupFacts(
            name=settings.name or "none", started=self.started, number=self._number, version=version("pyrotorque"),
            beat=settings.beat, problems=tuple(broken[:_PROBLEMS_MAX]), metrics=settings.metrics,
            jobs=self._jobs,
        )  # fmt: skip

    def _read(self) -> GroupFacts:
        facts = self._plain()
        if self._rtorrent is None:
            return facts
        try:
            return with_rtorrent(facts, self._rtorrent, self._settings)
        except RTorrentError as error:
            log.debug("%s", error)
            return msgspec.structs.replace(facts, problems=("rTorrent does not answer", *facts.problems[:7]))
