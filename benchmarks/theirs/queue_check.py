"""Run in pyrosimple's environment: `queue_check.py URL RUNS MATCHER MAX` times runs of its QueueManager, in seconds."""

import json
import sys
import time

import pyrosimple
from pyrosimple.job.queue import QueueManager

url, runs, matcher, maximum = sys.argv[1:]
pyrosimple.config.settings.SCGI_URL = url
pyrosimple.config.settings.ITEM_CACHE_EXPIRATION = 0.0
job = QueueManager(
    {
        "scgi_url": url,
        "matcher": matcher,
        "sort": "-prio,loaded,name",
        "downloading_max": int(maximum),
        "intermission": 0,
        "dry_run": True,
    }
)
times = []
for _ in range(int(runs)):
    began = time.perf_counter()
    job.run()
    times.append(time.perf_counter() - began)
print(json.dumps(times))
