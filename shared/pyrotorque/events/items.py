"""Durable events about items, their metafiles and their files."""

from typing import Literal

from pyrotorque.events.base import Fact

LoadMode = Literal["start", "normal", "queued"]
LoadFailure = Literal["invalid", "duplicate", "rpc", "timeout", "io", "template", "refused", "too_large"]
StartFailure = Literal["rejected", "gone"]
RemovedData = Literal["keep", "quarantine", "delete"]


class TorrentLoaded(Fact, frozen=True, kw_only=True, tag=True):
    """A metafile's item became visible in rTorrent; `seconds` from file close until then.

    It may not be durable yet: if rTorrent is killed before it has saved the item, it is loaded again, without a second
    event. State `loaded` in `pyrotorque watched` means that it is saved.
    """

    info_hash: str
    name: str
    metafile: str
    job: str
    mode: LoadMode
    seconds: float


class LoadFailed(Fact, frozen=True, kw_only=True, tag=True):
    """A metafile was not loaded, permanently or until it changes; `reason` is a sentence, `kind` its class."""

    metafile: str
    job: str
    kind: LoadFailure
    reason: str


class MetafileOffered(Fact, frozen=True, kw_only=True, tag=True):
    """A metafile is in a tree with `place = fleet`: the fleet is to place it on one of its groups."""

    info_hash: str
    name: str
    metafile: str
    job: str


class MetafilePlaced(Fact, frozen=True, kw_only=True, tag=True):
    """A group of the fleet has the item of a metafile that was offered here; `seconds` from file close until then."""

    info_hash: str
    name: str
    metafile: str
    job: str
    group: str
    seconds: float


class TorrentStarted(Fact, frozen=True, kw_only=True, tag=True):
    """The queue (or `pyrotorque start`) started an item; `waited` from load to start, None when unknown.

    `durable` is False if rTorrent could not save the start in its session (a full disk?), None if that cannot be seen.
    """

    info_hash: str
    name: str
    job: str
    waited: float | None = None
    durable: bool | None = None


class StartFailed(Fact, frozen=True, kw_only=True, tag=True):
    """An item that should run does not."""

    info_hash: str
    name: str
    job: str
    kind: StartFailure
    reason: str


class TorrentCompleted(Fact, frozen=True, kw_only=True, tag=True):
    """An item has all its data, or all of the files that are selected; published again only after it was incomplete."""

    info_hash: str
    name: str


class TorrentMoved(Fact, frozen=True, kw_only=True, tag=True):
    """A job moved the data of an item (`pyrotorque.jobs.mover`); published once for each move."""

    info_hash: str
    name: str
    job: str
    old_path: str
    new_path: str


class TorrentRemoved(Fact, frozen=True, kw_only=True, tag=True):
    """A clean-up job removed an item (`pyrotorque.jobs.cleanup`); published once for each removal.

    `data` says what happened to its files: with `quarantine` they are in the folder `quarantine`, `size` bytes that are
    free after the purge; with `delete`, `freed` bytes are free. `kept_files` stay because other items have them.
    """

    info_hash: str
    name: str
    job: str
    reason: str
    data: RemovedData
    size: int
    freed: int
    files: int
    kept_files: int
    quarantine: str = ""


class TorrentRestored(Fact, frozen=True, kw_only=True, tag=True):
    """`pyrotorque quarantine restore` brought back an item with its files, or orphaned files (no `info_hash`)."""

    info_hash: str
    name: str
    job: str
    files: int


class QuarantinePurged(Fact, frozen=True, kw_only=True, tag=True):
    """The data of an entry of the quarantine was deleted, after its time or by its owner; `freed` bytes are free."""

    info_hash: str
    name: str
    job: str
    freed: int


class OrphansMoved(Fact, frozen=True, kw_only=True, tag=True):
    """Files that belong to no item were moved to quarantine."""

    job: str
    files: int
    size: int
    quarantine: str


class TorrentErased(Fact, frozen=True, kw_only=True, tag=True):
    """An item is no longer in rTorrent."""

    info_hash: str
    name: str
