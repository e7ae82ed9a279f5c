"""The stages that need rTorrent: loads metafiles, follows their items until they are saved, and disposes of files."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from pyrotorque.bell_file import bell_file, ring
from pyrotorque.errors import RTorrentError, SessionNotKnown
from pyrotorque.layout import Layout
from pyrotorque.rtorrent import Identity, RTorrent
from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque.rtorrent.session import Session
from pyrotorque.service.runtime import Runtime
from pyrotorque_watcher.fleet.fleet_rows import FleetRows
from pyrotorque_watcher.fleet.releases import HeldReleases
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.loader import Loader
from pyrotorque_watcher.load.outcomes import LoadOutcomes
from pyrotorque_watcher.load.prepare import LoadJob
from pyrotorque_watcher.load.retries import warn_of_unknown_commands
from pyrotorque_watcher.load.rtorrent_items import RTorrentItems
from pyrotorque_watcher.load.visibility import RTorrentInstance
from pyrotorque_watcher.metrics import WatcherMetrics
from pyrotorque_watcher.settle.disposal import Disposer
from pyrotorque_watcher.settle.durability import Durability
from pyrotorque_watcher.settle.kept_data import KeptData
from pyrotorque_watcher.settle.tie_repair import TieRepair
from pyrotorque_watcher.settle.ties import Ties

_UNKNOWN_AGAIN = 1.0  # seconds until another rTorrent is examined again


@dataclass
class RTorrentStages:
    """Load and settle, for the jobs of one configuration."""

    jobs: Mapping[str, LoadJob]
    instance: RTorrentInstance
    loader: Loader
    durability: Durability
    disposer: Disposer
    tie_repair: TieRepair
    releases: HeldReleases
    _commands_checked: str = field(default="", init=False)
    """The incarnation of rTorrent for which the commands of the settings were looked up."""
    _held_until: float = field(default=0.0, init=False)
    """Another rTorrent than the known one answers: nothing is settled before (Unix time)."""

    @classmethod
    def connected(
        cls,
        rtorrent: RTorrent,
        jobs: Mapping[str, LoadJob],
        layout: Layout,
        runtime: Runtime,
        ledger: Ledger,
        metrics: WatcherMetrics,
        idle: Callable[[], object],
    ) -> "RTorrentStages":
        """`idle` is called while rTorrent works."""
        instance, session, gate = RTorrentInstance(rtorrent), Session(), SessionGate(layout.state_dir)

        def recognize(identity: Identity) -> None:
            if reason := gate.why_unknown(rtorrent, identity):
                raise SessionNotKnown(reason)

        ties = Ties(rtorrent, session, instance.sees, recognize)
        loader = Loader(
            ledger,
            LoadOutcomes(ledger, runtime.outbox, metrics),
            instance,
            RTorrentItems(rtorrent, instance, ties, layout.state_dir / "large_metafiles"),
            jobs,
            stopping=lambda: runtime.life.stopping,
            idle=idle,
            ring=partial(ring, bell_file(layout)),
        )
        disposer = Disposer(ledger, jobs, ties, loader.outcomes, runtime.life.as_user, KeptData(instance.data_holder))
        durability = Durability(ledger, rtorrent, disposer.disposes, loader.outcomes.cut_off, session, recognize)
        releases = HeldReleases(FleetRows(ledger), ledger, rtorrent, instance, jobs, loader.outcomes, recognize)
        releases.notice()
        tie_repair = TieRepair(ledger, rtorrent, ties, instance.files, jobs)
        return cls(jobs, instance, loader, durability, disposer, tie_repair, releases)

    def load(self, now: float) -> bool:
        """Send some of what was seen; whether there is more to do at once."""
        self.instance.notice_end()
        return self.loader.step(now)

    def settle(self, now: float) -> bool:
        """Repair ties after a restart of rTorrent, follow visible items until they are saved, and dispose of files."""
        if not self.instance.incarnation or now < self._held_until:
            return False
        due, more = self.durability.due(), False
        try:
            self._check_commands()
            self.tie_repair.step(self.instance.incarnation)
            self.releases.step(now)
            if due is not None and due <= now:
                more = self.durability.step(now)
            return self.disposer.step(now) or more
        except RTorrentError as error:
            self.loader.lost(error, now)
        except SessionNotKnown:  # the scheduler logs that
            self._held_until = now + _UNKNOWN_AGAIN
        return False

    def _check_commands(self) -> None:
        if self.instance.incarnation != self._commands_checked:
            self._commands_checked = self.instance.incarnation
            warn_of_unknown_commands((each.recipes for each in self.jobs.values()), self.instance.known)

    def until_due(self) -> float:
        """Seconds until something is due."""
        now, retry_at = time.time(), max(self.loader.availability.retry_at, self._held_until)
        waiting = (self.durability, self.disposer.attempts, self.releases)
        due = [each for part in waiting if (each := part.due()) is not None]
        times = [self.loader.due(), *(max(each, retry_at) for each in due)]
        if not self.instance.incarnation:
            times.append(retry_at)
        return min(times) - now

    def clock_stepped(self, step: float) -> None:
        """Retry times of a clock that was set back would be too late: everything is due now."""
        self.loader.availability.clock_stepped(step)
        self._held_until = 0.0
        self.durability.check_now()
        self.disposer.attempts.all_now()

    def close(self) -> None:
        self.instance.close()
