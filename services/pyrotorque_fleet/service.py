"""The fleet's loop: heartbeats with facts, other groups and their requests, forwarded events, and this group's view."""

import logging
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from pyrotorque.bus import PendingRequest, Wakeup
from pyrotorque.errors import StateError
from pyrotorque.events import Durable, Fact, MetafileOffered, ServiceStateChanged
from pyrotorque.linux.memory import release_free_memory
from pyrotorque.outbox import CursorTable
from pyrotorque.requests import Answer, DescribeService
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.service.runtime import Runtime, open_runtime
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.settings.schema import FleetSettings, WatchSettings
from pyrotorque.supervisord.config import table_services
from pyrotorque.text import counted, printable
from pyrotorque.totals import Totals
from pyrotorque_fleet.availability import FleetAvailability
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import ClaimState
from pyrotorque_fleet.exchange import BucketState, ClaimUpdate, Connected, Disconnected, Update
from pyrotorque_fleet.forward import MIGRATIONS, Forwarder
from pyrotorque_fleet.heartbeat import GroupHeartbeat
from pyrotorque_fleet.holders import ItemHolders
from pyrotorque_fleet.known_groups import KnownGroups
from pyrotorque_fleet.link import Link
from pyrotorque_fleet.membership import Membership
from pyrotorque_fleet.metrics import FleetMetrics
from pyrotorque_fleet.placement import Placement
from pyrotorque_fleet.questions import GroupQuestions
from pyrotorque_fleet.targets import TargetFiles
from pyrotorque_fleet.user_requests import UserRequests
from pyrotorque_fleet.view import fleet_view

log = logging.getLogger(__name__)

NAME: Final = "fleet"
DURABLE: Final[tuple[type[Fact], ...]] = get_args(Durable)
_TURN: Final = 2.0
"""Seconds between two looks at the configuration."""
_STEP: Final = 20.0
_STUCK_AFTER: Final = 60.0
_UPDATES_MAX: Final = 100
_JOINING: Final = "makes sure that no other group has its name, before it takes or offers metafiles"


class LinkStuck(StateError):
    """The link's thread gives no sign of life."""


@dataclass
class Fleet:
    """The state of the service; `turn` is one turn of its loop."""

    reloader: ConfigurationReloader
    runtime: Runtime
    totals: Totals = field(default_factory=Totals)

    def __post_init__(self) -> None:
        self._metrics = FleetMetrics(self.totals)
        self.totals.load(self.runtime.store)
        self._report = TotalsReport(NAME, self.totals, self.runtime.bus)
        self._targets = TargetFiles(self.reloader.current.layout)
        self._states: dict[str, str] = {}
        self._claims = ClaimTable(self.runtime.store)
        self._user_requests = UserRequests(self.runtime.bus.wake, self._metrics.bad_values.inc, self._claims)
        self._link: Link | None = None
        self._forwarder: Forwarder | None = None
        self._placement: Placement | None = None
        self._nats = FleetAvailability(time.monotonic())
        self._started = time.time_ns() // 1000
        self._was_behind = False
        """Whether more claims arrived than one turn takes, and left free memory behind."""

    # -- configuration

    @property
    def settings(self) -> FleetSettings:
        return self.reloader.current.settings.fleet

    def open(self) -> None:
        """Connect with the configuration in force."""
        settings = self.reloader.current.settings
        self._rtorrent = RTorrent.from_settings(settings.rtorrent)
        self._heartbeat = GroupHeartbeat(settings, self._started, self._rtorrent, self._states)
        membership = Membership(settings.fleet.name, self._started, settings.fleet.silent)
        self.groups = KnownGroups(self._heartbeat, membership, self._metrics)
        self._nats = FleetAvailability(time.monotonic())
        if not settings.fleet.servers:
            log.info("no fleet is configured (fleet.servers in torque.ini): idling")
            return
        link = Link(settings.fleet, self.runtime.bus.wake)
        self._link = link
        self._placement = self._new_placement(link)
        link.known_claims = self._claims.known()
        self._forwarder = Forwarder(self.runtime.store, link, self.runtime.bus.wake)
        link.start()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = self._forwarder = self._placement = None
        self._metrics.up.set(0)

    def _new_placement(self, link: Link) -> Placement:
        ledger = self.runtime.store.path.with_name("watcher.sqlite3")
        holders = ItemHolders(self.settings.name, ledger, self._rtorrent, SessionGate(ledger.parent))
        bad_value = self._metrics.bad_values.inc
        placement = Placement(
            self.settings, self.reloader.current.layout, self._claims, link, self.groups,
            self.runtime.bus.wake, bad_value, self._metrics.placed.inc, holders,
            holds_name=self.groups.membership.holds_name,
        )  # fmt: skip
        self._questions = GroupQuestions(
            self.settings.name, self._rtorrent, holders, placement.refusal, bad_value, self.groups.membership.holds_name
        )
        return placement

    def _reload(self) -> None:
        before = self.reloader.current.settings
        if (found := self.reloader.poll(self.runtime.life)) is None:
            return
        watches = found.settings.active_jobs(WatchSettings)
        if (found.settings.fleet, found.settings.rtorrent) != (before.fleet, before.rtorrent) or (
            watches != before.active_jobs(WatchSettings)
        ):
            self.close()
            self.open()

    # -- the loop

    def run(self) -> None:
        """Until SIGTERM; raises AlreadyRunning when another group uses this name."""
        try:
            self.open()
            while not self.runtime.life.stopping:
                wakeup = self.runtime.bus.wait(self._timeout(time.monotonic()))
                with self._step("following the fleet"):
                    self.turn(wakeup, time.monotonic())
                self._reload()
        finally:
            self.close()
            with self.runtime.store.transaction():
                self.totals.save(self.runtime.store)

    def _step(self, name: str) -> AbstractContextManager[None]:
        return self.runtime.life.step(name, time.monotonic() + _STEP)

    def _timeout(self, now: float) -> float:
        if not self._nats.server:
            return _TURN
        due = self._heartbeat.due - now
        return max(0.0, min(_TURN, due, self._placement.timeout(now) if self._placement else _TURN))

    def turn(self, wakeup: Wakeup, now: float) -> None:
        """Do everything that is due at `now` (CLOCK_MONOTONIC seconds)."""
        self._apply(wakeup)
        self._receive(now)
        for pending in wakeup.requests:
            self._answer(pending, now)
        self._user_requests.finish(self.groups.names)
        if self._link is not None:
            self._check_link(self._link, now)
            holds_name = self.groups.membership.holds_name(now)
            if self._nats.server and now >= self._heartbeat.due:
                groups = 1 + len(self.groups.membership.members)
                self._heartbeat.write(self._link, now, groups, joining=not holds_name)
            if self._forwarder is not None and self._nats.server and self.settings.events and holds_name:
                self._forwarder.step(now)
            if self._placement is not None and self._nats.server:
                self._placement.step(now)
                self._link.known_claims = self._claims.known()
        self._publish_metrics(now)

    def _check_link(self, link: Link, now: float) -> None:
        if now - link.alive > _STUCK_AFTER:
            raise LinkStuck(f"the connection to NATS gave no sign of life for {now - link.alive:.0f} s")
        self._nats.report(now)
        link.refused_writes.report(now)

    # -- events of this group

    def _apply(self, wakeup: Wakeup) -> None:
        for delivery in wakeup.deliveries:
            event = delivery.event
            if isinstance(event, ServiceStateChanged):
                self._states[event.service] = event.state
            if isinstance(event, MetafileOffered) and self._placement is not None:
                self._placement.sender.notice()
            if isinstance(event, Durable):
                try:
                    with self.runtime.bus.applying(delivery) as db:
                        if self._forwarder is not None and self.settings.events:
                            self._forwarder.keep(db, delivery)
                except StateError as error:
                    log.warning("%s", error)
        for gap in wakeup.gaps:
            if self._forwarder is not None:
                self._forwarder.keep_gap(gap.source, gap.reason)

    # -- the fleet

    def _receive(self, now: float) -> None:
        updates: list[ClaimUpdate] = []
        while self._link is not None and self._link.received and len(updates) < _UPDATES_MAX:
            match self._link.received.popleft():
                case Connected(server):
                    self._connected(server, now)
                case Disconnected(reason):
                    self._nats.disconnected(reason, now)
                    if self._placement is not None:
                        self._placement.disconnected()
                case BucketState() as state:
                    if self._placement is not None:
                        self._placement.update(updates)
                        updates = []
                        self._placement.follow(state)
                case ClaimUpdate() as update:
                    updates.append(update)
                case Update() as update:
                    self.groups.receive(update)
        if self._placement is not None and updates:
            self._placement.update(updates)
        if self._link is not None:
            self._questions.answer_all(self._link.asked, now)
        if self._link is not None and self._link.received:
            self._was_behind = self._was_behind or len(updates) == _UPDATES_MAX
            self.runtime.bus.wake()
        elif self._was_behind:
            self._was_behind = False
            release_free_memory()

    def _connected(self, server: str, now: float) -> None:
        self._nats.connected(server, now)
        self._heartbeat.restart()
        if self._forwarder is not None:
            self._forwarder.connected()

    # -- requests of this group's user

    def _answer(self, pending: PendingRequest, now: float) -> None:
        if isinstance(pending.request, DescribeService):
            pending.answer(Answer(ok=True, text=self._described(now), data=self.view(now)))
            return
        self._user_requests.answer(pending, self._link, self._placement, self._nats, now)

    def view(self, now: float) -> dict[str, Any]:
        """The fleet as this group sees it, as plain values."""
        counts = self._claims.open_counts()
        return fleet_view(self.groups.own, self.groups.membership, self._nats, counts, now) | {
            "configured": self._link is not None,
            "refused": self._refused(now),
            "waiting": self._forwarder.waiting if self._forwarder else 0,
            "claims": self._claims.counts(),
        }

    def _described(self, now: float) -> str:
        if self._link is None:
            return "idle: no fleet is configured"
        if not self._nats.server:
            return f"the fleet is unavailable: {self._nats.reason or 'connecting'}"
        connected = f"connected to {printable(self._nats.server)}, {counted(self.groups.count(now).total(), 'group')}"
        joining = [] if self.groups.membership.holds_name(now) else [_JOINING]
        return "; ".join((connected, *joining, *self._refused(now)))

    def _refused(self, now: float) -> list[str]:
        """What the servers do not store, a sentence each."""
        return [] if self._link is None else list(self._link.refused_writes.lasting(now).values())

    # -- metrics

    def _publish_metrics(self, now: float) -> None:
        if not self._report.is_due(now):
            return
        self._metrics.up.set(1 if self._nats.server else 0)
        groups = self.groups.count(now)
        for state in ("present", "gone"):
            self._metrics.groups.set(groups[state], state)
        self._metrics.waiting.set(self._forwarder.waiting if self._forwarder else 0)
        counts = self._claims.counts()
        for state in get_args(ClaimState):
            self._metrics.claims.set(counts.get(state, 0), state)
        if self._forwarder is not None:
            self._metrics.forwarded.inc(by=self._forwarder.forwarded)
            self._forwarder.forwarded = 0
        self._report.save_and_publish(self.runtime.store, now)
        self._targets.write(self.settings, self.groups.addresses(), bool(self._nats.server), now)


def run(start: ServiceStart) -> int:
    """Follow the fleet until SIGTERM."""
    # It warns of each connection over TLS that ends.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    reloader = ConfigurationReloader(start.configuration)
    with open_runtime(NAME, start.layout, MIGRATIONS, config_digest=reloader.digest) as runtime:
        others = [name for name in table_services(start.config_dir) if name != NAME]
        runtime.bus.subscribe(dict.fromkeys(others, DURABLE), CursorTable(runtime.store))
        Fleet(reloader, runtime).run()
    return 0
