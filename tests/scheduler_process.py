"""The scheduler as a process without supervisord, with a real rTorrent that rings its bell."""

import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.group import REPOSITORY, environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus import ask
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.events import TorrentStarted, decode
from pyrotorque.layout import Layout
from pyrotorque.outbox import stored_events
from pyrotorque.requests import Answer, DescribeService, Request
from pyrotorque.rtorrent import RTorrent
from tests.waiting import bound, eventually

BELL = (REPOSITORY / "deploy" / "rtorrent.d" / "bell.rc").read_text()


@dataclass
class Scheduler:
    """The service without supervisord; it can be started repeatedly."""

    config: Path
    rtorrent: RTorrent
    process: subprocess.Popen[bytes] | None = None
    loaded: list[str] = field(default_factory=list[str])

    @property
    def layout(self) -> Layout:
        return Layout.below(self.config)

    def configure(self, url: str, **settings: object) -> None:
        lines = [f"job.queue.{key} = {value}" for key, value in settings.items()]
        text = "\n".join(["[TORQUE]", f"scgi_url = {url}", "job.queue.active = True", *lines])
        (self.config / "torque.ini").write_text(text)

    def start(self) -> None:
        command = [sys.executable, "-m", "pyrotorque_scheduler", "--config-dir", str(self.config)]
        with (self.config / "out").open("ab") as output:
            self.process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output)
        eventually(self.answers, 60)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait()

    def ask(self, request: Request) -> Answer:
        return ask(self.layout, "scheduler", request, bound(5))

    def log(self) -> str:
        return (self.config / "out").read_text()

    def load(self, name: str) -> str:
        metafile = make_metafile(name)
        self.rtorrent.call("load.raw", "", metafile, f"d.custom.set=tm_loaded,{time.time():.0f}")
        self.loaded.append(info_hash(metafile))
        return self.loaded[-1]

    def running(self) -> set[str]:
        return {made for made, state in self.rtorrent.rows("main", ["d.hash=", "d.state="]) if state == "1"}

    def started(self) -> list[str]:
        """The info-hashes of all TorrentStarted in its outbox."""
        events = [decode(body).event for body in stored_events(self.layout.database("scheduler"))]
        return [event.info_hash for event in events if isinstance(event, TorrentStarted)]

    def answers(self, timeout: float = 5.0) -> bool:
        try:
            return ask(self.layout, "scheduler", DescribeService(), timeout).ok
        except ServiceUnreachable:
            return False


def bell_of(config: Path) -> str:
    """The include that rings the bell of this configuration directory."""
    return BELL.replace("~/.pyroscope/run/bell", str(config / "run" / "bell"))


@contextmanager
def rtorrent_with_bell(folder: Path) -> Generator[PrivateRTorrent]:
    """An rTorrent that rings the bell of the configuration directory `folder/config`."""
    running = PrivateRTorrent(folder / "rt", extra_rc=bell_of(folder / "config")).start()
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def scheduler_beside(real: PrivateRTorrent, folder: Path, **settings: object) -> Generator[Scheduler]:
    """A scheduler that the test starts; it is killed at the end."""
    config = folder / "config"
    config.mkdir()
    made = Scheduler(config, RTorrent(real.url))
    made.configure(real.url, **settings)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.end()
