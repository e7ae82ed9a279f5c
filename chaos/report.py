"""What is said at the end: a table with a row for each fault, the figures, and what is wrong, if anything is."""

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from chaos.books import Balance, Heard, Place
from chaos.faults import Done
from chaos.stream import Written
from pyrotorque.events import Event, TorrentLoaded

_GAP_WITHIN = 30.0
"""Seconds after the fault that it comes from."""


@dataclass
class Aftermath:
    """What was found when everything had ended."""

    load_latency: list[float]
    silence: tuple[float, str]
    leftovers: list[str] = field(default_factory=list[str])
    unsound: list[str] = field(default_factory=list[str])
    descriptors: list[str] = field(default_factory=list[str])
    not_visited: list[str] = field(default_factory=list[str])
    bugs: list[str] = field(default_factory=list[str])
    counted: str = ""


def show(
    done: Sequence[Done], written: Sequence[Written], books: Balance, committed: Mapping[Place, Event], heard: Heard
) -> None:
    """Print the table: what was written and told belongs to the fault that began last before it."""
    in_row = _row_of(done)
    wrote = Counter(in_row(each.at) for each in written)
    lost = Counter(in_row(each.at) for each in written if each.info_hash in books.lost)
    at = {each.info_hash: each.at for each in written}
    doubled = Counter(in_row(at[info]) for info in books.loaded_twice if info in at)
    events = Counter(in_row(event.at) for event in committed.values())
    silent = Counter(in_row(committed[place].at) for place in books.events_lost)
    told_lost = Counter(in_row(committed[place].at) for place in books.events_told_lost)
    twice = Counter(in_row(committed[place].at) for place in books.events_twice if place in committed)
    gaps = Counter(in_row(gap.at) for gap in heard.gaps)
    table = Table(title="under fire", title_justify="left")
    columns = ("fault", "times", "metafiles", "lost", "twice", "events", "lost", "twice", "said lost", "gaps")
    for column in (*columns, "recovery median", "max", "goal"):
        table.add_column(column, justify="left" if column == "fault" else "right", no_wrap=True)
    for name in dict.fromkeys(["before the first", *(each.name for each in done)]):
        own = [each for each in done if each.name == name]
        counts = (wrote, lost, doubled, events, silent, twice, told_lost, gaps)
        table.add_row(name, str(len(own)), *(str(count[name]) for count in counts), *_recovery(own))
    Console(width=170, highlight=False).print(table)


def figures(
    books: Balance, heard: Heard, found: Aftermath, written: Sequence[Written], committed: Mapping[Place, Event]
) -> list[str]:
    """The figures that belong to no single fault, a line each."""
    tellings = sum(heard.applied.values())
    loads = sum(isinstance(event, TorrentLoaded) for event in committed.values())
    return [
        f"metafiles: written {len(written)}, in rTorrent {len(written) - len(books.lost)}, told as loaded {loads}, "
        f"lost {len(books.lost)}, twice {books.loaded_twice.total()}, unexpected {len(books.unexpected)}",
        f"starts: not started {len(books.not_started)}, told twice {books.started_twice.total()}, started again after "
        f"rTorrent was killed {books.started_again}, never told {len(books.start_untold)}",
        f"events: committed {len(committed)}, applied {tellings}, lost in silence {len(books.events_lost)}, lost and "
        f"told {len(books.events_told_lost)}, applied twice {books.events_twice.total()}, "
        f"gaps {len(heard.gaps)} ({', '.join(sorted({gap.reason for gap in heard.gaps})) or 'none'})",
        f"loads never told: {len(books.untold)}; put down as in rTorrent already: {len(books.failed)}",
        f"file close to visible in rTorrent: {_spread(found.load_latency)}",
        f"event committed to applied by the listener: {_spread(heard.delays)}",
        f"longest silence of a service that was not hurt: {found.silence[0]:.1f} s ({found.silence[1]})",
        f"open descriptors at the end: {', '.join(found.descriptors)}",
        f"counted by the exporter: {found.counted}",
        f"afterwards: {len(found.leftovers)} processes left, {len(found.unsound)} unsound databases",
    ]


def complaints(done: Sequence[Done], books: Balance, heard: Heard, found: Aftermath, patience: float) -> list[str]:
    """What breaks a promise."""
    no_ledger = any(each.name == "state of watcher corrupted" for each in done)
    no_intents = any(each.name == "state of scheduler corrupted" for each in done)
    lossy = [each.began for each in done if each.loses_events]
    strange = [gap for gap in heard.gaps if not any(began <= gap.at <= began + _GAP_WITHIN for began in lossy)]
    wrong = [f"{each.name}: {each.trouble}" for each in done if each.trouble]
    wrong += [
        f"{each.name} took {each.recovery:.1f} s, promised {each.within:g} s"
        for each in done
        if each.within and each.recovery is not None and each.recovery > each.within * patience
    ]
    for what, count in {
        "metafiles lost": len(books.lost),
        "metafiles loaded twice": books.loaded_twice.total(),
        "items from nowhere": len(books.unexpected),
        "items not started": len(books.not_started),
        "starts told twice": books.started_twice.total(),
        "events lost in silence": len(books.events_lost),
        "events applied twice": books.events_twice.total(),
        "events applied that nobody committed": len(books.events_from_nowhere),
        "gaps without a reason for one": len(strange),
        "loads never told": len(books.untold),
        # What was under way when the file was lost: it is done, and nobody knows any more who did it.
        "starts never told": 0 if no_intents else len(books.start_untold),
        "loads failed": sum(not (no_ledger and event.kind == "duplicate") for event in books.failed),
    }.items():
        wrong += [f"{count} {what}"] if count else []
    wrong += [f"lost in silence: {place} (gaps: {heard.gaps_of(place.source)})" for place in books.events_lost[:5]]
    wrong += [f"left running: {each}" for each in found.leftovers]
    wrong += [f"not sound: {each}" for each in found.unsound]
    wrong += [f"never reached: {each}" for each in found.not_visited]
    return wrong + found.bugs


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
