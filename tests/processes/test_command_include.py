"""The include that `init` writes, on a real rTorrent: timestamps, and a watchdog that starts the group."""

import os
import re
from pathlib import Path

import psutil
import pytest

from demo.group import Group, environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque_control.checks.rtorrent import missing_hooks
from pyrotorque_control.rtorrent_include import include_file, include_text, own_command
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("rtorrent_program"), pytest.mark.xdist_group("command")]


def stamp(client: RTorrent, item: str, name: str) -> int:
    return int(str(client.call("d.custom", item, name)) or 0)


def test_an_item_gets_its_timestamps_and_keeps_the_first_start(short_folder: Path) -> None:
    include = include_text(short_folder / "conf").replace("30, 300", "3000, 3000")
    metafile = make_metafile("stamped")
    wanted = info_hash(metafile)
    with PrivateRTorrent(short_folder / "rt", extra_rc=include) as rtorrent:
        client = RTorrent(rtorrent.url)
        client.call("load.raw", "", metafile)
        loaded = eventually(lambda: known(client, wanted) and stamp(client, wanted, "tm_loaded"))
        assert loaded > 1_700_000_000
        assert stamp(client, wanted, "tm_started") == 0
        client.call("d.start", wanted)
        first = eventually(lambda: stamp(client, wanted, "tm_started"))
        client.call("d.stop", wanted)
        client.call("d.custom.set", wanted, "tm_started", str(first - 100))
        client.call("d.start", wanted)
        eventually(lambda: client.call("d.state", wanted) == 1)
        assert stamp(client, wanted, "tm_started") == first - 100
        message = str(client.call("d.message", wanted))
        assert re.fullmatch(r"(Tracker: \[Could(n't| not) connect to server\])?", message)  # the words of each libcurl


def test_rtorrent_reads_the_bell_when_an_item_is_inserted(short_folder: Path) -> None:
    conf = short_folder / "a conf, with odd; name"
    (conf / "run").mkdir(parents=True)
    # rTorrent runs what it reads there: here, proof that it did.
    (conf / "run/bell").write_text("method.insert = test.bell, value|const, 7\n")
    metafile = make_metafile("rings")
    with PrivateRTorrent(short_folder / "rt", extra_rc=include_text(conf).replace("30, 300", "3000, 3000")) as rtorrent:
        client = RTorrent(rtorrent.url)
        assert not client.known("test.bell")
        client.call("load.raw", "", metafile)
        eventually(lambda: known(client, info_hash(metafile)))
        assert client.call("test.bell") == 7
        assert client.call("d.message", info_hash(metafile)) == ""


def test_check_sees_whether_rtorrent_has_taken_the_include(short_folder: Path) -> None:
    include = include_text(short_folder / "conf").replace("30, 300", "3000, 3000")
    with PrivateRTorrent(short_folder / "rt", extra_rc=include) as rtorrent:
        assert missing_hooks(RTorrent(rtorrent.url)) == []
    with PrivateRTorrent(short_folder / "plain") as rtorrent:
        said = missing_hooks(RTorrent(rtorrent.url))
    assert [text.partition(":")[0] for text in said[:3]] == ["loaded", "started", "completed"]
    assert said[3].endswith("(no bell)")


def test_check_names_views_and_commands_that_rtorrent_does_not_have(short_folder: Path) -> None:
    with PrivateRTorrent(short_folder / "rt") as rtorrent:
        torque = (
            f"[TORQUE]\nscgi_url = {rtorrent.url}\njob.queue.active = yes\njob.queue.view = startd\n"
            f"job.treewatch.active = yes\njob.treewatch.path = {short_folder}\n"
            "job.treewatch.cmd.good = d.custom1.set=x\njob.treewatch.cmd.bad = d.custm1.set=x\n"
        )
        ended = Group(short_folder / "conf", torque).command("check")
    assert ended.returncode == 78
    assert "job.queue.view: there is no view startd, did you mean started?" in ended.stdout
    assert "job.treewatch.cmd.bad: there is no command d.custm1.set, did you mean d.custom1.set?" in ended.stdout
    assert "cmd.good: there" not in ended.stdout


def known(client: RTorrent, item: str) -> bool:
    return any(item in row for row in client.rows("main", ["d.hash="]))


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_the_watchdog_neither_blocks_rtorrent_nor_leaves_processes(short_folder: Path) -> None:
    """The command takes 2 s here and runs at every second; `execute.nothrow.bg` fails on some versions of 0.16."""
    conf, runs = short_folder / 'a conf, with $odd; "name"', short_folder / "runs"
    command = short_folder / "a command"
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{runs}\nexec sleep 2\n')
    command.chmod(0o755)
    include = include_text(conf).replace("30, 300", "1, 1")
    for own in map(str, own_command()):
        include = include.replace(own, str(command))
    with PrivateRTorrent(short_folder / "rt", extra_rc=include) as rtorrent:
        client = RTorrent(rtorrent.url, read_timeout=1)

        def has_run(times: int) -> bool:
            assert client.call("system.pid") == rtorrent.pid
            return runs.exists() and len(runs.read_text().splitlines()) >= times

        eventually(lambda: has_run(4), timeout=20)
        assert set(runs.read_text().splitlines()) == {f"--cron --config-dir {conf}"}
        # The shell itself is a zombie for an instant; one that stays is the fault.
        eventually(lambda: psutil.STATUS_ZOMBIE not in [child.status() for child in children(rtorrent.pid)], timeout=20)


def test_rtorrents_watchdog_starts_the_group_while_the_guard_file_is_there(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    conf = short_folder / "a conf, with odd; name"
    group = Group(conf, "[TORQUE]\nscgi_url = scgi:///nowhere.sock\n")
    assert group.command("init").returncode == 0
    assert include_file(conf).read_text() == include_text(conf)
    include = include_text(conf).replace("30, 300", "1, 300")
    try:
        with PrivateRTorrent(short_folder / "rt", extra_rc=include) as rtorrent:
            eventually(lambda: group.command("--status").returncode == 0, timeout=30)
            assert RTorrent(rtorrent.url, read_timeout=1).call("system.pid") == rtorrent.pid
            eventually(group.running, timeout=30)
            os.unlink(conf / "run/pyrotorque")
            eventually(lambda: group.command("--status").returncode == 69, timeout=60)
    finally:
        group.stop()
