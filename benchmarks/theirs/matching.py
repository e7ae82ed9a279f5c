"""Run in pyrosimple's environment: `matching.py URL RUNS MATCHER` times its matcher over items that it has fetched."""

import json
import sys
import time

import pyrosimple
import pyrosimple.torrent.engine  # its matcher needs it and does not say so
from pyrosimple.util import matching

url, runs, text = sys.argv[1:]
pyrosimple.config.settings.SCGI_URL = url
pyrosimple.config.settings.ITEM_CACHE_EXPIRATION = 3600.0
matcher = matching.create_matcher(text)
items = list(pyrosimple.connect(url).items())
# Most of what an item is asked for is fetched the first time only: the later rounds are hardly more than matching.
found = sum(bool(matcher.match(item)) for item in items)
times = []
for _ in range(int(runs)):
    began = time.process_time()
    for item in items:
        matcher.match(item)
    times.append(time.process_time() - began)
print(json.dumps({"seconds": times, "found": found}))
