"""Compares the metafiles written, the events committed, and the events applied by a listener."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from chaos.clock import put_right
from chaos.stream import Written
from pyrotorque.events import Event, LoadFailed, TorrentErased, TorrentLoaded, TorrentStarted, decode
from pyrotorque.outbox import stored_events
from pyrotorque.store import open_readonly
from pyrotorque.text import printable


class Place(NamedTuple):
    """Identifies an event: its sequence number in one epoch of one source."""

    source: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that a listener reported as missed: after one position up to another."""

    at: float
    source: str
    after: tuple[str, int]
    until: tuple[str, int]
    reason: str

    def covers(self, place: Place) -> bool:
        epoch, seq = self.after
        behind = place.epoch == epoch and place.seq > seq
        return place.source == self.source and (
            (behind and (self.until[0] != epoch or place.seq <= self.until[1]))
            or (place.epoch == self.until[0] != epoch and place.seq <= self.until[1])
        )


@dataclass(frozen=True, slots=True)
class ListenerRecord:
    """The events that the listener applied, their delays, and its gaps."""

    applied: Counter[Place]
    delays: list[float]
    gaps: list[Gap]

    def reports_lost(self, place: Place, at: float) -> bool:
        """Whether a gap covers the event of `place`, which happened at `at`.

        An epoch of which the listener received nothing is not named in a gap: the next gap of its source covers it.
        """
        own = [gap for gap in self.gaps if gap.source == place.source]
        epochs = {known.epoch for known in self.applied if known.source == place.source}
        epochs |= {epoch for gap in own for epoch, _ in (gap.after, gap.until)}
        return any(gap.covers(place) for gap in own) or (place.epoch not in epochs and any(gap.at >= at for gap in own))

    def gaps_of(self, source: str) -> str:
        shown = [
            f"{gap.after[0]} {gap.after[1]} to {gap.until[0]} {gap.until[1]}"
            for gap in self.gaps
            if gap.source == source
        ]
        return "; ".join(shown) or "none"


@dataclass
class Committed:
    """All events that services committed, with corrected times, including those that a fault removed."""

    events: dict[Place, Event] = field(default_factory=dict[Place, Event])

    def read(self, source: str, path: Path) -> None:
        """Add the events in the database of `source`."""
        for body in stored_events(path):
            delivery = decode(body)
            envelope = delivery.envelope
            event = delivery.event
            right = msgspec.structs.replace(event, at=put_right(event.at, time.time()))
            self.events[Place(source, envelope.epoch, envelope.seq)] = right


def listener_record(path: Path) -> ListenerRecord:
    """The record in the listener's database; empty before its first start."""
    applied: Counter[Place] = Counter()
    delays: list[float] = []
    gaps: list[Gap] = []
    if path.exists():
        with closing(open_readonly(path)) as db:
            try:
                for source, epoch, seq, published_at, applied_at in db.execute("SELECT * FROM applied"):
                    applied[Place(source, epoch, seq)] += 1
                    delays.append(applied_at - put_right(published_at, applied_at))
                query = "SELECT at, source, from_epoch, from_seq, to_epoch, to_seq, reason FROM bus_gaps"
                for at, source, from_epoch, from_seq, to_epoch, to_seq, reason in db.execute(query):
                    gaps.append(Gap(at, source, (from_epoch, from_seq), (to_epoch, to_seq), reason))
            except sqlite3.OperationalError:
                return ListenerRecord(Counter(), [], [])
    return ListenerRecord(applied, delays, gaps)


@dataclass(frozen=True, slots=True)
class Balance:
    """The differences; all must be empty, except for events that were reported as lost."""

    lost: frozenset[str]
    unexpected: frozenset[str]
    loaded_twice: Counter[str]
    unpublished: frozenset[str]
    not_started: frozenset[str]
    started_twice: Counter[str]
    started_again: int
    start_unpublished: frozenset[str]
    erased_wrongly: frozenset[str]
    failed: list[LoadFailed]
    events_lost: list[Place]
    events_reported_lost: list[Place]
    events_twice: Counter[Place]
    events_from_nowhere: list[Place]


def balance(
    written: Sequence[Written],
    items: Mapping[str, bool],
    committed: Mapping[Place, Event],
    by_listener: ListenerRecord,
    rtorrent_killed: Sequence[float],
    replaced: Set[str] = frozenset(),
) -> Balance:
    """Compare the metafiles written, the items in rTorrent (`items`: whether started), and the events.

    Items of `replaced` may be there or not.
    """
    wanted = frozenset(each.info_hash for each in written)
    loads = Counter(event.info_hash for event in committed.values() if isinstance(event, TorrentLoaded))
    starts = [event for event in committed.values() if isinstance(event, TorrentStarted)]
    twice, again = _started_twice(starts, rtorrent_killed)
    missing = [place for place in committed if place not in by_listener.applied]
    covered = [place for place in missing if by_listener.reports_lost(place, committed[place].at)]
    started = frozenset(info for info, is_started in items.items() if is_started)
    failed = [event for event in committed.values() if isinstance(event, LoadFailed)]
    failed_files = {event.metafile for event in failed}
    return Balance(
        lost=wanted - items.keys(),
        unexpected=frozenset(items) - wanted - replaced,
        loaded_twice=Counter({info: count - 1 for info, count in loads.items() if count > 1}),
        unpublished=frozenset(
            each.info_hash
            for each in written
            if each.info_hash not in loads and printable(str(each.path)) not in failed_files
        ),
        not_started=(wanted & items.keys()) - started,
        started_twice=twice,
        started_again=again,
        start_unpublished=(wanted & started) - {event.info_hash for event in starts},
        erased_wrongly=frozenset(event.info_hash for event in committed.values() if isinstance(event, TorrentErased))
        & items.keys(),
        failed=failed,
        events_lost=sorted(set(missing) - set(covered)),
        events_reported_lost=sorted(covered),
        events_twice=Counter({place: count - 1 for place, count in by_listener.applied.items() if count > 1}),
        events_from_nowhere=sorted(set(by_listener.applied) - set(committed)),
    )


def _started_twice(starts: Iterable[TorrentStarted], killed: Sequence[float]) -> tuple[Counter[str], int]:
    """Items started twice. After rTorrent was killed it may have lost a start: starting again is then correct."""
    times: dict[str, list[float]] = {}
    for event in starts:
        times.setdefault(event.info_hash, []).append(event.at)
    twice: Counter[str] = Counter()
    again = 0
    for info, moments in times.items():
        for earlier, later in pairwise(sorted(moments)):
            if any(earlier <= moment <= later for moment in killed):
                again += 1
            else:
                twice[info] += 1
    return twice, again
