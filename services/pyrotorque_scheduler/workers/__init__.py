"""Custom jobs run in a process of their own, seen from the scheduler."""
