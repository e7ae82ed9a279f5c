"""Tests, sorted by distance from reality: unit, contracts, processes."""
