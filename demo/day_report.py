"""The report about a day of a group: its log, alerts, messages, `status`, and which panels had data."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from demo.group import REPOSITORY, Group, environment
from demo.http_answers import opened

if TYPE_CHECKING:
    from demo.day import Day

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "pyrotorque.json"


def report(day: "Day", group: Group, port: int) -> Iterator[str]:
    """What the owner has seen."""
    yield "\n== the day"
    yield from (f"{at:6.0f} s  {text}" for at, text in day.timeline)
    lines = group.log("torque").splitlines()
    trouble = [line for line in lines if re.search("WARN|ERROR|CRIT", line)]
    yield f"\n== torque.log: {len(lines)} lines, {len(trouble)} of them WARN or ERROR"
    yield from trouble
    yield "-- recoveries, sums and the beginning"
    yield from (line for line in lines if re.search(r"again after|succeeded again|there again| in \d", line))
    yield from lines[:5]
    yield "\n== alerts"
    yield from (f"{at:6.0f} s  {status:8} {name}: {summary}" for at, name, status, summary in day.receiver.alerts())
    for path in ("/phone", "/digest"):
        yield f"\n== messages of {path[1:]}"
        yield from (f"{at:6.0f} s  {body}" for at, body in day.receiver.messages(path))
    for columns in (80, 140):
        yield f"\n== status, {columns} columns"
        yield status(group, columns)
    result = ask(port, "max_over_time(sum(rtorrent_scrape_collector_duration_seconds)[1h:])")
    yield f"\nlongest scrape: {float(result[0]['value'][1]) * 1000:.0f} ms" if result else "\nno scrape"
    yield "\n== dashboard"
    yield from empty_panels(port)
    sizes = Counter({path.name: path.stat().st_size for path in (group.config_dir / "log").glob("*.log")})
    yield "logs: " + ", ".join(f"{name} {size:,} B" for name, size in sizes.most_common())


def ask(port: int, query: str) -> list[Any]:
    """What Prometheus answers now."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with opened(url, 30) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
    return found


def empty_panels(port: int) -> Iterator[str]:
    """How many queries of the dashboard had data during the day, and which had none."""
    asked, empty = 0, list[str]()
    for row in json.loads(DASHBOARD.read_text())["panels"]:
        for panel in (row, *row.get("panels", ())):
            for target in panel.get("targets", ()):
                query = target["expr"].replace('"$job"', '"pyrotorque"').replace("$__rate_interval", "20s")
                query = re.sub(r'"\$\w+"', '".*"', query.replace("$__range", "1h"))
                asked += 1
                if not ask(port, f"last_over_time(({query})[1h:5s])"):
                    empty.append(f"{panel['title']} (in {row['title']})")
    yield f"{asked - len(empty)} of {asked} queries have data; without: {', '.join(empty) or 'none'}"


def status(group: Group, columns: int) -> str:
    """As on a terminal of this width."""
    words = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), "status"]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {name: value for name, value in environment().items() if name != "COLUMNS"}
    process = subprocess.Popen(
        words, env=kept | {"TERM": "xterm", "NO_COLOR": "1"}, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of the command
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    process.wait(30)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", shown.decode("utf-8", "replace"))
