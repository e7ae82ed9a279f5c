"""Reads a metafile and decides how it is to be loaded; what cannot be loaded gets a reason instead."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyrotorque.errors import MetafileError, MetafileIncomplete, UserError
from pyrotorque.events import LoadFailure
from pyrotorque.loadcommands import tie as tie_command
from pyrotorque.metafile import Magnet, Metafile, take
from pyrotorque.settings.schema import WatchSettings
from pyrotorque_watcher.ledger import Row
from pyrotorque_watcher.load.flags import Wanted, load_for, path_flags
from pyrotorque_watcher.load.plan import Plan, Torrent, commands_for, mapped, said, verb
from pyrotorque_watcher.scan.content import is_links, torrents_of
from pyrotorque_watcher.scan.files import look
from pyrotorque_watcher.scan.sightings import QUIET

log = logging.getLogger(__name__)

# A writer that stopped in the middle is waited for; after this the file is called broken. It may still be completed.
PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not be loaded until it changes or its owner asks for it."""

    kind: LoadFailure
    reason: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """Its writer is not done."""

    reason: str


class Gone:
    """It is not there any more."""


@dataclass(frozen=True, slots=True)
class Written:
    """It was written again since it was seen."""


Prepared = Plan | Refused | NotYet | Gone | Written


class Recipe(Protocol):
    """What settings say about one metafile."""

    @property
    def wanted(self) -> Wanted: ...

    def commands(
        self, torrent: Metafile | Magnet, flags: frozenset[str], known: Callable[[str], bool]
    ) -> dict[str, bytes]: ...


class Recipes(Protocol):
    """Settings of a job with those of the watch.ini files above a metafile."""

    def of(self, row: Row, /) -> Recipe: ...


@dataclass(frozen=True, slots=True)
class Client:
    """A job as the loader needs it."""

    settings: WatchSettings
    recipes: Recipes


@dataclass(frozen=True, slots=True)
class Ready:
    """A row that is in the ledger as sent, and what to send; a `suspect` may be what rTorrent died of."""

    row: Row
    plan: Plan
    settings: WatchSettings
    suspect: bool = False

    @property
    def verb(self) -> str:
        return verb(self.plan.load, quiet=self.settings.quiet)

    @property
    def size(self) -> int:
        """The bytes of it that travel."""
        return sum(len(torrent.data) + sum(map(len, torrent.commands)) for torrent in self.plan.torrents)


class Sees(Protocol):
    """What rTorrent sees and knows."""

    def sees(self, ours: bytes, theirs: bytes) -> bool: ...

    def known(self, command: str) -> bool: ...


def prepare(row: Row, settings: WatchSettings, recipes: Recipes, rtorrent: Sees, now: float) -> Prepared:
    """What to do about `row`."""
    found = look(row.path)
    if found is None:
        return Gone()
    if found.identity != (row.size, row.mtime_ns):
        return Written()
    try:
        return _plan(row, settings, recipes, rtorrent, now)
    except MetafileIncomplete as error:
        if now - found.mtime_ns / 1e9 < PATIENCE:
            return NotYet(str(error))
        return Refused("invalid", f"it was never completed: {error}")
    except MetafileError as error:
        return Refused("invalid", str(error)) if _is_settled(row, now) else NotYet(str(error))
    except UserError as error:
        first, *more = str(error).splitlines()
        return Refused("template", f"{first} (and {len(more)} more in it)" if more else first)
    except FileNotFoundError:
        return Gone()
    except OSError as error:
        return Refused("io", f"it cannot be read: {error.strerror}")


def _plan(row: Row, settings: WatchSettings, recipes: Recipes, rtorrent: Sees, now: float) -> Plan:
    torrents = _torrents(row, now)
    flags = path_flags(row.path, row.root)
    recipe = recipes.of(row)
    load = load_for(recipe.wanted, flags)
    theirs = mapped(row.path, settings.path_map)
    # rTorrent deletes the file with the item, so a file of several torrents is tied to none.
    tied = len(torrents) == 1 and (
        settings.tie == "yes" or (settings.tie == "auto" and rtorrent.sees(row.path, theirs))
    )
    tie = tie_command(theirs) if tied else None

    def with_commands(torrent: Metafile | Magnet, data: bytes) -> Torrent:
        users = tuple(recipe.commands(torrent, flags, rtorrent.known).values())
        say = None if settings.quiet else said(row.job, torrent.name, load.value)
        return Torrent(torrent.info_hash, torrent.name, data, commands_for(load, row.token, tie, users, say))

    return Plan(tuple(with_commands(*torrent) for torrent in torrents), load, tied)


def _torrents(row: Row, now: float) -> list[tuple[Metafile | Magnet, bytes]]:
    data = take(Path(os.fsdecode(row.path)))
    if is_links(row.path, data) and not _is_settled(row, now):
        raise MetafileIncomplete("it was written just now, and a list of links has no end of its own")
    return torrents_of(row.path, data)


def why_unseen(row: Row, now: float) -> str:
    """What may keep rTorrent from making an item of a good metafile, which it tells nobody but its log."""
    try:
        trackerless = any(not torrent.announce for torrent, _ in _torrents(row, now))
    except (MetafileError, OSError):
        trackerless = False
    if trackerless:
        return "it names no tracker, and rTorrent takes such a torrent only with DHT on (dht.mode.set = auto)"
    return "its own log says why"


def _is_settled(row: Row, now: float) -> bool:
    """Whether its writer has closed it: an event said so, or it did not change for a while."""
    return bool(row.settled) or now - row.first_seen >= QUIET
