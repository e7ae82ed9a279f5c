"""Run in pyrosimple's environment: `exporter.py URL RUNS JOBS STATS PORT` times collect plus answer of its exporter."""

import json
import resource
import sys
import time
import urllib.request

import pyrosimple
from pyrosimple.job.metrics import RtorrentExporter

url, runs, jobs, stats, port = sys.argv[1:]
pyrosimple.config.settings.SCGI_URL = url
config = {"scgi_url": url, "jobs": jobs, "addr": "127.0.0.1", "port": int(port), "item-stats": stats.split(",")}
job = RtorrentExporter(config)
times = []
for _ in range(int(runs)):
    began = time.perf_counter()
    job.run()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read()
    times.append(time.perf_counter() - began)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": times, "peak_kib": peak}))
