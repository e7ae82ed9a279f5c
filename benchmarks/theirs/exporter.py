"""Run in pyrosimple's environment: `exporter.py URL PID RUNS JOBS STATS PORT` times collect and answer of its exporter.

PID is rTorrent's, whose processor time is told, too.
"""

import json
import resource
import sys
import time
import urllib.request
from pathlib import Path

import pyrosimple
from pyrosimple.job.metrics import RtorrentExporter

url, pid, runs, jobs, stats, port = sys.argv[1:]


def rtorrent():
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


pyrosimple.config.settings.SCGI_URL = url
config = {"scgi_url": url, "jobs": jobs, "addr": "127.0.0.1", "port": int(port), "item-stats": stats.split(",")}
job = RtorrentExporter(config)
times = []
used = 0.0
for _ in range(int(runs)):
    before, began = rtorrent(), time.perf_counter()
    job.run()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read()
    times.append(time.perf_counter() - began)
    used += rtorrent() - before
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": times, "peak_kib": peak, "rtorrent": used / int(runs)}))
