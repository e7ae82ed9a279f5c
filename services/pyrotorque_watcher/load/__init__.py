"""Loads each metafile that the ledger has as seen into rTorrent exactly once, or records why it failed."""
