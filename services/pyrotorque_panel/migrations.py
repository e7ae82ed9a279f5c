"""The tables of the panel; in a module of its own, because a restore needs them without the web server."""

from typing import Final

MIGRATIONS: Final = (
    """
    -- sessions, tokens and the hash of the password, as JSON
    CREATE TABLE access (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL);
    -- the newest events of all services
    CREATE TABLE recent (number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
    """,
    """
    -- which group an event is of; empty: the group of this panel, else a configuration directory
    ALTER TABLE recent ADD COLUMN config_dir TEXT NOT NULL DEFAULT '';
    -- samples of rTorrent's transfer, a JSON list for each time they were stored
    CREATE TABLE transfer (number INTEGER PRIMARY KEY, config_dir TEXT NOT NULL, at REAL NOT NULL, body BLOB NOT NULL);
    """,
)
