"""The report of a run: a table with a row for each fault, figures, and the broken guarantees."""

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from chaos.accounting import Balance, ListenerRecord, Place
from chaos.faults import CLOCK_AHEAD, Done
from chaos.stream import Written
from pyrotorque.events import Event, LoadFailed, ServiceStateChanged, TorrentLoaded

_GAP_WITHIN = 30.0
"""Seconds after the fault that caused it."""
_LOADS_FAILED = "loads failed"
_SHOWN = 5
_SILENCE = 5.0
"""Services that no fault affects publish a heartbeat every second."""


class Counted(NamedTuple):
    """Events counted by the exporter, a durable subscriber, events of the other services, and its gaps."""

    counted: int
    others: int
    gaps: int


@dataclass
class FinalState:
    """The state found at the end of a run."""

    load_latency: list[float]
    silence: tuple[float, str]
    counted: Counted
    misplaced: list[str] = field(default_factory=list[str])
    """Metafiles that were not disposed of as set, and names left behind."""
    leftovers: list[str] = field(default_factory=list[str])
    unsound: list[str] = field(default_factory=list[str])
    descriptors: list[str] = field(default_factory=list[str])
    not_done: list[str] = field(default_factory=list[str])
    """Faults, including crash points, that were selected but not injected."""
    had_time_for_all: bool = False
    bugs: list[str] = field(default_factory=list[str])
    miscounted: list[str] = field(default_factory=list[str])
    """Totals that differ from the events that they count."""
    failed_loads: list[str] = field(default_factory=list[str])
    """Lines of the watcher's log about the first of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """All results of one run."""

    done: Sequence[Done]
    written: Sequence[Written]
    books: Balance
    committed: Mapping[Place, Event]
    received: ListenerRecord
    found: FinalState

    def did(self, name: str) -> bool:
        return any(each.name == name for each in self.done)


def show(run: Run) -> None:
    """Print the table; metafiles and events are counted for the last fault before them."""
    books, committed = run.books, run.committed
    in_row = _row_of(run.done)
    wrote = Counter(in_row(each.at) for each in run.written)
    lost = Counter(in_row(each.at) for each in run.written if each.info_hash in books.lost)
    at = {each.info_hash: each.at for each in run.written}
    doubled = Counter(in_row(at[info]) for info in books.loaded_twice if info in at)
    events = Counter(in_row(event.at) for event in committed.values())
    silent = Counter(in_row(committed[place].at) for place in books.events_lost)
    reported_lost = Counter(in_row(committed[place].at) for place in books.events_reported_lost)
    twice = Counter(in_row(committed[place].at) for place in books.events_twice if place in committed)
    gaps = Counter(in_row(gap.at) for gap in run.received.gaps)
    table = Table(title="faults", title_justify="left")
    columns = ("fault", "times", "metafiles", "lost", "twice", "events", "lost", "twice", "reported", "gaps")
    for column in (*columns, "recovery median", "max", "goal"):
        table.add_column(column, justify="left" if column == "fault" else "right", no_wrap=True)
    for name in dict.fromkeys(["before the first", *(each.name for each in run.done)]):
        own = [each for each in run.done if each.name == name]
        counts = (wrote, lost, doubled, events, silent, twice, reported_lost, gaps)
        table.add_row(name, str(len(own)), *(str(count[name]) for count in counts), *_recovery(own))
    Console(width=170, highlight=False).print(table)


def figures(run: Run) -> list[str]:
    """Figures of the whole run, one per line."""
    books, received, found, written = run.books, run.received, run.found, run.written
    applications = sum(received.applied.values())
    loads = sum(isinstance(event, TorrentLoaded) for event in run.committed.values())
    return [
        f"metafiles: written {len(written)}, in rTorrent {len(written) - len(books.lost)}, published as loaded "
        f"{loads}, lost {len(books.lost)}, twice {books.loaded_twice.total()}, unexpected {len(books.unexpected)}",
        f"starts: not started {len(books.not_started)}, published twice {books.started_twice.total()}, started again "
        f"after rTorrent was killed {books.started_again}, never published {len(books.start_unpublished)}",
        f"events: committed {len(run.committed)}, applied {applications}, lost unreported {len(books.events_lost)}, "
        f"lost and reported {len(books.events_reported_lost)}, applied twice {books.events_twice.total()}, "
        f"gaps {len(received.gaps)} ({', '.join(sorted({gap.reason for gap in received.gaps})) or 'none'})",
        f"loads never published: {len(books.unpublished)}; published as failed: {len(books.failed)} "
        f"({', '.join(sorted({event.kind for event in books.failed})) or 'none'})",
        f"file close to visible in rTorrent: {_spread(found.load_latency)}",
        f"event committed to applied by the listener: {_spread(received.delays)}",
        f"recovery from a fault: {_spread([each.recovery for each in run.done if each.recovery is not None])}",
        f"longest interval between heartbeats of an unaffected service: {found.silence[0]:.1f} s ({found.silence[1]})",
        f"starts by supervisord: {_starts(run.committed.values())}",
        f"open descriptors at the end: {', '.join(found.descriptors)}",
        f"counted by the exporter: {found.counted.counted} of {found.counted.others} events, "
        f"with {found.counted.gaps} gaps of its own",
        f"metafiles not disposed of as set: {len(found.misplaced)}",
        f"afterwards: {len(found.leftovers)} processes left, {len(found.unsound)} unsound databases, "
        f"{len(found.bugs)} logs with a bug",
        f"not injected: {_some(found.not_done)}",
    ]


def complaints(run: Run, tolerance: float) -> list[str]:
    """The broken guarantees."""
    found = run.found
    wrong = [f"{each.name}: {each.trouble}" for each in run.done if each.trouble]
    wrong += [
        f"{each.name} took {each.recovery:.1f} s, promised {each.within:g} s"
        for each in run.done
        if each.within and each.recovery is not None and each.recovery > each.within * tolerance
    ]
    silence, who = found.silence
    wrong += [f"{who} was silent for {silence:.1f} s without a fault"] if silence > _SILENCE * tolerance else []
    miscounts = _miscounts(run)
    wrong += [f"{count} {what}" for what, count in miscounts.items() if count]
    wrong += found.failed_loads if miscounts[_LOADS_FAILED] else []
    lost = run.books.events_lost[:5]
    wrong += [f"lost unreported: {place} (gaps: {run.received.gaps_of(place.source)})" for place in lost]
    wrong += [f"not disposed of as set: {each}" for each in found.misplaced[:_SHOWN]]
    wrong += [f"miscounted: {each}" for each in found.miscounted]
    wrong += [f"left running: {each}" for each in found.leftovers]
    wrong += [f"not sound: {each}" for each in found.unsound]
    wrong += [f"not injected: {each}" for each in found.not_done] if found.had_time_for_all else []
    return wrong + found.bugs


def _miscounts(run: Run) -> dict[str, int]:
    """Counts that must be zero."""
    books = run.books
    # It does not contain what was published after it was copied: starts, and loads that were in progress then.
    has_older_starts = run.did("state of scheduler restored to an older one")
    has_older_loads = run.did("state of watcher restored to an older one")
    no_intents = has_older_starts or run.did("state of scheduler corrupted")
    lossy = [each.began for each in run.done if each.loses_events]
    strange = [gap for gap in run.received.gaps if not any(began <= gap.at <= began + _GAP_WITHIN for began in lossy)]
    counted, others, gaps = run.found.counted
    uncounted = 0 if gaps or run.did("state of exporter corrupted") else others - counted
    return {
        "metafiles lost": len(books.lost),
        "metafiles published as loaded twice": 0 if has_older_loads else books.loaded_twice.total(),
        "unexpected items": len(books.unexpected),
        "items not started": len(books.not_started),
        "starts published twice": 0 if has_older_starts else books.started_twice.total(),
        "events lost unreported": len(books.events_lost),
        "events applied twice": books.events_twice.total(),
        "events applied that were never committed": len(books.events_from_nowhere),
        "events counted by the exporter that were never committed": max(0, counted - others),
        "events not counted by the exporter": max(0, uncounted),
        "gaps without a reason for one": len(strange),
        "loads never published": len(books.unpublished),
        # Starts in progress when the database was lost are carried out, but no record of them remains.
        "items published as erased that are there": len(books.erased_wrongly),
        "starts never published": 0 if no_intents else len(books.start_unpublished),
        _LOADS_FAILED: sum(not _may_fail(run, event) for event in books.failed),
    }


def _may_fail(run: Run, event: LoadFailed) -> bool:
    """Whether a fault explains it; then it is there all the same.

    After a lost ledger items are there already. The times of files do not step with the clock: one just begun seems to
    be a day old, and never to be completed.
    """
    states = ("state of watcher corrupted", "state of watcher restored to an older one")
    lost_ledger = event.kind == "duplicate" and any(run.did(name) for name in states)
    return lost_ledger or (event.kind == "invalid" and run.did(CLOCK_AHEAD))


def _some(names: Sequence[str]) -> str:
    """A few of them, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}" if names else "none of the faults"


def _starts(events: Iterable[Event]) -> str:
    """How often each program was started, and given up on."""
    changes = Counter((event.service, event.state) for event in events if isinstance(event, ServiceStateChanged))
    names = sorted({service for service, _ in changes})
    return (
        ", ".join(f"{name} {changes[name, 'STARTING']} ({changes[name, 'FATAL']} times FATAL)" for name in names)
        or "none published"
    )


def _row_of(done: Sequence[Done]) -> Callable[[float], str]:
    begins, names = [each.began for each in done], ["before the first", *(each.name for each in done)]
    return lambda at: names[bisect_right(begins, at)]


def _recovery(own: Iterable[Done]) -> tuple[str, str, str]:
    times = [each.recovery for each in own if each.recovery is not None]
    goal = next((f"{each.within:g} s" for each in own if each.within), "")
    return (f"{statistics.median(times):.2f} s", f"{max(times):.2f} s", goal) if times else ("", "", goal)


def _spread(samples: Sequence[float]) -> str:
    if not samples:
        return "none"
    ordered = sorted(samples)
    p95 = ordered[int(len(ordered) * 0.95)]
    return f"p50 {statistics.median(ordered) * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms, max {ordered[-1]:.1f} s"
