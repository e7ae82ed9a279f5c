"""The exporter: serves the metrics of rTorrent and pyrotorque to Prometheus, and a status page."""
