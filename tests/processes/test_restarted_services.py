"""`pyrotorque restart SERVICE` returns when the new process answers; restarts of the group wait for each other."""

import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import pytest

from demo.group import Group, free_port
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus.client import ask
from pyrotorque.layout import Layout
from pyrotorque.requests import DescribeService
from pyrotorque.supervisord.client import Supervisord
from tests.grouping import torque_ini
from tests.programs import Program
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("restarted"),
    pytest.mark.one_rtorrent(reason="it is about our processes: what they do in rTorrent is tested with both"),
]


@pytest.fixture(scope="module")
def group(rtorrent_program: Program) -> Iterator[Group]:
    with tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder:
        rtorrent = PrivateRTorrent(Path(folder) / "rt").start()
        (rtorrent.folder / "watch").mkdir()
        exporter = ("job.exporter.active = True", f"job.exporter.port = {free_port()}")
        slow = (
            "job.slow.handler = pyrotorque.jobs.command:Command",
            "job.slow.active = True",
            "job.slow.command = sleep 600",
            "job.slow.schedule = year=2099",
            "job.slow.timeout = 900",
        )
        torque = torque_ini(rtorrent.url, rtorrent.folder / "watch", *slow, *exporter)
        with Group(rtorrent.folder / "conf", torque) as running:
            yield running
        rtorrent.kill()


@pytest.mark.parametrize("service", ["scheduler", "watcher", "exporter"])
def test_a_restarted_service_answers_when_the_command_returns(group: Group, service: str) -> None:
    before = group.pid(service)
    ended = group.command("restart", service)
    assert (ended.returncode, ended.stdout) == (0, f"{service} is restarted\n"), ended.stderr
    assert group.pid(service) != before
    ask(Layout.below(group.config_dir), service, DescribeService(), timeout=bound(1))


def test_a_restarted_exporter_can_be_scraped_when_the_command_returns(group: Group) -> None:
    port = (group.config_dir / "torque.ini").read_text().split()[-1]
    assert group.command("restart", "exporter").returncode == 0
    with urlopen(f"http://127.0.0.1:{port}/-/healthy", timeout=bound(5)) as answer:
        assert answer.status == 200


def test_one_that_was_stopped_by_hand_is_started(group: Group) -> None:
    assert group.command("ctl", "stop", "watcher").returncode == 0
    ended = group.command("restart", "watcher")
    assert (ended.returncode, ended.stdout) == (0, "watcher is restarted\n"), ended.stderr
    ask(Layout.below(group.config_dir), "watcher", DescribeService(), timeout=bound(1))


def test_one_that_cannot_start_is_an_error_with_its_cause(group: Group) -> None:
    database = group.config_dir / "state" / "exporter.sqlite3"
    assert group.command("ctl", "stop", "exporter").returncode == 0
    database.rename(f"{database}.kept")
    database.mkdir()
    try:
        ended = group.command("restart", "exporter")
    finally:
        database.rmdir()
        Path(f"{database}.kept").rename(database)
    assert ended.returncode == 75
    assert "exporter did not start: " in ended.stderr
    assert "it is tried again (see `pyrotorque status`)" in ended.stderr
    assert group.command("restart", "exporter").returncode == 0


def test_one_that_hangs_is_not_said_to_be_restarted(group: Group) -> None:
    before = group.pid("watcher")
    os.kill(before, signal.SIGSTOP)
    ended = group.command("restart", "watcher")
    # The guardian kills it after a while: either it is another process by then, or the command says that it is not.
    if ended.returncode == 0:
        assert group.pid("watcher") != before
    else:
        assert ended.returncode == 75
        assert "has not ended yet" in ended.stderr


@pytest.mark.parametrize("how", ["killed", "restarted", "restarted with the group"])
def test_run_once_ends_when_the_scheduler_does(group: Group, how: str) -> None:
    before = group.pid("scheduler")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(group.command, "--run-once", "slow")
        eventually(lambda: _runs_slow(group), bound(20), why="the job runs")
        if how == "killed":
            os.kill(before, signal.SIGKILL)
        else:
            ended = group.command(*(("restart", "scheduler") if how == "restarted" else ("--restart",)))
            assert ended.returncode == 0, ended.stderr
        found = run.result(bound(20))
    assert found.returncode in (69, 75)
    assert "scheduler ended before it answered" in found.stderr or "stopped before its run ended" in found.stderr
    eventually(lambda: group.pid("scheduler") not in (0, before), bound(30), why="the scheduler is restarted")


def _runs_slow(group: Group) -> bool:
    workers = _children(group.pid("scheduler"))
    programs = [program for worker in workers for program in _children(worker)]
    return any(b"sleep" in Path(f"/proc/{program}/cmdline").read_bytes() for program in programs)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_another_guard_file_that_is_missing_is_no_end_of_the_group(group: Group) -> None:
    missing = group.config_dir / "another"
    ended = group.command("--guard-file", str(missing), "--restart")
    assert ended.returncode == 75
    assert f"the guard file {missing} is missing: run `touch {missing}`" in ended.stderr
    assert "stopped" not in ended.stderr
    assert group.command("--status").returncode == 0


def test_several_restarts_of_the_group_at_the_same_time_all_succeed(group: Group) -> None:
    supervisord = group.supervisord_pid()
    with ThreadPoolExecutor(3) as pool:
        restarts = [pool.submit(group.command, "--restart") for _ in range(3)]
        ended = [restart.result() for restart in restarts]
    assert [(each.returncode, each.stdout) for each in ended] == [(0, "pyrotorque has restarted\n")] * 3, ended
    assert group.supervisord_pid() == supervisord
    assert group.command("--status").returncode == 0


@pytest.mark.parametrize("words", [("--stop",), ("ctl", "shutdown")])
def test_a_start_while_another_command_stops_the_group_starts_it_after_that(
    group: Group, words: tuple[str, ...]
) -> None:
    before = group.supervisord_pid()
    os.kill(group.pid("exporter"), signal.SIGSTOP)  # it does not end at once
    with ThreadPoolExecutor(1) as pool:
        stop = pool.submit(group.command, *words)
        eventually(Supervisord(group.config_dir / "run/supervisor.sock").is_ending, 60, why="it is being stopped")
        started = group.command()
        assert stop.result().returncode == 0
    assert started.returncode == 0, started.stderr
    assert group.supervisord_pid() not in (before, None)
    assert group.command("--status").returncode == 0
