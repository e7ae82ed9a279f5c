"""The events of the owner's log: the level of each, and how many of them in a short time become one line.

WARNING and ERROR need the owner, INFO is what happened.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from pyrotorque.events import ProblemEnded, ProblemReported
from pyrotorque.humanize import duration
from pyrotorque.owner_repeats import RepeatFolding
from pyrotorque.text import printable

OwnerEvent: TypeAlias = Literal[
    "started",
    "rtorrent away",
    "rtorrent back",
    "rtorrent changed",
    "rtorrent known",
    "rtorrent shared",
    "rtorrent alone",
    "disk low",
    "disk recovered",
    "queue stalled",
    "queue resumed",
    "metafile loaded",
    "metafile placed",
    "metafile duplicate",
    "metafile ambiguous",
    "metafile failed",
    "metafile waits",
    "metafile kept",
    "watch.ini wrong",
    "watch.ini valid",
    "root missing",
    "root back",
    "root baseline",
    "item started",
    "item start failed",
    "item completed",
    "item moved",
    "item removed",
    "item erased",
    "item gave up",
    "job failed",
    "job recovered",
    "service ended",
    "service hung",
    "service gave up",
    "service back",
    "group repaired",
    "group failed",
    "configuration wrong",
    "configuration valid",
    "configuration differs",
    "state damaged",
    "port unavailable",
    "port open",
    "fleet away",
    "fleet back",
    "fleet refused",
    "fleet stores",
    "fleet rebuilt",
    "fleet conflict",
    "action",
    "cron",
]

# Which event has which level, and nowhere else.
LEVELS: Final[dict[OwnerEvent, int]] = {
    "started": logging.INFO,
    "rtorrent away": logging.WARNING,
    "rtorrent back": logging.INFO,
    "rtorrent changed": logging.WARNING,
    "rtorrent known": logging.INFO,
    "rtorrent shared": logging.WARNING,
    "rtorrent alone": logging.INFO,
    "disk low": logging.WARNING,
    "disk recovered": logging.INFO,
    "queue stalled": logging.WARNING,
    "queue resumed": logging.INFO,
    "metafile loaded": logging.INFO,
    "metafile placed": logging.INFO,
    "metafile duplicate": logging.INFO,
    "metafile ambiguous": logging.WARNING,
    "metafile failed": logging.WARNING,
    "metafile waits": logging.WARNING,
    "metafile kept": logging.WARNING,
    "watch.ini wrong": logging.WARNING,
    "watch.ini valid": logging.INFO,
    "root missing": logging.WARNING,
    "root back": logging.INFO,
    "root baseline": logging.WARNING,
    "item started": logging.INFO,
    "item start failed": logging.WARNING,
    "item completed": logging.INFO,
    "item moved": logging.INFO,
    "item removed": logging.INFO,
    "item erased": logging.INFO,
    "item gave up": logging.WARNING,
    "job failed": logging.ERROR,
    "job recovered": logging.INFO,
    "service ended": logging.WARNING,
    "service hung": logging.ERROR,
    "service gave up": logging.ERROR,
    "service back": logging.INFO,
    "group repaired": logging.WARNING,
    "group failed": logging.ERROR,
    "configuration wrong": logging.ERROR,
    "configuration valid": logging.INFO,
    "configuration differs": logging.WARNING,
    "state damaged": logging.ERROR,
    "port unavailable": logging.ERROR,
    "port open": logging.INFO,
    "fleet away": logging.WARNING,
    "fleet back": logging.INFO,
    "fleet refused": logging.WARNING,
    "fleet stores": logging.INFO,
    "fleet rebuilt": logging.WARNING,
    "fleet conflict": logging.ERROR,
    "action": logging.INFO,
    "cron": logging.INFO,
}

# Warnings and errors that are published as ProblemReported, because they have no event of their own, and the event that
# ends each (empty: nothing does).
PROBLEMS: Final[dict[OwnerEvent, OwnerEvent | Literal[""]]] = {
    "rtorrent changed": "rtorrent known",
    "rtorrent shared": "rtorrent alone",
    "metafile ambiguous": "",
    "metafile waits": "",
    "metafile kept": "",
    "watch.ini wrong": "watch.ini valid",
    "root missing": "root back",
    "root baseline": "",
    "item gave up": "",
    "service hung": "",
    "group repaired": "",
    "configuration wrong": "configuration valid",
    "state damaged": "",
    "port unavailable": "port open",
    "fleet refused": "fleet stores",
    "fleet rebuilt": "",
    "fleet conflict": "",
}

# Events that come by the thousand: what their number is called in one line, and which belong together.
BURSTS: Final[dict[OwnerEvent, tuple[str, str]]] = {
    "metafile loaded": ("loads", "metafiles loaded"),
    "metafile placed": ("placements", "metafiles placed on groups of the fleet"),
    "metafile duplicate": ("loads", "duplicates"),
    "metafile failed": ("loads", "failed"),
    "item started": ("starts", "items started"),
    "item start failed": ("starts", "failed"),
    "item completed": ("completions", "items completed"),
    "item moved": ("moves", "items moved"),
    "item removed": ("removals", "items removed"),
    "item erased": ("erasures", "items erased"),
}
REPEATED: Final[frozenset[OwnerEvent]] = frozenset(("service ended", "service hung", "service gave up"))
"""Events of one subject that follow each other and are counted after the first."""
SHOWN: Final = 20
"""Lines of one event that are written before the others of a burst are counted."""
QUIET: Final = 5.0
"""Seconds without an event after which a burst has ended."""
LONGEST: Final = 60.0
"""Seconds after which a burst that continues has a line."""
_EXAMPLES: Final = 3
_EXAMPLE_LENGTH: Final = 160


_BEGINNINGS: Final = {end: begin for begin, end in PROBLEMS.items() if end}


def problem_events(
    event: OwnerEvent, texts: Sequence[str], service: str, subject: str, at: float
) -> Iterator[ProblemReported | ProblemEnded]:
    """What is published for lines of the owner's log; nothing for most."""
    kind: type[ProblemReported | ProblemEnded] = ProblemReported if event in PROBLEMS else ProblemEnded
    problem = event if event in PROBLEMS else _BEGINNINGS.get(event)
    for text in texts if problem else ():
        yield kind(at=at, service=service, problem=str(problem), subject=printable(subject), text=printable(text))


@dataclass(slots=True)
class _Burst:
    began: float
    last: float
    counts: dict[OwnerEvent, int] = field(default_factory=dict[OwnerEvent, int])
    shown: dict[OwnerEvent, int] = field(default_factory=dict[OwnerEvent, int])
    hidden: int = 0
    level: int = logging.INFO
    """Of the lines that were not written: failures that have lines of their own need no other warning."""
    examples: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class OwnerLine:
    """A line of the owner's log."""

    event: OwnerEvent
    level: int
    text: str


class BurstFolding:
    """Lets the first lines of a burst pass, and sums up the others; times are those of any one clock, in seconds."""

    def __init__(self) -> None:
        self._bursts: dict[str, _Burst] = {}
        self._repeats = RepeatFolding()

    def add(self, event: OwnerEvent, texts: Sequence[str], now: float, subject: str = "") -> list[OwnerLine]:
        """The lines to write now."""
        level = LEVELS[event]
        if event in REPEATED:
            texts = [text for text in texts if self._repeats.is_first((event, subject), text, now)]
        if event not in BURSTS:
            return [OwnerLine(event, level, text) for text in texts]
        name = BURSTS[event][0]
        lines: list[OwnerLine] = []
        burst = self._bursts.get(name)
        if burst is not None and now - burst.last >= QUIET:
            lines = list(self._end(name))
            burst = None
        if burst is None:
            burst = self._bursts[name] = _Burst(now, now)
        for text in texts:
            burst.counts[event] = burst.counts.get(event, 0) + 1
            if level > logging.INFO and len(burst.examples) < _EXAMPLES:
                burst.examples.append(_shortened(text))
            if burst.shown.get(event, 0) < SHOWN:
                burst.shown[event] = burst.shown.get(event, 0) + 1
                lines.append(OwnerLine(event, level, text))
                continue
            burst.hidden += 1
            burst.level = max(burst.level, level)
        burst.last = now
        return lines

    def due(self, now: float) -> list[OwnerLine]:
        """The lines of bursts that have ended, or continue for long."""
        lines = _repeated(self._repeats.due(now))
        for name, burst in list(self._bursts.items()):
            if now - burst.last >= QUIET:
                lines += self._end(name)
            elif now - burst.began >= LONGEST:
                lines += _summary(burst)
                self._bursts[name] = _Burst(burst.last, burst.last, shown=burst.shown)
        return lines

    def end(self, now: float) -> list[OwnerLine]:
        """The lines of all bursts: the process ends."""
        return _repeated(self._repeats.end(now)) + [line for name in list(self._bursts) for line in self._end(name)]

    def _end(self, name: str) -> Iterator[OwnerLine]:
        yield from _summary(self._bursts.pop(name))


def _repeated(found: list[tuple[str, str]]) -> list[OwnerLine]:
    events: dict[str, OwnerEvent] = {event: event for event in REPEATED}
    return [OwnerLine(events[name], LEVELS[events[name]], text) for name, text in found]


def _summary(burst: _Burst) -> Iterator[OwnerLine]:
    if not burst.hidden:
        return
    counts: dict[OwnerEvent, int] = {event: count for event, count in burst.counts.items() if count}
    # What succeeded first, in the order of the table.
    order: list[OwnerEvent] = [event for event in LEVELS if event in counts]
    first, *others = order
    took = duration(max(burst.last - burst.began, 1.0))
    text = f"{counts[first]:,} {BURSTS[first][1]} in {took}"
    if first == "item start failed" or first == "metafile failed":
        text = f"{counts[first]:,} {first.partition(' ')[0]}s failed in {took}"
    text += "".join(f", {counts[event]:,} {BURSTS[event][1]}" for event in others)
    if burst.examples:
        text += f": {'; '.join(burst.examples)}"
        if sum(counts[event] for event in order if LEVELS[event] > logging.INFO) > len(burst.examples):
            text += "; …"
    yield OwnerLine(order[-1] if burst.level > logging.INFO else first, burst.level, text)


def _shortened(text: str) -> str:
    return text if len(text) <= _EXAMPLE_LENGTH else f"{text[: _EXAMPLE_LENGTH - 1]}…"
