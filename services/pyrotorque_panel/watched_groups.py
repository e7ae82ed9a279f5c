"""The groups that a panel shows: its own, and others of the same user, each with its events and its curve."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pyrotorque.actions import folder_labels
from pyrotorque.bus.client import follow
from pyrotorque.errors import PyrotorqueError
from pyrotorque.events import Delivery
from pyrotorque.layout import ALL_SERVICES, Layout
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings import layout_of
from pyrotorque.settings.schema import Settings
from pyrotorque.store import Store
from pyrotorque.stored_configuration import last_good
from pyrotorque.text import printable
from pyrotorque.watchroots import active_roots
from pyrotorque_panel.recent_events import RecentEvents
from pyrotorque_panel.transfer_ring import TransferRing

log = logging.getLogger(__name__)

_HOURS: Final = 24
_POLL: Final = 1.0
_FOLDERS_EVERY: Final = 60.0
_RETRY: Final = 5.0


class WatchedGroup:
    """One group; `sample` asks its rTorrent in a thread, because that may hang."""

    def __init__(self, name: str, layout: Layout, store: Store, settings: Settings | None, *, is_own: bool) -> None:
        key = "" if is_own else str(layout.config_dir)
        self.name, self.layout, self.is_own = name, layout, is_own
        roots = [os.fsdecode(root.path) for root in active_roots(settings).roots] if settings else []
        self.events = RecentEvents(store, key)
        self.ring = TransferRing(_HOURS, roots, key)
        self.ring.load(store.db, time.time())
        self._rtorrent = RTorrent.from_settings(settings.rtorrent) if settings else None
        self._sampling: threading.Thread | None = None
        self._next_folders = 0.0

    def sample(self, after: Callable[[], None]) -> None:
        """Ask rTorrent once, unless the last answer is still awaited; then call `after`."""
        if self._sampling is not None and self._sampling.is_alive():
            return

        if self._rtorrent is None and (settings := last_good(self.layout)):
            self._rtorrent = RTorrent.from_settings(settings.rtorrent)  # this group was started after the panel

        def run() -> None:
            self.ring.sample(self._rtorrent, time.time())
            after()
            if time.monotonic() >= self._next_folders:
                self._next_folders = time.monotonic() + _FOLDERS_EVERY
                self.ring.folders = folder_labels(self.layout)  # last: a disk of a file server may not answer

        self._sampling = threading.Thread(target=run, name=f"ring {self.name}", daemon=True)
        self._sampling.start()


def watched_groups(own: Layout, settings: Settings, store: Store) -> list[WatchedGroup]:
    """The own group first; a folder of another user is refused."""
    name = settings.panel.name or group_name(str(own.config_dir))
    found = [WatchedGroup(name, own, store, settings, is_own=True)]
    for folder in settings.panel.groups:
        if any(each.layout.config_dir == folder.absolute() for each in found):
            continue
        if problem := _foreign(folder):
            log.error("panel.groups: %s is not shown: %s", printable(str(folder)), problem)
            continue
        layout = layout_of(folder)
        stored = last_good(layout)
        wanted = stored.panel.name if stored else ""
        name = _unique(wanted or group_name(str(folder)), [each.name for each in found])
        found.append(WatchedGroup(name, layout, store, stored, is_own=False))
    return found


def group_name(config_dir: str) -> str:
    """`main` for ~/.pyroscope, `two` for ~/.pyroscope-two, else the name of the folder."""
    folder = config_dir.rstrip("/").rpartition("/")[2].lstrip(".")
    name = folder.removeprefix("pyroscope").removeprefix("-") or "main"
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in name)[:40] or "main"


class GroupFollower:
    """Follows the durable events of another group in a thread, also while that group is away."""

    def __init__(self, group: WatchedGroup, receive: Callable[[WatchedGroup, Delivery], None]) -> None:
        self._group, self._receive = group, receive
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {group.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """It ends within a second; nothing waits for it."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (PyrotorqueError, OSError) as error:
                log.warning("events of the group %s cannot be read: %s", self._group.name, error)
            self._stopping.wait(_RETRY)

    def _follow(self) -> None:
        newest = self._group.events.newest(1)
        since = newest[0]["at"] + 1e-6 if newest else time.time()
        for delivery in follow(self._group.layout, ALL_SERVICES, since, poll=_POLL):
            if self._stopping.is_set():
                return
            if delivery is not None:
                self._receive(self._group, delivery)


def _unique(name: str, taken: Sequence[str]) -> str:
    number, made = 2, name
    while made in taken:
        made, number = f"{name}-{number}", number + 1
    return made


def _foreign(folder: Path) -> str:
    """Why a group is not shown; empty if it is one of this user."""
    try:
        found = folder.stat()
    except OSError as error:
        return error.strerror or str(error)
    return "" if found.st_uid == os.geteuid() else f"it belongs to user {found.st_uid}"
