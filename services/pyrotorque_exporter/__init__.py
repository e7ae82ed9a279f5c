"""The exporter: serves the metrics of rTorrent and pyrotorque to Prometheus."""

from pyrotorque.light_imports import placeholders

# The exporter has a server of its own (http.py) and sends nothing: 3 MiB for servers, TLS and clients.
with placeholders("http.server", "ssl", "urllib.request", "wsgiref.simple_server"):
    import prometheus_client as prometheus_client
