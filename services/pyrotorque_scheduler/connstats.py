"""The job connstats: logs one line with rTorrent's response time, uptime, rates and number of items."""

import time
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.humanize import duration, rate
from pyrotorque.logs import job_logger
from pyrotorque.rtorrent import RTorrent, Value
from pyrotorque.text import printable

_STARTED: Final = ("system.startup_time", "startup_time")


def stats_line(rtorrent: RTorrent, now: float) -> str:
    """`Stats for HOST (pid, version), up 3d 04:05: items, rates, response time, calls`."""
    began = time.monotonic()
    identity = rtorrent.identity()
    took = (time.monotonic() - began) * 1000
    calls = [("view.size", ("", "main")), ("throttle.global_down.rate", ("",)), ("throttle.global_up.rate", ("",))]
    items, down, up = rtorrent.multicall(calls)
    started = next((name for name in _STARTED if rtorrent.known(name)), None)
    up_since = f", up {duration(now - _int(rtorrent.call(started)))}" if started else ""
    return (
        f"Stats for {printable(identity.hostname)} (pid {identity.pid}, rTorrent {identity.client_version}){up_since}: "
        f"{_int(items)} items, down {rate(_int(down))}, up {rate(_int(up))}, answers in {took:.1f} ms, "
        f"{sum(rtorrent.stats.requests.values())} calls so far"
    )


class ConnectionStats:
    """One connstats job."""

    def __init__(self, name: str, rtorrent: RTorrent) -> None:
        self.name = name
        self._rtorrent = rtorrent

    def run(self, now: float) -> None:
        job_logger(self.name).info("%s", stats_line(self._rtorrent, now))


def _int(value: Value | RTorrentFault) -> int:
    return value if isinstance(value, int) else 0
