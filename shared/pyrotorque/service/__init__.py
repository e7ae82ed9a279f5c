"""What every service is made of: its life, heartbeat, bus and state, configuration reload and totals."""
