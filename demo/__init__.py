"""A private rTorrent with sample metafiles, for `make run`, tests and benchmarks."""
