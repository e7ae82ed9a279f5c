"""The `pyrotorque` command: starts, stops, asks and explains."""
