"""The main job end to end: a metafile is loaded and started, and reported once, even if processes die meanwhile."""

import collections
import json
import os
import signal
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from demo.group import SERVICES, Group, free_port
from demo.http_answers import opened
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentUnavailable
from pyrotorque.rtorrent import RTorrent
from tests.configured import MANUAL
from tests.dropping import drop
from tests.grouping import torque_ini
from tests.waiting import eventually

pytestmark = pytest.mark.process

QUICK = (
    "job.queue.start_at_once = 20",
    "job.queue.downloading_max = 1000",
    "job.queue.startable = is_ignored=0 message= prio>0",
)

# So many metafiles come between a kill and the wait for the killed.
WHILE_AWAY = 30


@pytest.fixture
def folder(short_folder: Path) -> Path:
    (short_folder / "watch").mkdir()
    return short_folder


def exporter_on(port: int) -> tuple[str, ...]:
    """Settings of an exporter as the earlier daemon had it."""
    return (
        "job.exporter.handler = pyrocore.daemon.exporter:RtorrentExporter",
        "job.exporter.active = True",
        f"job.exporter.port = {port}",
    )


def stream(watch: Path, count: int) -> Iterator[tuple[int, str]]:
    """Write `count` metafiles into folders made on the way; gives (number, info-hash) after each."""
    for number in range(count):
        home = watch / f"a{number % 7}" / f"b{number % 3}"
        yield number, drop(home / f"{number}.torrent", f"stream {number}")


def items(url: str) -> set[str]:
    try:
        return {row[0] for row in RTorrent(url).rows("main", ["d.hash="])}
    except RTorrentUnavailable:
        return set()


def active(url: str) -> set[str]:
    return {row[0] for row in RTorrent(url).rows("main", ["d.hash=", "d.is_active="]) if row[1] == "1"}


def published(group: Group, kind: str) -> collections.Counter[str]:
    """How often each info-hash is in events of `kind`."""
    lines = group.command("events", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    return collections.Counter(event["info_hash"] for event in events if event["type"] == kind)


def shown(port: int) -> list[str]:
    """The lines of /metrics; none while the port is closed."""
    try:
        with opened(f"http://127.0.0.1:{port}/metrics") as answer:
            return str(answer.read(), "utf-8").splitlines()
    except OSError:
        return []


def arrived(port: int) -> dict[str, float]:
    """How many events of loads and starts the exporter has taken, over all its lives."""
    kinds = ("TorrentLoaded", "TorrentStarted")
    lines = [line for line in shown(port) if line.startswith("pyrotorque_events_received_total{")]
    return {kind: sum(float(line.split()[-1]) for line in lines if f'"{kind}"' in line) for kind in kinds}


def back(group: Group, killed: Mapping[str, int]) -> bool:
    """Whether all run, and those killed as other processes than before."""
    return group.running() and all(group.pid(service) != pid for service, pid in killed.items())


def test_a_metafile_in_a_new_deep_folder_is_loaded_and_started(rtorrent: PrivateRTorrent, folder: Path) -> None:
    watch = folder / "watch"
    with Group(folder / "conf", torque_ini(rtorrent.url, watch, *QUICK)) as group:
        info = drop(watch / "x" / "y" / "z" / "deep.torrent")
        eventually(lambda: info in active(rtorrent.url), 20)
        eventually(lambda: published(group, "TorrentStarted")[info] == 1, 20)
        assert published(group, "TorrentLoaded") == {info: 1}


def test_the_manuals_configuration_works_on_a_plain_rtorrent(rtorrent: PrivateRTorrent, folder: Path) -> None:
    watch = folder / "watch"
    folders = ("tv/start", "movies/load", "music")
    for name in folders:
        (watch / name).mkdir(parents=True)
    ini = MANUAL.replace("[TORQUE]", f"[TORQUE]\nscgi_url = {rtorrent.url}").replace("/var/torrent", str(folder))
    files = [("Show.S01E01.mkv", 70_000), ("Show.nfo", 100), ("cover.jpg", 100), ("scan.tif", 100)]
    with Group(folder / "conf", ini) as group:
        hashes = {name: drop(watch / name / "x.torrent", name.replace("/", " "), files=files) for name in folders}
        eventually(lambda: set(hashes.values()) <= items(rtorrent.url), 20, why=group.log("watcher"))
        client = RTorrent(rtorrent.url)
        # `start` in the path: the configured `queued` still holds, so it is loaded stopped and startable.
        assert client.call("d.priority", hashes["tv/start"]) == 2
        # `load` in the path beats load_mode: stopped, and `queued` puts it off until the user presses +.
        assert client.call("d.priority", hashes["movies/load"]) == 0
        assert client.call("d.is_active", hashes["movies/load"]) == 0
        target = client.call("d.custom", hashes["music"], "targetdir")
        assert str(target).startswith(f"{folder}/done/")
        assert str(target).endswith("/music")
        priorities = client.call("f.multicall", hashes["music"], "", "f.path=", "f.priority=")
        assert dict(map(tuple, priorities)) == {  # type: ignore[arg-type]
            "Show.S01E01.mkv": 1,
            "Show.nfo": 2,
            "cover.jpg": 2,
            "scan.tif": 0,
        }
        eventually(lambda: active(rtorrent.url) & {hashes["tv/start"], hashes["music"]}, 20)
        assert hashes["movies/load"] not in active(rtorrent.url)


def test_nothing_is_lost_or_doubled_when_services_are_killed(rtorrent: PrivateRTorrent, folder: Path) -> None:
    watch, wanted, port = folder / "watch", set[str](), free_port()
    ini = torque_ini(rtorrent.url, watch, *QUICK, *exporter_on(port))
    killed: dict[str, int] = {}
    turn = {60: ["scheduler"], 110: ["watcher"], 160: ["exporter"], 210: ["guardian"], 260: list(SERVICES)}
    with Group(folder / "conf", ini) as group:
        for number, name in stream(watch, 300):
            wanted.add(name)
            if number in turn:
                killed = {service: group.pid(service) for service in turn[number]}
                for pid in killed.values():
                    os.kill(pid, signal.SIGKILL)
            elif number - WHILE_AWAY in turn:
                eventually(partial(back, group, killed), 30, why=f"{', '.join(killed)} run again")
        eventually(lambda: items(rtorrent.url) == wanted, 60, why="all loaded")
        eventually(lambda: active(rtorrent.url) == wanted, 60, why="all started")
        eventually(lambda: published(group, "TorrentLoaded") == dict.fromkeys(wanted, 1), 30, why="one load each")
        eventually(lambda: published(group, "TorrentStarted") == dict.fromkeys(wanted, 1), 30, why="one start each")
        once = {"TorrentLoaded": 300, "TorrentStarted": 300}
        eventually(lambda: arrived(port) == once, 30, why="each arrived once")


def test_nothing_is_lost_when_rtorrent_goes_away_and_comes_back(rtorrent: PrivateRTorrent, folder: Path) -> None:
    watch, wanted = folder / "watch", set[str]()
    rtorrent.stop()
    with Group(folder / "conf", torque_ini(rtorrent.url, watch, *QUICK)) as group:
        pids = {service: group.pid(service) for service in SERVICES}
        for number, name in stream(watch, 300):
            wanted.add(name)
            if number == 40:
                rtorrent.start()
            elif number == 140:
                eventually(lambda: len(items(rtorrent.url)) > 100, 30, why="it goes in the middle of the work")
                rtorrent.kill()
                rtorrent.start()
            elif number == 200:
                rtorrent.stop()
        rtorrent.start()
        eventually(lambda: items(rtorrent.url) == wanted, 90, why=group.log("watcher")[-3000:])
        eventually(lambda: active(rtorrent.url) == wanted, 60, why="all started")
        eventually(lambda: published(group, "TorrentLoaded") == dict.fromkeys(wanted, 1), 30, why="one load each")
        assert {service: group.pid(service) for service in SERVICES} == pids, "no service exited"


def test_a_stopped_service_exits_at_once_and_leaves_nothing_behind(rtorrent: PrivateRTorrent, folder: Path) -> None:
    watch, wanted = folder / "watch", set[str]()
    with Group(folder / "conf", torque_ini(rtorrent.url, watch, *QUICK)) as group:
        for number, name in stream(watch, 200):
            wanted.add(name)
            if number == 100:
                for service in ("watcher", "scheduler", "exporter"):
                    assert "stopped" in group.command("ctl", "stop", service).stdout
                    assert f"stopped: {service} (exit status 0)" in group.log("supervisord")
                group.command("ctl", "start", "watcher", "scheduler", "exporter")
        eventually(lambda: items(rtorrent.url) == wanted, 60, why=group.log("watcher")[-3000:])
        supervisord = group.supervisord_pid()
        assert supervisord is not None
        pids = [supervisord, *map(group.pid, SERVICES)]
        assert group.command("--stop").returncode == 0
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 20)


def test_prometheus_sees_loads_and_starts(rtorrent: PrivateRTorrent, folder: Path) -> None:
    watch, port = folder / "watch", free_port()
    with Group(folder / "conf", torque_ini(rtorrent.url, watch, *QUICK, *exporter_on(port))):
        for _ in stream(watch, 5):
            pass

        def seen() -> bool:
            lines = shown(port)
            loads = sum(float(line.split()[-1]) for line in lines if line.startswith("pyrotorque_watch_loads_total"))
            starts = sum(float(line.split()[-1]) for line in lines if line.startswith("pyrotorque_queue_starts_total"))
            return loads == 5 and starts == 5 and "rtorrent_up 1.0" in lines

        eventually(seen, 30, interval=0.2)
