"""Runs custom jobs, each in its own worker process, so that a failing job affects no other job or service."""
