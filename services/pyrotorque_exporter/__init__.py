"""Shows rTorrent and pyrotorque to Prometheus."""
