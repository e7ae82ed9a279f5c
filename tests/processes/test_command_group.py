"""The command with a real group and a real rTorrent: start, look, change, stop."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.group import Group, environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.grouping import dropped, torque_ini
from tests.programs import Program
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("command"),
    pytest.mark.one_rtorrent(reason="it is about our processes: what they do in rTorrent is tested with both"),
]

SERVICES = ("exporter", "guardian", "scheduler", "watcher")


@pytest.fixture(scope="module")
def rtorrent_of_group(rtorrent_program: Program) -> Iterator[PrivateRTorrent]:
    with tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder:
        running = PrivateRTorrent(Path(folder) / "rt").start()
        (running.folder / "watch").mkdir()
        yield running
        running.kill()


@pytest.fixture(scope="module")
def group(rtorrent_of_group: PrivateRTorrent) -> Iterator[Group]:
    """One running group for all tests that leave it as it was."""
    folder = rtorrent_of_group.folder
    with Group(folder / "conf", torque_ini(rtorrent_of_group.url, folder / "watch")) as running:
        yield running


LOADED_AND_STARTED = {"TorrentLoaded", "TorrentStarted"}


def published(group: Group, wanted: str) -> set[str]:
    """The types of the events about an item."""
    events = map(json.loads, group.command("events", "--json").stdout.splitlines())
    return {event["type"] for event in events if event.get("info_hash") == wanted}


def test_status_shows_all_services(group: Group) -> None:
    said = group.command("--status")
    assert said.returncode == 0
    assert f"pyrotorque is running, pid {group.supervisord_pid()}, up " in said.stdout
    found = json.loads(group.command("status", "--json").stdout)
    assert [(service["name"], service["state"]) for service in found["services"]] == [
        (name, "RUNNING") for name in SERVICES
    ]
    assert found["pid"] == group.supervisord_pid()
    table = group.command("status").stdout
    assert all(name in table for name in SERVICES)


def test_cron_finds_it_running_silently_and_fast(group: Group) -> None:
    times: list[float] = []
    for _ in range(5):
        began = time.monotonic()
        ended = group.command("--cron")
        times.append(time.monotonic() - began)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert min(times) < bound(0.3)


def test_cron_finds_it_running_also_when_the_clock_was_set_since_its_start(group: Group) -> None:
    pid_file = group.config_dir / "run/pyrotorque.pid"
    before, log = pid_file.stat(), group.log("torque")
    os.utime(pid_file, (0, 0))
    try:
        asked = [sys.executable, "-m", "pyrotorque_control.cron", str(group.config_dir)]
        words = ["--cron", f"--config-dir={group.config_dir}"]
        assert subprocess.run([*asked, *words], env=environment(), check=False).returncode == 0
        assert group.command("--cron").returncode == 0
        assert group.command("--status").returncode == 0
    finally:
        os.utime(pid_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "already running" not in group.log("torque").removeprefix(log)


def test_a_second_start_is_refused(group: Group) -> None:
    for words in ((), ("--fg",)):
        ended = group.command(*words)
        assert ended.returncode == 75
        assert f"already running, pid {group.supervisord_pid()}" in ended.stderr


def test_a_new_metafile_is_reported_everywhere(group: Group) -> None:
    wanted = dropped(group, "everywhere")
    eventually(lambda: published(group, wanted) >= LOADED_AND_STARTED, timeout=20)
    rows = map(json.loads, group.command("watched", "--json").stdout.splitlines())
    assert [row["state"] in ("visible", "loaded") for row in rows if row["info_hash"] == wanted] == [True]
    items = group.command("select", "--json", "name=everywhere").stdout.splitlines()
    assert [json.loads(item)["hash"] for item in items] == [wanted]
    assert "everywhere" in group.command("explain", wanted).stdout
    line = next(line for line in group.command("events").stdout.splitlines() if "TorrentStarted" in line)
    assert "everywhere" in line


def test_follow_shows_what_happens_as_it_happens(group: Group) -> None:
    earlier = dropped(group, "earlier")
    eventually(lambda: published(group, earlier) >= LOADED_AND_STARTED, timeout=20)
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir)]
    with subprocess.Popen(
        [*command, "events", "--follow", "--json"], stdout=subprocess.PIPE, text=True, env=environment()
    ) as following:
        try:
            assert following.stdout is not None
            following.stdout.readline()
            wanted = dropped(group, "followed")
            # Two services publish events for it, in random order.
            types = (json.loads(line)["type"] for line in following.stdout if wanted in line)
            assert {next(types), next(types)} == LOADED_AND_STARTED
        finally:
            following.send_signal(signal.SIGINT)
        assert following.wait() == 130


def test_pause_and_resume(group: Group) -> None:
    assert group.command("pause", "queue").returncode == 0
    jobs = json.loads(group.command("status", "--json").stdout)["services"][2]["data"]["jobs"]
    assert [job["paused"] for job in jobs if job["job"] == "queue"] == [True]
    assert group.command("resume", "queue").returncode == 0
    refused = group.command("pause", "nowhere")
    assert refused.returncode == 64
    assert "there is no job 'nowhere'" in refused.stderr
    assert group.command("--run-once", "nowhere").returncode == 64
    assert group.command("resume", "nowhere").returncode == 64


@pytest.mark.parametrize(
    "words",
    [
        *("explain nosuch", f"explain {'A' * 40}", f"start {'A' * 40}", f"stop {'A' * 40}", f"park {'A' * 40}"),
        *("park nosuch", f"park {'A' * 40} --job nosuch", "resume nosuch", "--run-once nosuch", "--run-once treewatch"),
        *("retry nosuch", "forget nosuch", "quarantine restore nosuch", "restart nosuch"),
    ],
)
def test_a_name_that_does_not_exist_is_wrong_usage(group: Group, words: str) -> None:
    ended = group.command(*words.split())
    assert (ended.returncode, ended.stdout) == (64, ""), ended.stderr
    assert words.split()[-1].removeprefix("--") in ended.stderr


def test_start_by_hand(group: Group, rtorrent_of_group: PrivateRTorrent) -> None:
    assert group.command("pause", "queue").returncode == 0
    metafile = make_metafile("by hand")
    wanted = info_hash(metafile)
    client = RTorrent(rtorrent_of_group.url)
    client.call("load.raw", "", metafile)
    eventually(lambda: any(wanted in row for row in client.rows("main", ["d.hash="])))
    assert group.command("start", wanted.lower()).returncode == 0
    assert client.call("d.state", wanted) == 1
    assert group.command("resume", "queue").returncode == 0


def test_expand_says_how_it_would_be_loaded(group: Group) -> None:
    path = group.config_dir.parent / "expand.torrent"
    path.write_bytes(make_metafile("Some.Show.S01E02.720p.HDTV.x264-GRP.mkv"))
    found = json.loads(group.command("expand", "--json", str(path)).stdout)
    assert (found["job"], found["namespace"]["traits"]["season"]) == ("treewatch", "01")
    assert group.command("expand", str(path)).returncode == 0


def test_expand_takes_watch_ini_into_account_and_magnet_links(group: Group) -> None:
    folder = group.config_dir.parent / "watch" / "expanded"
    folder.mkdir()
    ini = ("load_mode = normal", "queued = no", "custom1 = {{relpath}}", "cmd.x = d.custom2.set=x")
    (folder / "watch.ini").write_text("\n".join(ini))
    (folder / "some.magnet").write_text("".join(f"magnet:?xt=urn:btih:{digit * 40}&dn=n\n" for digit in "ab"))
    found = json.loads(group.command("expand", "--json", str(folder / "some.magnet")).stdout)
    assert (found["mode"], found["others"], found["namespace"]["info_name"]) == ("normal", ["B" * 40], "n")
    assert found["commands"] == {"cmd.x": "d.custom2.set=x", "custom1": 'd.custom1.set="expanded"'}
    (folder / "watch.ini").write_text("colour = red\n")
    ended = group.command("expand", str(folder / "some.magnet"))
    assert (ended.returncode, "watch.ini:1: colour" in ended.stderr) == (64, True)


def test_run_once_asks_the_running_scheduler(group: Group) -> None:
    ended = group.command("--run-once", "connstats")
    assert (ended.returncode, ended.stdout) == (0, "connstats was run\n")


@pytest.mark.parametrize("words", [("--run-once", "queue"), ("start", "A" * 40), ("retry", "--all")])
def test_a_dry_run_changes_nothing(group: Group, words: tuple[str, ...]) -> None:
    ended = group.command("-n", *words)
    assert (ended.returncode, ended.stdout) == (64, "")
    assert "the group runs without --dry-run and would do that for real" in ended.stderr


def test_ctl_is_supervisorctl(group: Group) -> None:
    assert group.states() == dict.fromkeys(SERVICES, "RUNNING")
    assert group.command("ctl", "status", "nowhere").returncode == 4
    assert "watching" in group.command("ctl", "tail", "watcher").stdout


def test_a_broken_configuration_leaves_the_old_one_running(group: Group) -> None:
    path = group.config_dir / "torque.ini"
    good = path.read_text()
    before = {name: group.pid(name) for name in SERVICES}
    path.write_text(good + "job.queue.downloading_mx = 1\n")
    try:
        ended = group.command("--restart")
        assert ended.returncode == 78
        assert "did you mean downloading_max?" in ended.stderr
        assert {name: group.pid(name) for name in SERVICES} == before
        os.kill(before["exporter"], signal.SIGKILL)
        eventually(lambda: group.running() and group.pid("exporter") != before["exporter"], timeout=20)
        eventually(lambda: "running on the last good configuration" in group.log("exporter"))
    finally:
        path.write_text(good)


def test_a_good_one_is_taken_over_by_all_when_one_reads_it(group: Group) -> None:
    path = group.config_dir / "torque.ini"
    path.write_text(path.read_text() + "job.queue.downloading_max = 5\n")
    pids = {name: group.pid(name) for name in SERVICES}
    assert group.command("ctl", "signal", "HUP", "scheduler").returncode == 0

    def slots() -> object:
        return json.loads(group.command("explain", "--json").stdout)[0]["downloading_max"]

    eventually(lambda: slots() == 5, timeout=20)
    assert {name: group.pid(name) for name in SERVICES} == pids


def test_cron_prints_errors(group: Group) -> None:
    ini = group.config_dir / "torque.ini"
    good = ini.read_text()
    ini.write_text(good + "job.queue.startable = no_such_field=2\n")
    try:
        ended = group.command("--cron", "--restart")
    finally:
        ini.write_text(good)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert "job.queue.startable: there is no field" in ended.stderr


def test_restart_restarts_all_services(group: Group) -> None:
    before = {name: group.pid(name) for name in SERVICES}
    ini = group.config_dir / "torque.ini"
    good = ini.read_text()
    # Accepted as by 1.0.0, with a warning; as root, there is another one.
    ini.write_text(good + "job.queue.startable = prio = 2\n")
    ended = group.command("--cron", "--restart")
    ini.write_text(good)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert "cron: pyrotorque: warning: torque.ini:" in group.log("torque")
    eventually(group.running, timeout=20)
    assert not set(before.values()) & {group.pid(name) for name in SERVICES}
