"""What must hold after `make chaos-fleet`: where each metafile is and was started, and that all files agree."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.fleet_site import FleetSite
from demo.waiting import wait_until

_CHECK = 0.25
_DRAIN = 300.0
_LEFT = "SELECT state, path FROM metafiles WHERE state IN ('seen', 'sent', 'offered') AND gone = 0"
_HELD = "SELECT info_hash FROM metafiles WHERE hold IN (1, 2) AND gone = 0"
_RELEASED = "SELECT info_hash FROM metafiles WHERE hold = 3 AND state IN ('loaded', 'visible') AND gone = 0"
_SENT = "SELECT path, state FROM metafiles WHERE hold = 0 AND gone = 0"


def start_log(folder: Path, name: str) -> tuple[str, Path]:
    """A line of rtorrent.rc that writes each start of an item into a file at once, and that file."""
    log, script = folder / f"{name}.starts", folder / f"{name}.sh"
    script.write_text(f'#!/bin/sh\necho "$1" >>{log}\n')
    script.chmod(0o700)
    return f"method.set_key = event.download.resumed, chaos_log, ((execute.nothrow, {script}, ((d.hash))))\n", log


@dataclass
class Observer:
    """In which groups each item was ever loaded and started: by a thread that reads all rTorrents, and by what each
    of them logged itself."""

    sites: Sequence[FleetSite]
    logs: Sequence[Path] = ()
    started: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    loaded: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    _ends: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        for site in self.sites:
            for each, is_started in site.items().items():
                self.loaded.setdefault(each, set()).add(site.name)
                if is_started:
                    self.started.setdefault(each, set()).add(site.name)

    def logged(self) -> set[str]:
        """The items whose start was logged by an rTorrent itself."""
        found: set[str] = set()
        for site, log in zip(self.sites, self.logs, strict=False):
            for each in log.read_text().split() if log.exists() else ():
                self.started.setdefault(each, set()).add(site.name)
                found.add(each)
        return found

    def started_in_two(self) -> dict[str, set[str]]:
        """The items that were started in more than one rTorrent."""
        return {each: names for each, names in self.started.items() if len(names) > 1}

    @contextmanager
    def watching(self) -> Generator[None]:
        def run() -> None:
            while not self._ends.wait(_CHECK):
                self.look()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            thread.join()


def await_agreement(sites: Sequence[FleetSite], hashes: set[str]) -> list[str]:
    """What is still wrong after a while without faults."""
    found: list[str] = ["never looked"]

    def is_settled() -> bool:
        found[:] = _wrong(sites, hashes)
        return not found

    with suppress(TimeoutError):
        wait_until(is_settled, _DRAIN, lambda: "", every=1.0)
    return found


def _wrong(sites: Sequence[FleetSite], hashes: set[str]) -> list[str]:
    where = {site.name: site.read_items() for site in sites}
    if any(items is None for items in where.values()):
        return ["an rTorrent does not answer"]
    found: list[str] = []
    for each in sorted(hashes):
        here = [name for name, items in where.items() if items and each in items]
        running = [name for name in here if (where[name] or {})[each]]
        if len(here) != 1 or len(running) != 1:
            found.append(f"{each}: in {here}, started in {running}")
    for site in sites:
        try:
            found += [f"{site.name}: {line}" for line in _disagreements(site, set(where[site.name] or {}), hashes)]
        except sqlite3.Error as error:
            return [f"{site.name}: {error}"]
    return found


def _disagreements(site: FleetSite, items: set[str], hashes: set[str]) -> list[str]:
    """Between the items of a group, the claims in its file, its ledger, and its inbox."""
    claims = site.stored_claims()
    mine = {each for each, (_, owner) in claims.items() if owner == site.name}
    released = {info_hash for (info_hash,) in site.ledger(_RELEASED)}
    sent = {path.decode(): state for path, state in site.ledger(_SENT)}
    states = Counter(sent.get(path, "absent") for path in site.dropped)
    open_claims = [(each, claim) for each, claim in claims.items() if claim[0] != "done" and each in hashes]
    found: dict[str, list[Any]] = {
        "claims are not done": open_claims,
        "hashes have no claim": sorted(hashes - claims.keys()),
        "items are without a claim of this group, or claims without an item": sorted(mine ^ items),
        "items are not in the ledger as released, or not there": sorted(released ^ items),
        "items are still held in the ledger": site.ledger(_HELD),
        "metafiles of the inbox have no item, or items no metafile": sorted(site.inbox() ^ items),
        "metafiles wait": site.ledger(_LEFT),
        "metafiles of its tree are not placed": [each for each in states.items() if each[0] != "placed"],
    }
    return [f"{len(what)} {line}: {what[:3]}" for line, what in found.items() if what]


def report(
    sites: Sequence[FleetSite], observer: Observer, hashes: set[str], done: Counter[str], wrong: list[str], *,
    fence: bool,
) -> int:  # fmt: skip
    """Print the result; the exit code."""
    logged = observer.logged()
    twice = observer.started_in_two()
    moved = sum(len(names) > 1 for names in observer.loaded.values())
    tracebacks = [
        f"{site.name}: {count} errors in its log"
        for site in sites
        if (count := sum(site.group.log(name).count("Traceback") for name in ("fleet", "watcher")))
    ]
    print(f"{sum(done.values())} faults: " + ", ".join(f"{count} {name}" for name, count in sorted(done.items())))
    spread = Counter(next(iter(names)) for names in observer.started.values())
    print(f"{len(hashes)} metafiles, started by {dict(spread)}; {moved} were loaded in more than one group meanwhile")
    print(f"{len(logged & hashes)} starts were logged by the rTorrents themselves")
    print(f"started in two groups: {len(twice)} {list(twice.items())[:5]}")
    for line in [*wrong[:20], *tracebacks]:
        print(f"WRONG: {line}")
    if not fence:
        print("without the fence " + ("the guarantee is broken, as expected" if twice else "NOTHING WAS STARTED TWICE"))
        return 0 if twice else 1
    return 1 if twice or wrong or tracebacks else 0
