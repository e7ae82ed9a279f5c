"""The `pyrotorque` command: starts, stops, checks and queries a group."""
