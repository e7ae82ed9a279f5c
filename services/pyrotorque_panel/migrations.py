"""The tables of the panel; in a module of its own, because a restore needs them without the web server."""

from typing import Final

MIGRATIONS: Final = (
    """
    -- sessions, tokens and the hash of the password, as JSON
    CREATE TABLE access (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL);
    -- the newest events of all services
    CREATE TABLE recent (number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
    """,
)
