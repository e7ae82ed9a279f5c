"""Records what became of a metafile: in the ledger, as an event, in the counters, and in the logs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from pyrotorque import logs
from pyrotorque.events import LoadFailed, LoadFailure, LoadMode, TorrentLoaded
from pyrotorque.outbox import Outbox
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger, Row
from pyrotorque_watcher.metrics import Metrics

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcomes:
    """Each method is called inside a transaction of the ledger; so that all of it happens or nothing."""

    ledger: Ledger
    outbox: Outbox
    metrics: Metrics

    def visible(self, rows: Sequence[Row], incarnation: str, now: float) -> None:
        """Their items are there, complete with our commands. Told once, also when one has to be loaded again."""
        self.ledger.seen_in_rtorrent(rows, incarnation, now)
        fresh = [row for row in rows if not row.told]
        events = [event for row in fresh for event in _loaded(row, now)]
        self.outbox.add_all(events)
        for row in fresh:
            self.metrics.loaded(cast(LoadMode, row.mode), _seconds(row, now))
        lines = [
            f"{event.job}: loaded {event.name} ({event.mode}) from {event.metafile} after {event.seconds:.3f} s"
            for event in events
        ]
        for line in lines:
            log.info("%s", line)
        logs.owner_log(*lines)

    def sent(self, row: Row, now: float, next_look: float) -> None:
        """rTorrent was asked to load it, and does not show it yet."""
        self.ledger.set(row, now, **_learned(row), state="sent", next_try=next_look)

    def still_there(self, row: Row, now: float) -> None:
        """It was touched, or its times were set after it was loaded; its item never went away."""
        self.ledger.set(row, now, **_learned(row), state="loaded", told=1, reason="", kind="", todo="loaded")
        log.info("%s: %s is in rTorrent already", row.job, printable(row.path))

    def failed(self, row: Row, kind: LoadFailure, reason: str, now: float) -> None:
        """It is not loaded until it changes or its owner asks; what rTorrent has already is no failure of the file."""
        shown, path = printable(reason), printable(row.path)
        if kind == "duplicate":
            # The item that rTorrent has was loaded from another file: that one's tie is not ours to change.
            row = msgspec.structs.replace(row, tied=0)
        self.ledger.set(
            row,
            now,
            **_learned(row),
            state="duplicate" if kind == "duplicate" else "failed",
            kind=kind,
            reason=shown,
            broken=row.token if kind == "rpc" else "",
            todo="loaded" if kind == "duplicate" else "failed",
        )
        self.outbox.add(LoadFailed(at=now, metafile=path, job=row.job, kind=kind, reason=shown))
        self.metrics.failed(kind)
        level = logging.INFO if kind == "duplicate" else logging.WARNING
        self._say(level, f"{row.job}: did not load {path}: {shown}")

    def _say(self, level: int, text: str) -> None:
        log.log(level, "%s", text)
        logs.owner_log(text, level=level)


def _loaded(row: Row, now: float) -> list[TorrentLoaded]:
    """One for each item; those of a magnet file are called as rTorrent calls them, until it has fetched the rest."""
    named = [(row.info_hash, row.name), *((other, f"{other}.meta") for other in row.others.split())]
    return [
        TorrentLoaded(
            at=now,
            info_hash=info_hash,
            name=name,
            metafile=printable(row.path),
            job=row.job,
            mode=cast(LoadMode, row.mode),
            seconds=_seconds(row, now),
        )
        for info_hash, name in named
    ]


def _seconds(row: Row, now: float) -> float:
    return max(0.0, now - row.closed)


def _learned(row: Row) -> dict[str, object]:
    """What was found out about a metafile on its way."""
    return {
        "info_hash": row.info_hash,
        "others": row.others,
        "name": row.name,
        "mode": row.mode,
        "tied": row.tied,
        "attempts": max(1, row.attempts),
    }
