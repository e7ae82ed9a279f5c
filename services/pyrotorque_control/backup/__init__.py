"""Backups of a group: its configuration, its state, and the session of its rTorrent, consistent with each other."""
