"""Keeps the ledger equal to the watched trees: each metafile in them has a row, and each new one is there once."""
