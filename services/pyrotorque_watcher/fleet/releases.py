"""Releases items of the inbox that the fleet permitted, and erases those that it gave to another group.

A held item is stopped, its priority is off, and it never ran. It is released by the commands that its load would have
had; the ledger has it as released when rTorrent has saved that. It is erased only while it is as it was loaded.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pyrotorque.errors import RTorrentError, RTorrentFault, SessionNotKnown, UserError
from pyrotorque.open_loads import mark_of
from pyrotorque.rtorrent import Call, Identity, RTorrent, save_threads
from pyrotorque.rtorrent.session import Session
from pyrotorque.text import printable
from pyrotorque_watcher.fleet.fleet_rows import FleetRows
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.cut_off import keeps_data
from pyrotorque_watcher.load.outcomes import LoadOutcomes
from pyrotorque_watcher.load.plan import InitialState, initial_state, path_flags, priority_commands
from pyrotorque_watcher.load.prepare import LoadJob
from pyrotorque_watcher.load.visibility import RTorrentInstance
from pyrotorque_watcher.rows import Row
from pyrotorque_watcher.scan.content import MetafileContent, read_metafile
from pyrotorque_watcher.scan.open_file import FileReader

log = logging.getLogger(__name__)

_ROWS: Final = 64
_AGAIN: Final = 0.02
_AGAIN_MAX: Final = 5.0
_TRIES_MAX: Final = 30
"""After so many saves that rTorrent did not make (a full disk) the item counts as released."""
_FACTS: Final = ("d.state", "d.is_active", "d.completed_bytes", "d.timestamp.started")


@dataclass
class HeldReleases:
    """Used by the settle stage and by requests; `step` raises RTorrentError and SessionNotKnown."""

    rows: FleetRows
    ledger: Ledger
    rtorrent: RTorrent
    instance: RTorrentInstance
    jobs: Mapping[str, LoadJob]
    outcomes: LoadOutcomes
    recognize: Callable[[Identity], None] = lambda _: None
    """Raises SessionNotKnown for another rTorrent than the known one: an item that it lacks was not erased."""
    session: Session = field(default_factory=Session)
    _due: float = 0.0
    _pause: float = _AGAIN
    _waits: bool = False
    _tries: dict[int, int] = field(default_factory=dict[int, int])
    _saved: dict[int, tuple[float, dict[str, int]]] = field(default_factory=dict[int, tuple[float, dict[str, int]]])
    """By turn: what the session had, and when (`save_threads.now()`)."""

    def notice(self) -> None:
        """Something was permitted."""
        self._due, self._pause, self._waits = 0.0, _AGAIN, True

    def due(self) -> float | None:
        """When (Unix time) there is something to do."""
        return self._due if self._waits else None

    def step(self, now: float) -> None:
        """Release what is permitted, as far as rTorrent has saved it."""
        if now < self._due:
            return
        rows = self.rows.permitted(_ROWS)
        self._waits = bool(rows)
        if not rows:
            self._due, self._pause = 0.0, _AGAIN
            return
        before = self.rtorrent.identity()
        self.recognize(before)
        self.session.locate(self.rtorrent, before)
        applied = [done for row in rows if row.turn not in self._saved and (done := self._applied(row)) is not None]
        try:
            self._require_same(before)
        except (SessionNotKnown, RTorrentError):
            self._saved.clear()
            raise
        released = [row for row in rows if row.turn in self._saved and self._stays_saved(row)]
        with self.ledger.transaction():
            self.rows.mark_published(applied)
            self.outcomes.released(applied, time.time())
            self.rows.mark_released(released)
        self._waits = len(released) < len(rows) or len(rows) == _ROWS
        self._due = now + self._pause
        self._pause = _AGAIN if applied or released else min(_AGAIN_MAX, 2 * self._pause)

    def _require_same(self, before: Identity) -> None:
        if self.rtorrent.identity().incarnation != before.incarnation:
            raise SessionNotKnown("rTorrent was replaced while it was read")

    def _applied(self, row: Row) -> Row | None:
        """Give the item what its settings say; the row as it is now, None without a job."""
        job = self.jobs.get(row.job)
        if job is None:
            return None
        info_hash = row.load.info_hash
        state, commands = self._state_of(row, job)
        # With several commands, the first one may have raised it already.
        otherwise = [command if len(commands) > 1 else b"cat=" for command in commands]
        starts = ("d.open=", "d.start=") if state is InitialState.START else ()
        calls: list[Call] = [
            *(("branch", (info_hash, "d.priority=", *both)) for both in zip(otherwise, commands, strict=True)),
            *(("branch", (info_hash, "d.state=", "cat=", command)) for command in starts),
            ("d.save_full_session", (info_hash,)),
        ]
        answers = self.rtorrent.multicall([mark_of(info_hash), *calls, ("d.priority", (info_hash,))])
        mark, priority = answers[0], answers[-1]
        is_ours = mark == row.token and isinstance(priority, int)
        wanted = {"priority": priority} if is_ours and isinstance(priority, int) else {}
        if wanted and state is InitialState.START:
            wanted["state"] = 1
        if not wanted:
            log.info("%s: %s was erased before it was permitted", row.job, printable(row.load.name))
        if self._is_saved(row, wanted):
            self._saved[row.turn] = (save_threads.now(), wanted)
        return msgspec.structs.replace(row, load=msgspec.structs.replace(row.load, mode=state.mode))

    def _stays_saved(self, row: Row) -> bool:
        """On rTorrent 0.16 an earlier save that is still in progress may end after ours, and overwrite it."""
        at, wanted = self._saved[row.turn]
        if self.session.folder and self.session.is_saving(row.load.info_hash, at):
            return False
        del self._saved[row.turn]
        return self._is_saved(row, wanted)

    def _is_saved(self, row: Row, wanted: Mapping[str, int]) -> bool:
        if not (self.session.folder and wanted):
            return True
        saved = self.session.values(row.load.info_hash) or {}
        if all(saved.get(key) == value for key, value in wanted.items()):
            self._tries.pop(row.turn, None)
            return True
        self._tries[row.turn] = self._tries.get(row.turn, 0) + 1
        return self._tries[row.turn] > _TRIES_MAX

    def _state_of(self, row: Row, job: LoadJob) -> tuple[InitialState, list[bytes]]:
        """The state that its settings give to the item, and the commands for its priority."""
        try:
            recipe = job.recipes.of(row)
            flags = path_flags(row.path, row.root)
            state = initial_state(recipe.policy, flags)
            if state is InitialState.HOLD:
                return state, []
            content = read_metafile(row, time.time(), 0.0, FileReader())
            if isinstance(content, MetafileContent):
                rtorrent = self.instance
                torrent, _ = content.torrents[0]
                users = recipe.commands(torrent, flags, rtorrent.known, rtorrent.session_folder)
                return state, list(priority_commands(tuple(users.values())))
            return state, list(priority_commands(()))
        except (UserError, OSError) as error:
            log.warning("%s: %s gets the normal priority: %s", row.job, printable(row.load.name), error)
            return InitialState.QUEUE, list(priority_commands(()))

    def discard(self, info_hash: str) -> str:
        """Erase a held item and its metafile: another group has it. Empty when that is done, else why it is not."""
        for row in self.rows.held(info_hash):
            if row.progress.state == "sent":
                return "its load is in progress"
            if row.progress.state in ("visible", "loaded") and (reason := self._erase(row)):
                return reason
            with suppress(FileNotFoundError):
                os.unlink(row.path)
            with self.ledger.transaction():
                self.ledger.remove(row)
            log.info("%s: erased %s: another group of the fleet has it", row.job, printable(row.load.name))
        return ""

    def _erase(self, row: Row) -> str:
        info_hash = row.load.info_hash
        try:
            before = self.rtorrent.identity()
            self.recognize(before)
            mark, *facts = self.rtorrent.multicall([mark_of(info_hash), *((name, (info_hash,)) for name in _FACTS)])
            self._require_same(before)
            if isinstance(mark, RTorrentFault) or mark != row.token:
                return ""  # it is gone, or another program's
            if any(facts):
                return "it was started by hand, and has data: it stays"
            if not keeps_data(self.rtorrent):
                return "rTorrent deletes data with erased items: it stays, stopped"
            self.rtorrent.multicall([("branch", (info_hash, "d.state=", "cat=", "d.erase="))])
        except (RTorrentError, SessionNotKnown) as error:
            return str(error)
        return ""
