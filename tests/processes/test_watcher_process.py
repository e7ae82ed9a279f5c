"""The watcher as a process: killed, stopped, paused and overloaded, it loads each metafile exactly once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo.group import environment
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import TorrentLoaded, decode
from pyrotorque.outbox import stored_events
from tests.dropping import drop, items
from tests.waiting import bound, eventually

pytestmark = [pytest.mark.usefixtures("rtorrent_program"), pytest.mark.process]

INI = """\
[TORQUE]
scgi_url = {url}
job.treewatch.handler = pyrocore.torrent.watch:TreeWatch
job.treewatch.active = True
job.treewatch.path = {root}
"""


class Process:
    """`python -m pyrotorque_watcher`, started again as supervisord does; it has one group for all its processes."""

    def __init__(self, folder: Path, url: str) -> None:
        self.root = folder / "watch"
        self.root.mkdir()
        self.config_dir = folder / "config"
        self.config_dir.mkdir()
        (self.config_dir / "torque.ini").write_text(INI.format(url=url, root=self.root))
        self.log = folder / "watcher.log"
        self.running: subprocess.Popen[bytes] | None = None

    def start(self, *before: str) -> "Process":
        """`before` is a command that becomes the watcher."""
        command = [*before, sys.executable, "-m", "pyrotorque_watcher", "--config-dir", str(self.config_dir)]
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(command, stdout=output, stderr=output, env=environment())
        return self

    def send(self, number: int) -> None:
        assert self.running is not None
        self.running.send_signal(number)

    def end(self, number: int = signal.SIGKILL, timeout: float = 5.0) -> int:
        assert self.running is not None
        self.send(number)
        return self.running.wait(timeout)

    def ready(self) -> bool:
        return "watching" in self.log.read_text(errors="replace")

    @property
    def published(self) -> list[TorrentLoaded]:
        events = (decode(body).event for body in stored_events(self.config_dir / "state" / "watcher.sqlite3"))
        return [event for event in events if isinstance(event, TorrentLoaded)]

    def drop(self, place: str, name: str = "") -> str:
        return drop(self.root / place, name or place.replace("/", " "))


@pytest.fixture
def process(short_folder: Path, rtorrent: PrivateRTorrent) -> Iterator[Process]:
    made = Process(short_folder, rtorrent.url).start()
    try:
        eventually(made.ready, 20, why="the watcher does not come up")
        yield made
    finally:
        if made.running is not None and made.running.poll() is None:
            made.end()


def test_killed_at_random_it_loads_each_once(process: Process, rtorrent: PrivateRTorrent) -> None:
    chance = random.Random(20261123)
    wanted: set[str] = set()
    for number in range(300):
        wanted.add(process.drop(f"a{number % 20}/b{number % 7}/{number}.torrent"))
        if number % 30 == 29:
            process.end()
            process.start()
        else:
            eventually(lambda: True, interval=chance.random() * 0.01)
    eventually(lambda: items(rtorrent) == wanted, 30, why=process.log.read_text()[-2000:])
    try:
        eventually(lambda: len(process.published) >= len(wanted), 20)
    except AssertionError as error:
        unpublished = wanted - {event.info_hash for event in process.published}
        raise AssertionError(
            f"not published: {unpublished}; the log ends: {process.log.read_text()[-3000:]}"
        ) from error
    assert len(process.published) == len(wanted)
    assert len({event.info_hash for event in process.published}) == len(wanted)


def test_a_load_that_failed_is_one_warning_in_both_logs_and_a_duplicate_is_none(process: Process) -> None:
    process.drop("good.torrent")
    (process.root / "bad\n.torrent").write_bytes(b"no metafile")
    eventually(lambda: b"failed" in _states(process), 20)
    process.drop("same.torrent", "good.torrent")
    eventually(lambda: b"duplicate" in _states(process), 20)
    for log in (process.log, process.config_dir / "log/torque.log"):
        lines = [line for line in log.read_text().splitlines() if "did not load" in line]
        (failed,) = (line for line in lines if " WARN " in line)
        (duplicate,) = (line for line in lines if " INFO " in line)
        assert f"treewatch: did not load {process.root}/bad\\n.torrent: " in failed
        assert duplicate.endswith(f"did not load {process.root}/same.torrent: rTorrent has this torrent already")


def test_term_in_the_middle_of_a_burst_ends_it_within_a_second_and_loses_nothing(
    process: Process, rtorrent: PrivateRTorrent
) -> None:
    wanted = {process.drop(f"{number}.torrent") for number in range(300)}
    eventually(lambda: items(rtorrent), 20)
    began = time.monotonic()
    assert process.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < bound(1.0)
    assert items(rtorrent) < wanted
    process.start()
    eventually(lambda: items(rtorrent) == wanted, 20)


def _waiting_connections(rtorrent: PrivateRTorrent) -> int:
    """How many connections the kernel keeps that rTorrent has not accepted: the listening socket is one entry."""
    entries = (line.split() for line in Path("/proc/net/unix").read_text().splitlines())
    return sum(fields[-1] == str(rtorrent.socket) for fields in entries) - 1


def test_term_while_rtorrent_hangs(process: Process, rtorrent: PrivateRTorrent) -> None:
    wanted = {process.drop("first.torrent")}
    eventually(lambda: items(rtorrent) == wanted, 20)
    os.kill(rtorrent.pid, signal.SIGSTOP)
    try:
        wanted.add(process.drop("second.torrent"))
        eventually(lambda: _waiting_connections(rtorrent), 20)
        began = time.monotonic()
        assert process.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < bound(1.2)
    finally:
        os.kill(rtorrent.pid, signal.SIGCONT)
    process.start()
    eventually(lambda: items(rtorrent) == wanted, 20)


def test_a_burst_while_it_is_paused_overflows_the_kernels_queue_and_is_loaded(
    process: Process, rtorrent: PrivateRTorrent
) -> None:
    flips = [process.root / "flip.torrent", process.root / "flop.torrent"]
    wanted = {process.drop(flip.name) for flip in flips}
    eventually(lambda: items(rtorrent) == wanted, 20)
    process.send(signal.SIGSTOP)
    for number in range(17_000):  # the kernel keeps 16,384 events, and merges only equal successive ones
        os.close(os.open(flips[number % 2], os.O_WRONLY))
    last = process.drop("zzz/last.torrent")
    process.send(signal.SIGCONT)
    eventually(lambda: last in items(rtorrent), 60, interval=0.01)
    assert "inotify queue overflow" in process.log.read_text()


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_a_kernel_that_has_no_watches_to_give(short_folder: Path, rtorrent: PrivateRTorrent, limit: str) -> None:
    """The limits of a user namespace are its own: no others are changed."""
    before = ("unshare", "-Ur", "sh", "-c", f'echo 1 > /proc/sys/user/{limit} && exec "$@"', "sh")
    if limit == "max_inotify_instances":
        before = (*before[:4], before[4].replace("echo 1", "echo 0"), before[5])
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    process = Process(short_folder, rtorrent.url)
    process.start(*before)
    try:
        eventually(process.ready, 20, why=process.log.read_text())
        wanted = {process.drop("a/b/c.torrent"), process.drop("d.torrent")}
        eventually(lambda: items(rtorrent) == wanted, 20, why=process.log.read_text())
        assert f"raise fs.inotify.{limit.replace('inotify', 'user')}" in process.log.read_text()
    finally:
        process.end()


def test_the_address_of_an_rtorrent_that_is_not_there_yet(short_folder: Path) -> None:
    process = Process(short_folder, f"scgi://{short_folder}/rt/rtorrent.sock")
    process.start()
    try:
        eventually(process.ready, 20)
        wanted = {process.drop("a/b.torrent")}
        eventually(lambda: "loaded when it is back" in process.log.read_text(), 20)
        with PrivateRTorrent(short_folder / "rt") as rtorrent:
            url = rtorrent.url
            (process.config_dir / "torque.ini").write_text(INI.format(url=url, root=process.root))
            process.send(signal.SIGHUP)
            eventually(lambda: items(rtorrent) == wanted, 20, why=process.log.read_text()[-2000:])
    finally:
        assert process.end(signal.SIGTERM) == 0


def test_a_second_one_on_the_same_state_is_refused_wherever_its_run_folder_is(
    process: Process, short_folder: Path
) -> None:
    first, ini = process.running, process.config_dir / "torque.ini"
    assert first is not None
    ini.write_text(f"{ini.read_text()}run_dir = {short_folder / 'run'}\n")
    second, process.running = process.start().running, first
    assert second is not None
    try:
        assert (second.wait(), first.poll()) == (75, None)
        assert f"is in use (pid {first.pid} holds" in process.log.read_text()
    finally:
        second.kill()


def _states(process: Process) -> bytes:
    import sqlite3

    with closing(sqlite3.connect(process.config_dir / "state" / "watcher.sqlite3")) as db:
        return b" ".join(state.encode() for (state,) in db.execute("SELECT state FROM metafiles"))
