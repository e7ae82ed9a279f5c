"""Keeps the other services alive."""
