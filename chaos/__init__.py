"""Fault injection for the whole group, reproducible by a seed, followed by a verification of all state."""
