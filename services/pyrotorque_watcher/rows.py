"""The tables of the watcher's own file; the list only ever grows at its end."""

from typing import Final

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
)
