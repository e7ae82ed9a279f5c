"""The rows of the ledger: their tables, and the typed values that the stages exchange."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from pyrotorque.events import LoadFailure, LoadMode
from pyrotorque.fleet_inbox import FleetHold
from pyrotorque.json_input import decode_json

State = Literal["seen", "sent", "visible", "loaded", "duplicate", "failed", "baseline", "offered", "placed"]
"""seen: to load; sent: rTorrent got the load command; visible: rTorrent has the item; loaded: its session has it, too;
duplicate: rTorrent had this torrent before; failed: not loaded; baseline: older than the watch of its root; offered:
the fleet is to place it; placed: a group of the fleet has it."""

PENDING: Final[tuple[State, ...]] = ("seen", "sent", "visible")

Todo = Literal["", "retie", "retie_loaded", "loaded", "failed", "failed_kept"]
"""What is still to be done about a file: change the tie of its item, dispose of it after the load or a failure, report
that it stays after a failure."""


class FileIdentity(msgspec.Struct, frozen=True):
    """A file and all that identifies it."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int

    @property
    def version(self) -> tuple[int, int]:
        """What changes when the file is written or touched, and stays the same over restarts and mounts."""
        return self.size, self.mtime_ns

    def is_same_state(self, other: "FileIdentity") -> bool:
        """Whether nothing about the file changed, by all that the kernel records; no evidence over mounts."""
        return self.version == other.version and (self.ctime_ns, self.device, self.inode) == (
            *(other.ctime_ns, other.device, other.inode),
        )


class FoundFile(FileIdentity, frozen=True):
    """A file as `stat` or a listing found it."""

    links: int


class KnownFile(FileIdentity, frozen=True):
    """A file as the ledger has it: what reconciliation needs of a row."""

    state: State
    kind: LoadFailure | Literal[""] = ""
    gone: bool = False
    info_hash: str = ""


class Sighting(msgspec.Struct, frozen=True):
    """A file to record: when its writer closed it (Unix seconds), and whether an event reported that."""

    closed: float
    settled: bool = True
    state: State = "seen"
    reason: str = ""
    next_try: float = 0.0
    """When it is read first (Unix seconds)."""


class Arrival(msgspec.Struct, frozen=True):
    """When the file was seen as it is now, when it was closed (Unix seconds), and whether an event reported that."""

    first_seen: float
    closed: float
    settled: bool


class LoadRecord(msgspec.Struct, frozen=True):
    """The load of a metafile: which torrents it names, and how they are loaded."""

    info_hash: str = ""
    others: tuple[str, ...] = ()
    """More info-hashes, of a magnet file with several links."""
    name: str = ""
    mode: LoadMode | Literal[""] = ""
    tied: bool = False
    attempts: int = 0

    @property
    def info_hashes(self) -> tuple[str, ...]:
        return (self.info_hash, *self.others)


class Progress(msgspec.Struct, frozen=True):
    """How far the load has come, and why it is not further."""

    state: State
    reason: str
    changed: float
    incarnation: str
    """The rTorrent process that showed the item."""
    published: bool
    """Whether TorrentLoaded was published."""


class LoadRefused(msgspec.Struct, frozen=True):
    """The metafile is not loaded until it changes or a retry is requested."""

    kind: LoadFailure
    reason: str
    is_bad_content: bool = False
    """Whether it is proven to be no metafile, with any settings and any rTorrent: `on_failed` applies to no other."""


class EarlierLoad(msgspec.Struct, frozen=True):
    """What the file at this path was loaded as before it was written again."""

    info_hash: str
    broken_token: str
    """The token of an item whose load commands failed: it may be replaced."""


class Absence(msgspec.Struct, frozen=True):
    """Evidence, stored before a load is sent: the rTorrent process `incarnation` with the session folder `session` did
    not have these items, `at` this time of its clock (Unix seconds)."""

    incarnation: str
    session: str
    at: int
    info_hashes: tuple[str, ...]


class TiedRow(NamedTuple):
    """A row whose item may be tied to a file that is gone: since when the ledger has it as gone (0: it is there), and
    whether we removed it."""

    row: "Row"
    gone: float
    disposed: bool


class Row(msgspec.Struct, frozen=True):
    """One metafile on its way into rTorrent."""

    turn: int
    """The order in which files were seen."""
    token: str
    """What the load writes into the item as its mark (`pyrotorque.open_loads`), with a dot until all commands ran."""
    job: str
    root: bytes
    file: FileIdentity
    arrival: Arrival
    load: LoadRecord
    progress: Progress
    earlier: EarlierLoad
    absence: Absence | None = None
    """That its items were not in rTorrent before the load; None after the load is over, or if it is not known."""
    hold: int = FleetHold.LOCAL
    """Of a metafile in the inbox of the fleet."""

    @property
    def path(self) -> bytes:
        return self.file.path


IN_FLEET: Final = "fleet"
"""In the place of the incarnation of an rTorrent: another group of the fleet has the item of a duplicate."""
PUBLISHED: Final = "told"
"""The column of Progress.published."""
KNOWN_COLUMNS: Final = "path, size, mtime_ns, ctime_ns, device, inode, state, kind, gone != 0, info_hash"
ROW_COLUMNS: Final = (
    "turn, token, job, root, path, size, mtime_ns, ctime_ns, device, inode, first_seen, closed, settled,"
    " info_hash, others, name, mode, tied, attempts, state, reason, changed, incarnation,"
    f" {PUBLISHED}, was, broken, absence, hold"
)


def row_of(columns: Sequence[Any]) -> Row:
    """The row that a query for ROW_COLUMNS returned."""
    turn, token, job, root = columns[:4]
    info_hash, others, name, mode, tied, attempts = columns[13:19]
    state, reason, changed, incarnation, published = columns[19:24]
    return Row(
        turn,
        token,
        job,
        root,
        FileIdentity(*columns[4:10]),
        Arrival(columns[10], columns[11], bool(columns[12])),
        LoadRecord(info_hash, tuple(others.split()), name, mode, bool(tied), attempts),
        Progress(state, reason, changed, incarnation, bool(published)),
        EarlierLoad(*columns[24:26]),
        decode_json(columns[26], type=Absence) if columns[26] else None,
        columns[27],
    )


MIGRATIONS: Final = (
    """
    CREATE TABLE metafiles (
        turn INTEGER PRIMARY KEY,           -- the order in which files were seen
        job TEXT NOT NULL, path BLOB NOT NULL, folder BLOB NOT NULL, root BLOB NOT NULL,
        size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
        device INTEGER NOT NULL, inode INTEGER NOT NULL,
        info_hash TEXT NOT NULL DEFAULT '',
        others TEXT NOT NULL DEFAULT '',    -- more info-hashes, of a magnet file with several links
        name TEXT NOT NULL DEFAULT '',
        state TEXT NOT NULL, mode TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
        kind TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
        first_seen REAL NOT NULL, changed REAL NOT NULL, closed REAL NOT NULL,
        next_try REAL NOT NULL DEFAULT 0,   -- Unix seconds
        token TEXT NOT NULL,                -- what the load writes into the item, to know it again
        incarnation TEXT NOT NULL DEFAULT '',
        settled INTEGER NOT NULL DEFAULT 1, -- its writer is known to have closed it
        broken TEXT NOT NULL DEFAULT '',    -- the token of an item whose load commands failed: ours to replace
        was TEXT NOT NULL DEFAULT '',       -- the info-hash that the file at this path had before
        told INTEGER NOT NULL DEFAULT 0,    -- TorrentLoaded went out
        tied INTEGER NOT NULL DEFAULT 0,
        gone REAL NOT NULL DEFAULT 0,       -- since when the file is not at its path
        UNIQUE (job, path)
    );
    CREATE INDEX metafiles_state ON metafiles (state, turn, next_try, gone);
    CREATE INDEX metafiles_folder ON metafiles (job, folder);
    CREATE INDEX metafiles_identity ON metafiles (mtime_ns, size);
    CREATE INDEX metafiles_hash ON metafiles (info_hash);
    CREATE TABLE roots (
        job TEXT NOT NULL, path BLOB NOT NULL, since_ns INTEGER NOT NULL, complete INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (job, path)
    ) WITHOUT ROWID;
    """,
    """
    -- what is still to be done after the load: 'retie' (the file was renamed), 'loaded', 'failed' (put it away)
    ALTER TABLE metafiles ADD COLUMN todo TEXT NOT NULL DEFAULT '';
    CREATE INDEX metafiles_todo ON metafiles (todo) WHERE todo != '';
    """,
    """
    -- thousands of files may have one size and one time (an archive, a coarse clock), but not one inode or name as well
    DROP INDEX metafiles_identity;
    CREATE INDEX metafiles_inode ON metafiles (mtime_ns, size, inode);
    CREATE INDEX metafiles_name ON metafiles (mtime_ns, size, substr(path, length(folder) + 2));
    """,
    """
    -- the file was removed from its path by us (or just not yet): its item must not stay tied to that path
    ALTER TABLE metafiles ADD COLUMN disposed INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- the settings that each job had last: when they change, what failed because of them is retried
    CREATE TABLE job_settings (job TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    -- that rTorrent did not have the items before the load (JSON): what it saved without load commands is then ours
    ALTER TABLE metafiles ADD COLUMN absence TEXT NOT NULL DEFAULT '';
    """,
    """
    -- the loads that are open, which the scheduler and jobs look up (pyrotorque.open_loads)
    CREATE INDEX metafiles_open ON metafiles (others) WHERE absence != '';
    """,
    """
    -- of a metafile in the inbox of the fleet (pyrotorque.fleet_inbox): 1 held, 2 permitted, 3 released
    ALTER TABLE metafiles ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX metafiles_hold ON metafiles (hold) WHERE hold != 0;
    """,
    """
    -- the folders whose watch.ini had settings when it was read last: an empty one has lost them
    CREATE TABLE configured_folders (path BLOB PRIMARY KEY) WITHOUT ROWID;
    """,
)
