"""Loads metafiles that appear in watched trees, each of them once."""
