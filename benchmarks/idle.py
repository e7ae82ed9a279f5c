"""What the group costs while nothing happens beside 10,000 stopped items: processor and memory of all processes."""

import time
from pathlib import Path

from benchmarks.figures import Figure, processor_of, show
from benchmarks.filled import fill, scratch
from demo.group import SERVICES, Group, free_port
from demo.private_rtorrent import PrivateRTorrent

TORQUE_INI = """\
[TORQUE]
scgi_url = {url}
job.queue.active          = True
job.queue.startable       = is_ignored=0 message=*lost*
job.queue.downloading_max = 50
job.treewatch.active      = True
job.treewatch.path        = {watch}
job.connstats.active      = True
job.exporter.handler      = pyrocore.daemon.exporter:RtorrentExporter
job.exporter.active       = True
job.exporter.port         = {port}
"""
_WARM_UP = 30.0  # seconds: what a service looks at once in its life


def measure(count: int = 10_000, seconds: float = 60.0) -> list[Figure]:
    """One row for the processor, one for the memory; nothing scrapes meanwhile."""
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill(rtorrent, count)
        watch = folder / "watch"
        (watch / "tv").mkdir(parents=True)
        with Group(folder / "c", TORQUE_INI.format(url=rtorrent.url, watch=watch, port=free_port())) as group:
            supervisord = group.supervisord_pid()
            assert supervisord is not None
            pids = [supervisord, *map(group.pid, SERVICES)]
            time.sleep(_WARM_UP)
            before, began = [processor_of(pid) for pid in (*pids, rtorrent.pid)], time.monotonic()
            time.sleep(seconds)
            spent = [processor_of(pid) - start for pid, start in zip((*pids, rtorrent.pid), before, strict=True)]
            took = time.monotonic() - began
            memory = [_share(pid) for pid in pids]
    *ours, theirs = (100 * each / took for each in spent)
    names = ("supervisord", *SERVICES)
    return [
        Figure(
            f"processor, idle beside {count} items, {seconds:.0f} s",
            f"{sum(ours):.2f} % of a core ({_each(names, ours, '.2f')})",
            f"rTorrent {theirs:.2f} %, its own idling included",
            "≤ 0.5 %",
            sum(ours) <= 0.5,
        ),
        Figure(
            "memory (PSS) of supervisord and the services",
            f"{sum(memory):.0f} MiB ({_each(names, memory, '.0f')})",
            "",
            "≤ 100 MiB",
            sum(memory) <= 100.0,
        ),
    ]


def _each(names: tuple[str, ...], values: list[float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in zip(names, values, strict=True))


def _share(pid: int) -> float:
    """MiB of memory of its own, with its part of what is shared (proc_pid_smaps)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


if __name__ == "__main__":
    show("idle", measure())
