"""Records the outcome of a load: in the ledger, as an event, in the totals, and in the logs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec

from pyrotorque import logs
from pyrotorque.events import LoadFailed, LoadMode, MetafileOffered, MetafilePlaced, TorrentLoaded
from pyrotorque.fleet_inbox import FleetHold
from pyrotorque.outbox import Outbox
from pyrotorque.owner_events import OwnerEvent
from pyrotorque.text import printable
from pyrotorque_watcher.fleet.fleet_rows import FleetRows
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.metrics import WatcherMetrics
from pyrotorque_watcher.rows import IN_FLEET, LoadRefused, Row

log = logging.getLogger(__name__)

_REPEAT: Final = 3600.0  # seconds after which a cause that still stands is reported again


@dataclass(frozen=True)
class LoadOutcomes:
    """Each method is called inside a transaction of the ledger, so that all of it happens or nothing."""

    ledger: Ledger
    outbox: Outbox
    metrics: WatcherMetrics
    fleet_rows: FleetRows = field(init=False)
    _reported: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """When each job reported each cause for which files cannot be read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fleet_rows", FleetRows(self.ledger))

    def visible(self, rows: Sequence[Row], incarnation: str, now: float) -> None:
        """rTorrent has their items, and all load commands have run. Each is published once, also if it is lost with
        rTorrent and loaded again."""
        self.ledger.mark_visible(rows, incarnation, now)
        fresh = [row for row in rows if not row.progress.published and row.hold != FleetHold.HELD]
        self._publish_loads(fresh, now)

    def released(self, rows: Sequence[Row], now: float) -> None:
        """The fleet gave them to this group: they count as loaded now."""
        self._publish_loads([row for row in rows if not row.progress.published], now)

    def offered(self, row: Row, info_hash: str, name: str, now: float) -> None:
        """The fleet is to place it."""
        self.fleet_rows.mark_offered(row, info_hash, name, now)
        self.outbox.add(
            MetafileOffered(at=now, info_hash=info_hash, name=name, metafile=printable(row.path), job=row.job)
        )
        log.info("%s: offering %s to the fleet", row.job, printable(row.path))

    def placed(self, row: Row, group: str, reason: str, now: float, *, keeps_file: bool = False) -> None:
        """A group of the fleet has it; or had it, and `reason` is why the file stays where it is."""
        reason = printable(reason)
        shown = reason if keeps_file else f"{group} has it{reason and f': {reason}'}"
        self.fleet_rows.mark_placed(row, shown, now, keeps_file=keeps_file)
        event = MetafilePlaced(
            at=now, info_hash=row.load.info_hash, name=row.load.name, metafile=printable(row.path), job=row.job,
            group=group, seconds=_seconds(row, now),
        )  # fmt: skip
        self.outbox.add(event)
        line = f"{row.job}: placed {row.load.name} on {group} from {event.metafile} after {event.seconds:.3f} s"
        log.info("%s", line)
        logs.owner_event("metafile placed", line)
        if keeps_file:
            self._stays(row, reason)

    def _stays(self, row: Row, reason: str) -> None:
        text = f"{row.job}: {printable(row.path)} is not disposed of: {reason} (`pyrotorque retry PATH` loads it again)"
        log.warning("%s", text)
        logs.owner_event("metafile kept", text, subject=row.job)

    def _publish_loads(self, fresh: Sequence[Row], now: float) -> None:
        events = [event for row in fresh for event in _loaded(row, now)]
        self.outbox.add_all(events)
        for row in fresh:
            self.metrics.loaded(cast(LoadMode, row.load.mode), _seconds(row, now))
        lines = [
            f"{event.job}: loaded {event.name} ({event.mode}) from {event.metafile} after {event.seconds:.3f} s"
            for event in events
        ]
        for line in lines:
            log.info("%s", line)
        logs.owner_event("metafile loaded", *lines)

    def unchanged(self, row: Row, incarnation: str, now: float) -> None:
        """The file was touched, or its times were set after the load; its item was never erased."""
        self.ledger.mark_unchanged(row, incarnation, now)
        log.info("%s: %s is already in rTorrent", row.job, printable(row.path))

    def duplicate(self, row: Row, incarnation: str, now: float) -> None:
        """This rTorrent has the torrent from elsewhere: nothing is wrong with the metafile."""
        self._duplicate(row, "rTorrent has this torrent already", now, incarnation)

    def fleet_has_it(self, row: Row, reason: str, now: float, *, keeps_file: bool) -> None:
        """Another group of the fleet has this torrent, or had it, and `reason` is why the file stays where it is."""
        reason = f"the fleet has this torrent already: {printable(reason)}"
        self._duplicate(row, reason, now, IN_FLEET, keeps_file=keeps_file)
        if keeps_file:
            self._stays(row, reason)

    def answer_too_old(self, row: Row, now: float) -> None:
        """The file could not be disposed of right after a group of the fleet said that it has the item."""
        reason = f"{row.progress.reason}; the file could not be disposed of for a minute after that was known"
        if row.progress.state == "placed":
            self.fleet_rows.mark_placed(row, reason, now, keeps_file=True)
        else:
            self.ledger.mark_duplicate(row, reason, now, IN_FLEET, keeps_file=True)
        self._stays(row, reason)

    def _duplicate(self, row: Row, reason: str, now: float, where: str, *, keeps_file: bool = False) -> None:
        self.ledger.mark_duplicate(row, reason, now, where, keeps_file=keeps_file)
        self._publish(row, LoadRefused("duplicate", reason), logging.INFO, now)

    def item_gone(self, row: Row, now: float, *, was_restarted: bool) -> None:
        """rTorrent has no item of a duplicate any more: its file is not disposed of. An rTorrent that was restarted may
        have lost it; otherwise its owner erased it, and it must not be loaded again."""
        if was_restarted:
            self.ledger.load_lost_duplicate(row, now)
            log.warning(
                "%s: rTorrent was restarted, and has no item of %s any more, which it had from elsewhere: loading it",
                *(row.job, printable(row.path)),
            )
            return
        self.ledger.mark_done("loaded", row)
        self._stays(row, "rTorrent had an item of it, and has none any more")

    def unproven(self, row: Row, incarnation: str, now: float) -> None:
        """rTorrent has this torrent since the load, but the item may be another program's: it stays as it is."""
        reason = "rTorrent has this torrent since right before the load, without the settings of this metafile"
        self.ledger.mark_duplicate(row, reason, now, incarnation)
        hint = (
            "another program added it at the same time, or the load was cut off and the item was changed since; to "
            "apply the settings, erase the item and load the metafile again (pyrotorque retry PATH)"
        )
        self._publish(row, LoadRefused("duplicate", f"{reason}: {hint}"), logging.WARNING, now)

    def cut_off(self, row: Row, now: float) -> None:
        """rTorrent was killed while it saved the item, and had restored it without its load commands; it is erased."""
        log.warning(
            "%s: rTorrent was killed before it had saved the load commands of %s; loading it again",
            *(row.job, printable(row.path)),
        )
        self.ledger.send_again(row, now)

    def failed(self, row: Row, refused: LoadRefused, now: float) -> None:
        """It is not loaded until it changes or a retry is requested."""
        refused = msgspec.structs.replace(refused, reason=printable(refused.reason))
        self.ledger.mark_failed(row, refused, now)
        self._publish(row, refused, logging.WARNING, now)

    def unreadable(self, row: Row, reason: str, now: float) -> None:
        """It is read again later; each cause is reported once, whatever the number of files."""
        self._report_once(row, reason, f"cannot read {printable(row.path)}: {reason}", now)

    def no_item(self, row: Row, reason: str, now: float) -> None:
        """It is sent again later."""
        self._report_once(row, "no item", f"{printable(row.path)}: {reason}", now)

    def _report_once(self, row: Row, cause: str, what: str, now: float) -> None:
        if 0 <= now - self._reported.get((row.job, cause), -_REPEAT) < _REPEAT:
            return
        self._reported[row.job, cause] = now
        text = f"{row.job}: {what}; trying again (`pyrotorque watched` shows all files that wait for this reason)"
        log.warning("%s", text)
        logs.owner_event("metafile waits", text, subject=row.job)

    def _publish(self, row: Row, refused: LoadRefused, level: int, now: float) -> None:
        path = printable(row.path)
        self.outbox.add(LoadFailed(at=now, metafile=path, job=row.job, kind=refused.kind, reason=refused.reason))
        self.metrics.failed(refused.kind)
        text = f"{row.job}: did not load {path}: {refused.reason}"
        log.log(level, "%s", text)
        event: OwnerEvent = "metafile failed"
        if refused.kind == "duplicate":
            event = "metafile duplicate" if level == logging.INFO else "metafile ambiguous"
        logs.owner_event(event, text, subject=row.job)


def _loaded(row: Row, now: float) -> list[TorrentLoaded]:
    """One for each item. Further links of a magnet file have rTorrent's name for them until it has the metadata."""
    named = [(row.load.info_hash, row.load.name), *((other, f"{other}.meta") for other in row.load.others)]
    return [
        TorrentLoaded(
            at=now,
            info_hash=info_hash,
            name=name,
            metafile=printable(row.path),
            job=row.job,
            mode=cast(LoadMode, row.load.mode),
            seconds=_seconds(row, now),
        )
        for info_hash, name in named
    ]


def _seconds(row: Row, now: float) -> float:
    return max(0.0, now - row.arrival.closed)
