"""What the bell costs rTorrent: one of its own events with the hook of deploy/rtorrent.d/bell.rc, and without."""

import contextlib
import select

from benchmarks.figures import Figure, processor_of, show
from benchmarks.filled import fill, scratch
from demo.group import REPOSITORY
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque_scheduler.bell import Bell

INCLUDE = REPOSITORY / "deploy" / "rtorrent.d" / "bell.rc"
# rTorrent runs all hooks of an event on request, as it does by itself when a download is paused.
EVENT = "event.download.paused"
_AT_ONCE = 500


def measure(events: int = 10_000, runs: int = 3) -> list[Figure]:
    """One row; both sides take turns on one machine, and the best run of each counts."""
    with scratch() as folder, contextlib.closing(Bell(folder / "bell")) as bell:
        include = INCLUDE.read_text().replace("~/.pyroscope/run/bell", str(folder / "bell"))
        with PrivateRTorrent(folder / "with", extra_rc=include) as ringing, PrivateRTorrent(folder / "plain") as plain:
            for rtorrent in (ringing, plain):
                fill(rtorrent, 1)
            bell.drain()
            costs = [(_cost(ringing, events), _cost(plain, events)) for _ in range(runs)]
        if not select.select([bell.fd], [], [], 0)[0]:
            raise RuntimeError("the bell did not ring: nothing was measured")
    ours, without = (min(each) for each in zip(*costs, strict=True))
    return [
        Figure(
            f"rTorrent's processor for an event, {events} of them",
            f"{ours * 1e6:.0f} µs with the bell",
            f"{without * 1e6:.0f} µs without",
            "≤ 0.1 ms more",
            ours - without <= 1e-4,
        )
    ]


def _cost(rtorrent: PrivateRTorrent, events: int) -> float:
    """Seconds of processor time for each."""
    client = RTorrent(rtorrent.url, read_timeout=60)
    item = client.rows("main", ["d.hash="])[0][0]
    before = processor_of(rtorrent.pid)
    for _ in range(0, events, _AT_ONCE):
        client.multicall([(EVENT, (item,))] * _AT_ONCE)
    return (processor_of(rtorrent.pid) - before) / events


if __name__ == "__main__":
    show("bell", measure())
