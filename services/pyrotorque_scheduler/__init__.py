"""Starts queued items while there is room, and runs jobs on their schedules."""
