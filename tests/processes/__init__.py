"""Tests with real processes: rTorrent, supervisord, Prometheus."""
