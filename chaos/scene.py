"""The system under test: a real rTorrent, the group under supervisord, metafiles, and a durable listener."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from chaos.accounting import Committed, listener_record
from chaos.crash_points import CrashPoints
from chaos.heartbeat_log import FaultPeriod, HeartbeatLog
from chaos.listener import database
from chaos.stream import DISPOSALS, Stream, Written
from demo.group import Group, environment, free_port
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.errors import RTorrentError
from pyrotorque.layout import SERVICES, Layout
from pyrotorque.rtorrent import RTorrent
from pyrotorque.supervisord import Process, Supervisord, SupervisordError

TORQUE_INI = """\
[TORQUE]
scgi_url = {url}
job.queue.active          = True
job.queue.schedule        = second=*
job.queue.start_at_once   = 100
job.queue.downloading_max = 1000000
job.queue.startable       = is_ignored=0 message= prio>0
{watches}
job.exporter.handler      = pyrocore.daemon.exporter:RtorrentExporter
job.exporter.active       = True
job.exporter.port         = {port}
"""

WATCH = """\
job.{mode}.handler     = pyrocore.torrent.watch:TreeWatch
job.{mode}.active      = True
job.{mode}.schedule    = hour=*
job.{mode}.path        = {watch}/{mode}
job.{mode}.load_mode   = start
job.{mode}.queued      = True
job.{mode}.on_loaded   = {mode}
job.{mode}.loaded_path = {done}
job.{mode}.on_failed   = delete
"""

REMOVE_UNTIED = "schedule = untied, 1, 1, ((remove_untied))\n"

STATE_SIZE = 256 << 20
"""Size of the disk that is filled; the watcher's write-ahead log alone may take 80 MB."""
TIMEOUT = 90.0
_CLONE_NEWNS = 0x00020000


@dataclass
class Scene:
    """Everything that a fault needs to act and to detect the recovery."""

    folder: Path
    rtorrent: PrivateRTorrent
    group: Group
    layout: Layout
    stream: Stream
    listener: "Listener"
    crash_points: CrashPoints
    heartbeats: HeartbeatLog
    own_disk: bool
    fault_periods: list[FaultPeriod] = field(default_factory=list[FaultPeriod])
    rtorrent_killed: list[float] = field(default_factory=list[float])
    trimmed: set[str] = field(default_factory=set[str])
    """Services whose outbox has lost events."""
    undisposed: set[Path] = field(default_factory=set[Path])
    """Metafiles that were there when the watcher lost the state about them: they stay, or fail as duplicates."""
    committed: Committed = field(default_factory=Committed)

    @property
    def ini(self) -> Path:
        return self.layout.config_dir / "torque.ini"

    @property
    def supervisord(self) -> Supervisord:
        return Supervisord(self.layout.supervisor_socket)

    def holder(self, service: str) -> int:
        """The pid that holds, or last held, the role."""
        try:
            return int(self.layout.lock_file(service).read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0

    def states(self) -> dict[str, str]:
        return {name: process.state for name, process in self._processes().items()}

    def all_run(self) -> bool:
        """Whether supervisord reports all services as running, and each holds its role."""
        running = self._processes()
        return all(
            service in running and running[service].state == "RUNNING" and running[service].pid == self.holder(service)
            for service in SERVICES
        )

    def _processes(self) -> dict[str, Process]:
        with contextlib.suppress(SupervisordError):
            return {process.name: process for process in self.supervisord.processes()}
        return {}

    def items(self) -> dict[str, bool]:
        """The items of rTorrent and whether they are started; empty while it does not answer."""
        try:
            client = RTorrent(self.rtorrent.url, read_timeout=30.0)
            return {info: state == "1" for info, state in client.rows("main", ["d.hash=", "d.state="])}
        except RTorrentError:
            return {}

    def until(self, condition: Callable[[], bool], what: str, timeout: float = TIMEOUT) -> float:
        """Wait until `condition` holds; returns the seconds that it took; raises TimeoutError after `timeout`."""
        began = time.monotonic()
        wait_until(condition, timeout, lambda: f"not within {timeout:g} s: {what}; states: {self.states()}")
        return time.monotonic() - began

    def until_others_hold(self, before: dict[str, int]) -> float:
        """Wait until each of these roles is held by another process than `before`."""
        return self.until(
            lambda: all(self.holder(name) not in (0, pid) for name, pid in before.items()),
            f"{', '.join(before)} back",
        )

    def until_loaded(self, written: list[Written]) -> float:
        wanted = {each.info_hash for each in written}
        return self.until(lambda: wanted <= self.items().keys(), f"{len(wanted)} metafiles loaded")

    def keep_committed(self, *services: str) -> None:
        """Save the committed events of these services, before a fault removes them."""
        for service in services:
            self.committed.read(service, self.layout.database(service))

    def misplaced(self, written: list[Written]) -> list[str]:
        """Metafiles that are not where the disposal of loaded ones puts them, and names that it left behind."""
        watch, done = self.folder / "watch", self.folder / "done"
        wrong: list[str] = []
        for each in [each for each in written if each.path not in self.undisposed]:
            mode = each.path.relative_to(watch).parts[0]
            moved = done / each.path.relative_to(watch / mode)
            renamed = each.path.with_name(f"{each.path.name}.loaded")
            wanted = {"keep": [each.path], "delete": [], "move": [moved], "rename": [renamed]}[mode]
            if [path for path in (each.path, moved, renamed) if path.exists()] != wanted:
                wrong.append(f"{each.path} (on_loaded = {mode})")
        return wrong + [str(path) for top in (watch, done) for path in top.rglob(".pyrotorque-*")]

    def gap_count(self) -> int:
        return len(listener_record(self.listener.database).gaps)

    def has_received_from(self, service: str) -> bool:
        return any(place.source == service for place in listener_record(self.listener.database).applied)

    def log(self, name: str) -> str:
        """The complete log of a service, rotated files included."""
        paths = sorted(self.layout.log_dir.glob(f"{name}.log*"), reverse=True)
        return "".join(path.read_text(errors="replace") for path in paths)


class Listener:
    """The durable subscriber, restarted whenever it exits, unless it is paused."""

    def __init__(self, config_dir: Path, folder: Path, armed: Path) -> None:
        self.database = database(folder)
        self._command = [sys.executable, "-m", "chaos.listener", str(config_dir), str(folder), str(armed)]
        self._output = folder / "listener.log"
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._wanted.set()
        self.process: subprocess.Popen[bytes] | None = None
        # One thread starts all of them: the kernel kills a child together with the thread that started it.
        self._thread = threading.Thread(target=self._supervise, name="listener")

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def pause(self) -> None:
        self._wanted.clear()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    def resume(self) -> None:
        self._wanted.set()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def _supervise(self) -> None:
        while not self._stop.wait(0.02):
            if self._wanted.is_set() and (self.process is None or self.process.poll() is not None):
                with self._output.open("ab") as output:
                    self.process = subprocess.Popen(self._command, env=environment(), stdout=output, stderr=output)
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def scene(seed: int, rate: float, *, crash_points: bool = True) -> Generator[Scene]:
    """A running system in a scratch folder in memory, removed afterwards."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=memory if memory.is_dir() else None))
    signal.signal(signal.SIGTERM, _exit_on_term)
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        layout, watch, port = Layout.below(folder / "c"), folder / "watch", free_port()
        layout.prepare()
        own_disk = _mount_own_disk(layout.state_dir, ending)
        for mode in DISPOSALS:
            (watch / mode).mkdir(parents=True)
        points = CrashPoints(folder / "points")
        rtorrent = ending.enter_context(PrivateRTorrent(folder / "rt", extra_rc=REMOVE_UNTIED))
        group = Group(
            layout.config_dir,
            TORQUE_INI.format(url=rtorrent.url, watches=_watches(watch, folder / "done"), port=port),
            first_on_path=points.site if crash_points else None,
        )
        ending.callback(group.stop)
        group.begin()
        listener = ending.enter_context(Listener(layout.config_dir, folder, points.armed))
        heartbeats = ending.enter_context(HeartbeatLog(layout))
        stream = Stream(watch, folder / "outside", rate, seed)
        made = Scene(folder, rtorrent, group, layout, stream, listener, points, heartbeats, own_disk)
        made.until(made.all_run, "the group up")
        yield made


def _watches(watch: Path, done: Path) -> str:
    return "\n".join(WATCH.format(mode=mode, watch=watch, done=done) for mode in DISPOSALS)


def _exit_on_term(number: int, _frame: object) -> None:
    """TERM stops a run and all that it started, as Ctrl-C does."""
    sys.exit(128 + number)


def leftovers(folder: Path) -> list[str]:
    """Other processes that were started with `folder` or have a file in it open."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            files = [os.readlink(fd) for fd in (process / "fd").iterdir()]
            if str(folder) in words or any(path.startswith(str(folder)) for path in files):
                found.append(f"{process.name} {words[:80]}")
    return found


def _mount_own_disk(folder: Path, ending: ExitStack) -> bool:
    """Mount a small private filesystem for the state; False if that is not permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    private, recursive = 1 << 18, 1 << 14
    # In a private mount namespace, so that nothing stays mounted after this process.
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, private | recursive, None):
        return False
    if libc.mount(b"chaos", bytes(folder), b"tmpfs", 0, b"mode=0700,size=%d" % STATE_SIZE):
        return False
    ending.callback(libc.umount2, bytes(folder), 2)
    return True
