"""The command starts a group of its own each time: by cron, in the foreground, as a dry run, for one run of a job."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from demo.group import SERVICES, Group, environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.grouping import dropped, torque_ini
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.either_rtorrent(reason="it is about our processes: what they do in rTorrent is tested with both"),
]


@pytest.fixture
def idle(rtorrent: PrivateRTorrent, short_folder: Path) -> Iterator[Group]:
    """A group that does not run yet, and does not run any more afterwards."""
    (short_folder / "watch").mkdir()
    made = Group(short_folder / "conf", torque_ini(rtorrent.url, short_folder / "watch"))
    yield made
    made.stop()


def test_cron_starts_what_does_not_run_and_waits_for_nothing(idle: Group) -> None:
    began = time.monotonic()
    ended = idle.command("--cron")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert time.monotonic() - began < bound(2.0)
    eventually(lambda: idle.command("--status").returncode == 0, timeout=20)
    stopped = idle.command("--stop")
    assert (stopped.returncode, stopped.stdout) == (0, "pyrotorque has stopped\n")
    assert idle.command("--status").returncode == 69
    assert idle.command("--stop").returncode == 69


def test_cron_with_a_wrong_configuration_writes_to_the_owners_log(idle: Group) -> None:
    (idle.config_dir / "torque.ini").write_text("[TORQUE]\njob.queue.downloading_mx = 1\n")
    assert idle.command("--cron").returncode == 0
    eventually(lambda: "did you mean downloading_max?" in idle.log("torque"), timeout=20)
    assert re.search(r"^20\d\d-\S+ \S+ INFO cron: pyrotorque: torque.ini:2: ", idle.log("torque"), re.MULTILINE)
    assert idle.command("--status").returncode == 69


def test_a_root_that_comes_after_the_start_is_waited_for(
    idle: Group, rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    watch, client = short_folder / "watch", RTorrent(rtorrent.url)
    watch.rmdir()
    said = f"warning: torque.ini:6: job.treewatch.path: {watch} is missing (No such file or directory): the watcher"
    checked, started = idle.command("check"), idle.command()
    assert (checked.returncode, started.returncode) == (0, 0)
    assert said in checked.stderr
    assert f"pyrotorque: {said}" in started.stderr
    eventually(lambda: f"{watch} is not there; checking for it every second" in idle.log("watcher"), timeout=20)
    watch.mkdir()
    wanted = dropped(idle, "came late")
    eventually(lambda: wanted in [found for (found,) in client.rows("main", ["d.hash="])], timeout=20)


def test_the_foreground_shows_all_logs_and_ends_with_ctrl_c(idle: Group) -> None:
    (idle.config_dir / "run/pyrotorque").unlink()
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(idle.config_dir), "--fg", "-v"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    ) as running:
        try:
            assert running.stdout is not None
            lines: list[str] = []
            wanted = ("group     | ", "scheduler | ", "watcher   | ", "guardian  | ")
            while not all(any(line.startswith(mark) for line in lines) for mark in wanted):
                lines.append(running.stdout.readline())
                assert lines[-1], "".join(lines)
            eventually(idle.running, timeout=20, why="a missing guard file is no reason to stop")
            pids = [idle.pid(name) for name in SERVICES]
            running.send_signal(signal.SIGINT)
            rest = running.stdout.read()
            assert running.wait() == 0, rest
        finally:
            with suppress(ProcessLookupError):
                running.send_signal(signal.SIGTERM)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_the_group_stops_when_the_reader_of_its_output_is_gone(idle: Group) -> None:
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(idle.config_dir), "--fg"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert b"Traceback" not in running.stderr.read()
        assert running.wait() == 0
    assert idle.command("--status").returncode == 69


def test_the_group_ends_when_its_foreground_is_killed(idle: Group) -> None:
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(idle.config_dir), "--fg"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as running:
        eventually(idle.running, timeout=30)
        pids = [idle.pid(name) for name in SERVICES]
        running.kill()
    eventually(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], timeout=20)


def test_a_dry_run_loads_and_starts_nothing(idle: Group, rtorrent: PrivateRTorrent) -> None:
    assert idle.command("-n").returncode == 0
    eventually(idle.running, timeout=30)
    wanted = dropped(idle, "dry")
    eventually(lambda: "dry.torrent" in idle.log("watcher"), timeout=20)
    client = RTorrent(rtorrent.url)
    assert not any(wanted in row for row in client.rows("main", ["d.hash="]))
    assert idle.command("-n", "--run-once", "connstats").returncode == 0


def test_run_once_without_a_group_starts_one_item(idle: Group, rtorrent: PrivateRTorrent) -> None:
    metafile = make_metafile("once")
    client = RTorrent(rtorrent.url)
    client.call("load.raw", "", metafile)
    eventually(lambda: any(info_hash(metafile) in row for row in client.rows("main", ["d.hash="])))
    ended = idle.command("--run-once", "queue")
    assert ended.returncode == 0, ended.stderr
    assert "queue: started 1" in ended.stdout
    assert client.call("d.state", info_hash(metafile)) == 1
    assert idle.command("--run-once", "treewatch").returncode == 64
    assert idle.command("--run-once", "quue").returncode == 64
    assert idle.command("--run-once", "").returncode == 64
    assert idle.command("--status").returncode == 69
