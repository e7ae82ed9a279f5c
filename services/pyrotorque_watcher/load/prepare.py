"""Prepares the load of a metafile: reads it, applies the settings, and returns a plan, or why it is not loaded."""

import errno
from dataclasses import dataclass, field
from typing import Protocol

from pyrotorque.errors import UserError
from pyrotorque.fleet_inbox import FleetHold
from pyrotorque.loadcommands import tie as tie_command
from pyrotorque.metafile import Magnet, Metafile
from pyrotorque.settings.schema import WatchSettings
from pyrotorque.templates.limits import METAFILE_SECONDS, limited
from pyrotorque.text import printable
from pyrotorque_watcher.load.plan import (
    InitialState,
    LoadPlan,
    TorrentLoad,
    commands_for,
    initial_state,
    load_command,
    log_line,
    path_flags,
)
from pyrotorque_watcher.load.recipes import JobRecipes
from pyrotorque_watcher.load.visibility import mapped
from pyrotorque_watcher.rows import LoadRecord, LoadRefused, Row
from pyrotorque_watcher.scan.content import MetafileContent, NotLoadable, NotReadable, Torrents, read_metafile
from pyrotorque_watcher.scan.open_file import FileReader


@dataclass(frozen=True, slots=True)
class LoadJob:
    """The settings of a job, and what they and the watch.ini files set for one metafile."""

    settings: WatchSettings
    recipes: JobRecipes
    reader: FileReader = field(default_factory=FileReader)


@dataclass(frozen=True, slots=True)
class ReadyLoad:
    """A row that the ledger has as sent, and what to send; rTorrent may have crashed because of a `suspect`."""

    row: Row
    plan: LoadPlan
    settings: WatchSettings
    suspect: bool = False
    is_first: bool = True
    """Whether it was never sent before: it is counted then."""

    @property
    def command(self) -> str:
        return load_command(self.plan.state, quiet=self.settings.quiet)

    @property
    def size(self) -> int:
        """How many bytes the request has."""
        return sum(len(torrent.data) + sum(map(len, torrent.commands)) for torrent in self.plan.torrents)


class RTorrentView(Protocol):
    """Its version and session folder, which files it sees (`theirs` is its path of our file `ours`), and which commands
    it has."""

    @property
    def version(self) -> str: ...

    @property
    def session_folder(self) -> bytes: ...

    def sees(self, ours: bytes, theirs: bytes) -> bool: ...

    def known(self, command: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class ForFleet:
    """The fleet is to place it."""

    info_hash: str
    name: str


_NO_METAFILE = "the fleet places metafiles, not magnet links: put the file into a tree with place = local"


def prepare(
    row: Row, job: LoadJob, rtorrent: RTorrentView, now: float, *, is_data: bool = False
) -> LoadPlan | ForFleet | NotLoadable:
    """How `row` is loaded, or why it is not. `is_data`: the file is data of an item."""
    content = read_metafile(row, now, job.settings.settle_time, job.reader)
    if not isinstance(content, MetafileContent):
        return content
    for torrent, _ in content.torrents:
        if reason := torrent.refusal(rtorrent.version):
            return LoadRefused("invalid", reason)
    try:
        with limited(METAFILE_SECONDS):
            return _plan(row, content.torrents, job, rtorrent, is_data=is_data)
    except OSError as error:
        return NotReadable(error.strerror or str(error))
    except MemoryError:
        return NotReadable("not enough memory")
    except UserError as error:
        if isinstance(cause := error.__cause__, OSError) and cause.errno != errno.ENOENT:
            return NotReadable(str(error))  # a watch.ini or a template
        first, *more = str(error).splitlines()
        return LoadRefused("template", f"{first} (and {len(more)} more in it)" if more else first)


def _plan(
    row: Row, torrents: Torrents, job: LoadJob, rtorrent: RTorrentView, *, is_data: bool
) -> LoadPlan | ForFleet | LoadRefused:
    settings, flags = job.settings, path_flags(row.path, row.root)
    recipe = job.recipes.of(row)
    if recipe.is_for_fleet:
        torrent, _ = torrents[0]
        is_metafile = len(torrents) == 1 and isinstance(torrent, Metafile)
        return ForFleet(torrent.info_hash, torrent.name) if is_metafile else LoadRefused("refused", _NO_METAFILE)
    state = InitialState.HOLD if row.hold == FleetHold.HELD else initial_state(recipe.policy, flags)
    theirs = mapped(row.path, settings.path_map)
    # rTorrent deletes the metafile with a tied item, so a file of several torrents is tied to none of them, and no item
    # is tied to data of another. A tie to a file that is deleted next would have to be cut, and that saved, before.
    may_be_tied = len(torrents) == 1 and recipe.on_loaded != "delete" and not is_data
    tied = may_be_tied and (settings.tie == "yes" or (settings.tie == "auto" and rtorrent.sees(row.path, theirs)))
    tie = tie_command(theirs) if tied else None

    def with_commands(torrent: Metafile | Magnet, data: bytes) -> TorrentLoad:
        users = tuple(recipe.commands(torrent, flags, rtorrent.known, rtorrent.session_folder).values())
        line = None if settings.quiet else log_line(row.job, torrent.name, state.value)
        return TorrentLoad(torrent.info_hash, torrent.name, data, commands_for(state, row.token, tie, users, line))

    return LoadPlan(tuple(with_commands(*torrent) for torrent in torrents), state, tied)


def record_of(plan: LoadPlan, attempts: int) -> LoadRecord:
    """What the ledger records of a load."""
    first, *others = plan.torrents
    return LoadRecord(
        info_hash=first.info_hash,
        others=tuple(torrent.info_hash for torrent in others),
        name=printable(first.name),
        mode=plan.state.mode,
        tied=plan.tied,
        attempts=attempts,
    )
