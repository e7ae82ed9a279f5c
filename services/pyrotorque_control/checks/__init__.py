"""Checks beyond the configuration files: rTorrent's own configuration, and what the running rTorrent lacks."""
