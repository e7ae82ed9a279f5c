"""`make run`: runs the whole group with a private rTorrent, and loads and starts a sample metafile."""

import contextlib
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rich.console import Console

from demo.group import Group, free_port
from demo.http_answers import opened
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import bound, wait_until
from pyrotorque.rtorrent import RTorrent

TORQUE_INI = """\
[TORQUE]
scgi_url = {url}

job.queue.active          = True
job.queue.schedule        = second=*/5
job.queue.downloading_max = 3
job.queue.startable       = is_ignored=0 message= prio>0

job.treewatch.active      = True
job.treewatch.path        = {watch}
job.treewatch.load_mode   = start
job.treewatch.queued      = True

job.exporter.handler      = pyrocore.daemon.exporter:RtorrentExporter
job.exporter.active       = True
job.exporter.port         = {port}

panel.active              = True
panel.port                = {panel}
"""

STARTED = 'pyrotorque_queue_starts_total{job_name="queue"} 1.0'
SHOWN = ("rtorrent_up ", "rtorrent_items{", "pyrotorque_watch_loads_total", "pyrotorque_queue_starts_total")


def main() -> int:
    """Run the demonstration until Ctrl-C; returns 0 if the sample item was started."""
    stop = threading.Event()
    previous = {number: signal.signal(number, _setter(stop)) for number in (signal.SIGINT, signal.SIGTERM)}
    scratch = Path(tempfile.mkdtemp(prefix="pyrotorque-"))
    console = Console(highlight=False)
    try:
        with contextlib.ExitStack() as ending:
            ending.callback(console.print, "\nstopping the group and its rTorrent …")
            try:
                show(console, scratch, ending, stop)
            except Interrupted:
                return 1
            if "--once" not in sys.argv:
                stop.wait()
        return 0
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        console.print(f"removed {scratch}; nothing is left running")
        for number, old in previous.items():
            signal.signal(number, old)


class Interrupted(Exception):
    """Ctrl-C was pressed before the end of the demonstration."""


def show(console: Console, scratch: Path, ending: contextlib.ExitStack, stop: threading.Event) -> None:
    """Start everything, write a metafile into a new nested folder, and print its progress."""

    def until(condition: Callable[[], bool], service: str) -> None:
        wait_until(lambda: stop.is_set() or condition(), bound(30), lambda: group.log(service), every=0.002)
        if stop.is_set():
            raise Interrupted

    console.print(f"[bold]1[/] a private rTorrent in {scratch}")
    rtorrent = ending.enter_context(PrivateRTorrent(scratch / "rtorrent"))
    watch, port, panel = scratch / "watch", free_port(), free_port()
    watch.mkdir()
    console.print("[bold]2[/] pyrotorque's group: supervisord, scheduler, watcher, exporter, panel, guardian")
    group = Group(scratch / "pyroscope", TORQUE_INI.format(url=rtorrent.url, watch=watch, port=port, panel=panel))
    ending.enter_context(group)
    console.print(group.command("ctl", "status").stdout.rstrip(), style="dim")

    metafile = make_metafile("A sample item")
    folder = watch / "linux" / "isos" / "new"
    console.print(f"[bold]3[/] writing sample.torrent into the new folder {folder}", soft_wrap=True)
    folder.mkdir(parents=True)
    client = RTorrent(rtorrent.url)
    name = info_hash(metafile)
    written = time.monotonic()
    (folder / "sample.torrent").write_bytes(metafile)
    until(lambda: name in str(client.call("download_list", "", "main")), "watcher")
    console.print(f"  [green]loaded[/]  {name} after at most {(time.monotonic() - written) * 1e3:.0f} ms")
    until(lambda: client.call("d.is_active", name) == 1, "scheduler")
    console.print(f"  [green]started[/] by the queue after at most {(time.monotonic() - written) * 1e3:.0f} ms")

    url = f"http://127.0.0.1:{port}/metrics"
    until(lambda: STARTED in _scraped(url), "exporter")
    console.print(f"[bold]4[/] metrics at {url}")
    for line in _scraped(url):
        if line.startswith(SHOWN):
            console.print(f"  {line}", style="dim", markup=False, soft_wrap=True)
    console.print(f"[bold]5[/] the panel, for one browser: {login_link(group)}", soft_wrap=True)
    console.print(_look_around(group.config_dir, url), soft_wrap=True)


def login_link(group: Group) -> str:
    """A new link that logs in one browser."""
    answer = group.command("panel")
    return answer.stdout.strip() or answer.stderr.strip()


def _scraped(url: str) -> list[str]:
    with opened(url) as answer:
        return str(answer.read(), "utf-8").splitlines()


def _look_around(config_dir: Path, url: str) -> str:
    command = f"{sys.executable} -m pyrotorque_control --config-dir {config_dir}"
    return f"""[bold]6[/] try these commands in another terminal:
  P="{command}"
  $P status                the group, the queue, the last loads
  $P ctl tail -f watcher   the log of one service
  $P events -f             new events
  $P explain               the state of the queue
  $P panel                 another login link
  curl {url}
[bold]Press Ctrl-C to stop.[/]"""


def _setter(stop: threading.Event) -> "signal._HANDLER":  # pyright: ignore[reportPrivateUsage]
    def remember(number: int, frame: FrameType | None) -> None:
        stop.set()

    return remember


if __name__ == "__main__":
    sys.exit(main())
