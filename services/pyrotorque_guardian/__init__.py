"""Keeps the other services alive: supervisord's event listener."""
