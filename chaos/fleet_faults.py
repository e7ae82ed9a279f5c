"""The faults of `make chaos-fleet`: what is killed, stopped, cut off or deleted, and that it comes back."""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from chaos.networks import PrivateNetwork
from demo.fleet_site import FleetSite
from tests.nats import NatsCluster, NatsServer

_STOP = (4.0, 7.0)
"""Seconds; a group is gone after three."""
_CUT = (3.0, 12.0)
"""A client gives a connection up after six."""


@dataclass
class FleetFaults:
    """`chance` decides about all of them. Faults may run side by side: one at a time for each target."""

    sites: Sequence[FleetSite]
    cluster: NatsCluster
    network: PrivateNetwork | None
    chance: random.Random
    _busy: set[str] = field(default_factory=set[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def all(self) -> dict[str, tuple[float, Callable[[], None]]]:
        """By name: how often relative to the others, and the fault."""
        found: dict[str, tuple[float, Callable[[], None]]] = {
            "fleet killed": (6, self._kill("fleet")),
            "fleet stopped": (6, self._stop("fleet")),
            "watcher killed": (3, self._kill("watcher")),
            "watcher stopped": (2, self._stop("watcher")),
            "rTorrent killed": (2, self._restart_rtorrent),
            "rTorrent stopped": (2, self._stop_rtorrent),
            "server killed": (3, self._restart_server),
            "server stopped": (3, self._stop_server),
            "all servers away": (1, self._all_away),
            "bucket deleted": (1, lambda: self._delete("KV_pyrotorque_claims")),
            "data of one server deleted": (1, self._lose_data),
        }
        if self.network is not None:
            found["group cut off"] = (4, self._cut_group)
            found["server cut off"] = (3, self._cut_server)
        return found

    # -- targets

    @contextmanager
    def _alone(self, *targets: str) -> Generator[None]:
        """Wait until no other fault is about these."""
        while True:
            with self._lock:
                if not self._busy.intersection(targets):
                    self._busy.update(targets)
                    break
            time.sleep(0.05)
        try:
            yield
        finally:
            with self._lock:
                self._busy.difference_update(targets)

    @contextmanager
    def _some_site(self, what: str) -> Generator[FleetSite]:
        site = self.chance.choice(self.sites)
        with self._alone(f"{site.name} {what}"):
            yield site

    @contextmanager
    def _some_server(self) -> Generator[NatsServer]:
        # One at a time, so that the other two are a majority.
        server = self.chance.choice(self.cluster.servers)
        with self._alone("servers"):
            yield server

    # -- groups

    def _kill(self, service: str) -> Callable[[], None]:
        def kill() -> None:
            with self._some_site(service) as site:
                site.signal(service, signal.SIGKILL)

        return kill

    def _stop(self, service: str) -> Callable[[], None]:
        def stop() -> None:
            with self._some_site(service) as site:
                if pid := site.signal(service, signal.SIGSTOP):
                    time.sleep(self.chance.uniform(*_STOP))
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)

        return stop

    def _restart_rtorrent(self) -> None:
        with self._some_site("rTorrent") as site:
            site.rtorrent.kill()
            site.rtorrent.start(timeout=60)

    def _stop_rtorrent(self) -> None:
        with self._some_site("rTorrent") as site:
            site.rtorrent.pause()
            time.sleep(self.chance.uniform(*_STOP))
            site.rtorrent.resume()

    # -- servers

    def _restart_server(self) -> None:
        with self._some_server() as server:
            server.kill()
            time.sleep(self.chance.uniform(0.0, 3.0))
            server.start()

    def _stop_server(self) -> None:
        with self._some_server() as server:
            server.pause()
            time.sleep(self.chance.uniform(*_CUT))
            server.resume()

    def _all_away(self) -> None:
        with self._alone("servers"):
            for server in self.cluster.servers:
                server.kill()
            time.sleep(self.chance.uniform(3.0, 10.0))
            for server in self.cluster.servers:
                server.begin()
            for server in self.cluster.servers:
                server.await_ready()

    def _lose_data(self) -> None:
        with self._some_server() as server:
            server.lose_data()

    def _delete(self, stream: str) -> None:
        async def run() -> None:
            client = await self.cluster.servers[0].connect()
            try:
                await client.jetstream(timeout=10).delete_stream(stream)
            finally:
                await client.close()

        with self._alone("servers"), suppress(Exception):
            asyncio.run(run())

    # -- the network

    def _cut(self, name: str) -> None:
        assert self.network is not None
        self.network.cut(name)
        try:
            time.sleep(self.chance.uniform(*_CUT))
        finally:
            self.network.join(name)

    def _cut_group(self) -> None:
        with self._some_site("network") as site:
            self._cut(site.name)

    def _cut_server(self) -> None:
        with self._some_server() as server:
            self._cut(server.folder.name)
