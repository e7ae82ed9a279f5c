"""The panel's loop: receives events, owns the database, samples rTorrent every ten seconds, keeps the port open."""

import logging
import threading
import time
from functools import partial
from typing import Any, Final, get_args

import msgspec

from pyrotorque import logs
from pyrotorque.bus import Wakeup
from pyrotorque.errors import StateError
from pyrotorque.events import ActionTaken, Delivery, Durable, Fact, Heartbeat, JobFinished, QueueChecked
from pyrotorque.json_input import decode_json
from pyrotorque.outbox import CursorTable
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.service.reload import ConfigurationReloader
from pyrotorque.service.runtime import Runtime, open_runtime
from pyrotorque.settings.schema import PanelSettings
from pyrotorque.supervisord.config import table_services
from pyrotorque_panel.access import Access, AccessState
from pyrotorque_panel.app import PanelApp
from pyrotorque_panel.cleaning import cleaned, cleaned_text
from pyrotorque_panel.composition import PanelParts, make_app
from pyrotorque_panel.loop_calls import LoopCalls
from pyrotorque_panel.migrations import MIGRATIONS
from pyrotorque_panel.panel_requests import PanelRequests
from pyrotorque_panel.port import PanelPort
from pyrotorque_panel.recent_events import Streams, event_fields
from pyrotorque_panel.transfer_ring import EVERY
from pyrotorque_panel.watched_groups import GroupFollower, WatchedGroup, watched_groups

log = logging.getLogger(__name__)

NAME: Final = "panel"
_TURN: Final = 5.0
_STEP: Final = 20.0
_FLUSH_EVERY: Final = 60.0
_LIVE: Final[tuple[type[Fact], ...]] = (QueueChecked, JobFinished)
_DURABLE: Final[tuple[type[Fact], ...]] = get_args(Durable)


def run(start: ServiceStart) -> int:
    """Serve until SIGTERM."""
    reloader = ConfigurationReloader(start.configuration)
    with open_runtime(NAME, start.layout, MIGRATIONS, config_digest=reloader.digest) as runtime:
        sources: dict[str, tuple[type[Fact], ...]] = {
            name: (*_DURABLE, *_LIVE) for name in table_services(start.config_dir) if name != NAME
        }
        runtime.bus.subscribe(sources, CursorTable(runtime.store), from_newest=True)
        panel = Panel(reloader, runtime)
        panel.open()
        try:
            panel.loop()
        finally:
            panel.close()
    return 0


class Panel:
    """The state of the service; the web server's threads reach it through `calls` only."""

    def __init__(self, reloader: ConfigurationReloader, runtime: Runtime) -> None:
        self._reloader, self._runtime = reloader, runtime
        self._store, self._bus = runtime.store, runtime.bus
        self._layout = reloader.current.layout
        self.calls = LoopCalls(self._bus.wake)
        self.access = Access(self._stored_access(), self._save_access)
        self._groups: list[WatchedGroup] = []
        self._followers: list[GroupFollower] = []
        self._port = PanelPort(self._app, self._layout.panel_port)
        self._requests = PanelRequests(self.access, self._port)
        self._next_flush = 0.0
        self._next_sample = 0.0

    @property
    def settings(self) -> PanelSettings:
        return self._reloader.current.settings.panel

    # -- configuration

    def open(self) -> None:
        """Serve with the configuration in force."""
        self._groups = watched_groups(self._layout, self._reloader.current.settings, self._store)
        if not self.settings.active:
            log.info("the panel is not active (panel.active in torque.ini): idling")
        else:
            self._followers = [GroupFollower(each, self._receive_of_other) for each in self._groups[1:]]
            for follower in self._followers:
                follower.start()
        self._port.open(self.settings, time.monotonic())

    def close(self) -> None:
        self._stop()
        self._port.close()

    def _apply_configuration(self) -> None:
        """The port stays open: another user of the machine must not get it."""
        self._stop()
        self.open()

    def _stop(self) -> None:
        self._port.stop_serving()
        self.calls.run_all()  # what a last request has done is stored
        for follower in self._followers:
            follower.stop()
        self._followers = []
        self._flush(float("inf"))

    def _app(self, streams: Streams) -> PanelApp:
        return make_app(
            PanelParts(
                settings=self.settings,
                groups=self._groups,
                access=self.access,
                streams=streams,
                record=self._record,
            )
        )

    # -- the loop

    def loop(self) -> None:
        life = self._runtime.life
        while not life.stopping:
            now = time.monotonic()
            wakeup = self._bus.wait(max(0.0, min(_TURN, self._next_sample - now)) if self.settings.active else _TURN)
            now = time.monotonic()
            with life.step("serving", now + _STEP):
                self._receive(wakeup)
                self.calls.run_all()
                self._sample(now)
                self._port.open(self.settings, now)
                self._flush(now)
            if self._reloader.poll(life) is not None:
                with life.step("applying the configuration", time.monotonic() + _STEP):
                    self._apply_configuration()

    def _receive(self, wakeup: Wakeup) -> None:
        for delivery in wakeup.deliveries:
            event, own = event_fields(delivery), self._groups[0]
            if isinstance(delivery.event, Durable):
                try:
                    with self._bus.applying(delivery) as db:
                        event = own.events.add(db, event)
                except StateError as error:
                    log.warning("%s", error)
                    continue
                own.events.commit(event)
            elif isinstance(delivery.event, Heartbeat):
                continue
            else:
                event["id"] = 0
            self._port.publish(own.name, event)
        for pending in wakeup.requests:
            pending.answer(self._requests.answer(pending.request, self.settings))

    def _receive_of_other(self, group: WatchedGroup, delivery: Delivery) -> None:
        """In the thread that follows another group."""
        event = event_fields(delivery)

        def store() -> None:
            with self._store.transaction() as db:
                made = group.events.add(db, event)
            group.events.commit(made)
            self._port.publish(group.name, made)

        self.calls.call(store)

    def _sample(self, now: float) -> None:
        if not self.settings.active or now < self._next_sample:
            return
        self._next_sample = now + EVERY
        for group in self._groups:
            group.sample(partial(self._port.publish, group.name, {"id": 0, "type": "Sampled"}))

    # -- state

    def _record(self, by: str, action: str, target: str, ok: bool, text: str) -> None:
        """The event of an action that the panel itself carries out, without passkeys; from any thread."""
        target, text = cleaned_text(target), cleaned_text(text)
        event = ActionTaken(at=time.time(), by=by, action=action, target=target, ok=ok, text=text)
        own = self._groups[0]
        logs.owner_event("action", f"{by}: {action} {target}: {'' if ok else 'refused: '}{text}")

        def store() -> None:
            with self._store.transaction() as db:
                self._runtime.outbox.add(event)
                found: dict[str, Any] = msgspec.to_builtins(event)
                made = own.events.add(db, cleaned({"source": NAME, "seq": 0} | found))
            own.events.commit(made)
            self._port.publish(own.name, made)
            self._bus.publish()

        self.calls.call(store)

    def _stored_access(self) -> AccessState:
        row = self._store.db.execute("SELECT body FROM access").fetchone()
        try:
            return decode_json(row[0], type=AccessState) if row else AccessState()
        except msgspec.DecodeError as error:
            log.error("sessions and tokens cannot be read (%s): log in with a new link", error)
            return AccessState()

    def _save_access(self) -> None:
        """Before a login or a token takes effect; from the loop and from threads."""
        if threading.current_thread() is threading.main_thread():
            self._write_access()
        else:
            self.calls.call(self._write_access)

    def _write_access(self) -> None:
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO access VALUES (1, ?)", (self.access.snapshot(),))

    def _flush(self, now: float) -> None:
        """Times of use, and the curves, are stored once a minute."""
        if now < self._next_flush:
            return
        self._next_flush = now + _FLUSH_EVERY
        try:
            if self.access.changed:
                self._write_access()
            with self._store.transaction() as db:
                for group in self._groups:
                    group.ring.save(db, time.time())
        except StateError as error:
            log.warning("%s", error)
