"""Runs the queue, connstats and the users' jobs: at their fire times, for events and on request."""
