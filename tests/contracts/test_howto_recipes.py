"""The recipes of docs/howto.md, each of them executed over a real rTorrent."""

import logging
import os
import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo.group import REPOSITORY
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import TorrentCompleted, TorrentMoved
from pyrotorque.jobs import JobConfig, context
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import CustomSettings, Settings, WatchSettings
from pyrotorque.workers.handlers import load_handler
from pyrotorque.workers.preparation import job_config
from tests import recipes
from tests.configured import settings_for
from tests.dropping import drop
from tests.scheduling import QueueScene, queue_scene_of
from tests.waiting import bound, eventually
from tests.watching import Watching
from tests.worker_bench import bench

PAGE = (REPOSITORY / "docs" / "howto.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^##+ (?P<title>.+)\n(?P<text>(?:(?!^##+ ).*\n)*)", re.MULTILINE)
INI = re.compile(r"^```ini\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = {
    f"{section['title']} {number}": text
    for section in SECTION.finditer(PAGE)
    for number, text in enumerate(INI.findall(section["text"]), 1)
}


def settings_of(name: str, folder: Path, url: str, **changed: str) -> Settings:
    """What a recipe says, for a user whose home is `folder`; `changed` has amounts that a test can reach."""
    text = RECIPES[name].replace("/home/me", str(folder)).replace("/srv/done", f"{folder}/srv/done")
    return settings_for(url, folder, recipes.reachable(text, changed))


def test_every_recipe_is_executed_here() -> None:
    assert set(recipes.untried(RECIPES, __file__)) == {f"Get notified {number}" for number in range(1, 9)}, (
        "those with Apprise are sent in test_notify_services.py"
    )
    assert len(RECIPES) == PAGE.count("```ini")


# --- queue


@contextmanager
def queue_recipe(name: str, real: PrivateRTorrent, folder: Path, **changed: str) -> Generator[QueueScene]:
    with queue_scene_of(settings_of(name, folder, real.url, **changed), folder) as made:
        yield made


def test_two_at_a_time_a_minute_apart(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_recipe("Pace and number 1", rtorrent, tmp_path) as d:
        for name in "abcdefg":
            d.load(name)
        assert recipes.starts(d, until=185) == {0: 2, 60: 2, 120: 1}


def test_small_ones_first_then_the_oldest(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_recipe("Order 1", rtorrent, tmp_path) as d:
        older, newer = d.load("older", size=1_000), d.load("newer", size=1_000)
        large, urgent = d.load("large", size=500_000), d.load("urgent", size=900_000, priority=3)
        off = d.load("off", size=10, priority=0)
        assert recipes.order_of_starts(d, until=75) == [urgent, older, newer, large]
        assert off not in d.running()


def test_a_stalled_item_takes_a_slot_for_two_minutes(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_recipe("What takes a slot 1", rtorrent, tmp_path) as d:
        recipes.prove_that_a_stalled_item_takes_a_slot_for_two_minutes(d)


def test_trackers_and_labels_have_limits_of_their_own(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_recipe("Several queues: limits by tracker or label 1", rtorrent, tmp_path) as d:
        slow = {d.load(f"slow {n}", announce="http://t1.slow.example/announce") for n in range(3)}
        both = {d.load("both", "d.custom1.set=movies", announce="http://t1.slow.example/announce")}
        movies = {d.load(f"movie {n}", "d.custom1.set=movies") for n in range(3)}
        rest = {d.load(f"rest {n}") for n in range(7)}
        recipes.rounds(d, until=105)
        running = d.running()
        assert [len(running & those) for those in (slow | both, movies, rest)] == [2, 1, 5]


def test_disk_bandwidth_and_night(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    amounts = {"20g": recipes.free_but_900_mb(rtorrent)}
    with queue_recipe("Disk, bandwidth and night 1", rtorrent, tmp_path, **amounts) as d:
        too_large = d.load("too large", size=1_200_000_000, piece_length=2**22)
        small = d.load("small", size=1_000)
        started = recipes.starts_by_hour(d, 7, 12, 22.99, 23, 23.01)
        assert started == {7: 0, 12: 0, 22.99: 0, 23: 1, 23.01: 0}
        assert (d.running(), d.job_table.history.latest(item=too_large)[0].verdict) == ({small}, "disk")


# --- watch folders


@pytest.fixture
def home(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(short_folder))
    (short_folder / "rtorrent/watch").mkdir(parents=True)
    return short_folder


@contextmanager
def watch_recipe(name: str, real: PrivateRTorrent, home: Path) -> Generator[Watching]:
    jobs = [job for job in settings_of(name, home, real.url).jobs if isinstance(job, WatchSettings) and job.active]
    with Watching(home, *jobs, url=real.url) as watching:
        watching.settle()
        yield watching


def dropped(watching: Watching, path: Path) -> str:
    """The info-hash of a new metafile at `path`, when the watcher is done with it."""
    info = drop(path)
    end = f"/{path.name}".encode()
    watching.until(lambda: any(row.progress.state == "loaded" and row.path.endswith(end) for row in watching.rows))
    return info


def values_of(real: PrivateRTorrent, item: str, *commands: str) -> list[Any]:
    client = RTorrent(real.url)
    return [client.call(name, item, *more) for name, *more in (command.split() for command in commands)]


def test_folders_and_file_names_decide(rtorrent: PrivateRTorrent, home: Path) -> None:
    watch = home / "rtorrent/watch"
    with watch_recipe("Flags in folder and file names 1", rtorrent, home) as watching:
        queued = dropped(watching, watch / "tv/x.torrent")
        only_loaded = dropped(watching, watch / "tv/load/y.torrent")
        to_start = dropped(watching, watch / "load/z.start.torrent")
    assert values_of(rtorrent, queued, "d.state", "d.priority") == [0, 2]
    assert values_of(rtorrent, only_loaded, "d.state", "d.priority") == [0, 0]
    assert values_of(rtorrent, to_start, "d.state", "d.priority") == [0, 2]


def test_the_first_folder_is_the_label(rtorrent: PrivateRTorrent, home: Path) -> None:
    watch = home / "rtorrent/watch"
    with watch_recipe("A ruTorrent label from the folder 1", rtorrent, home) as watching:
        labels = [
            values_of(rtorrent, dropped(watching, watch / name), "d.custom1")
            for name in ("tv/some.torrent", "tv/new/deep.torrent", "other.torrent")
        ]
    assert labels == [["tv"], ["tv"], [""]]


def test_what_autobrr_writes_starts_at_once(rtorrent: PrivateRTorrent, home: Path) -> None:
    folder = home / "rtorrent/watch/autobrr"
    folder.mkdir()
    (folder / "watch.ini").write_text(RECIPES["autobrr 1"])
    with watch_recipe("A ruTorrent label from the folder 1", rtorrent, home) as watching:
        item = dropped(watching, folder / "new.torrent")
    assert values_of(rtorrent, item, "d.state", "d.priority", "d.custom1") == [1, 3, "autobrr"]


def test_handled_metafiles_are_moved(rtorrent: PrivateRTorrent, home: Path) -> None:
    watch = home / "rtorrent/watch"
    with watch_recipe("Move or delete handled metafiles 1", rtorrent, home) as watching:
        dropped(watching, watch / "tv/good.torrent")
        (watch / "bad.torrent").write_bytes(b"no metafile, and of some length")
        watching.until(lambda: (home / "rtorrent/loaded/tv/good.torrent").exists())
        os.utime(watch / "bad.torrent", (1, 1))
        watching.until(lambda: (watch / "bad.torrent.failed").exists())
    assert not (watch / "tv/good.torrent").exists()


# --- jobs


def job_of(settings: Settings, name: str, folder: Path) -> Any:
    (found,) = (job for job in settings.jobs if job.name == name)
    assert isinstance(found, CustomSettings)
    context.set_context(context.JobContext(state_dir=folder / "state", url=settings.rtorrent.url))
    return load_handler(found.handler, folder / "jobs")(JobConfig(job_config(found, settings)))


def complete(real: PrivateRTorrent, name: str, *commands: str) -> str:
    """An item that seeds."""
    data = real.downloads / name
    data.write_bytes(b"all of it" * 1000)
    metafile = make_metafile(name, content=data, announce="udp://127.0.0.1:1/announce")
    item = info_hash(metafile)
    client = RTorrent(real.url)
    client.call("load.raw_start", "", metafile, *commands)
    columns = ["d.hash=", "d.complete=", "d.is_active=", "d.hashing="]
    eventually(lambda: (item, "1", "1", "0") in client.rows("main", columns), 20)
    return item


def test_sonarr_finds_what_is_complete_and_nothing_else(rtorrent: PrivateRTorrent, home: Path) -> None:
    with watch_recipe("Sonarr and Radarr blackhole 1", rtorrent, home) as watching:
        item = dropped(watching, home / "rtorrent/watch/sonarr/show.torrent")
        plain = dropped(watching, home / "rtorrent/watch/by-hand.torrent")
    client = RTorrent(rtorrent.url)
    done = home / "rtorrent/done/sonarr"
    assert client.call("d.custom", item, "targetdir") == str(done)
    assert client.call("d.custom", plain, "targetdir") == ""
    seeding = complete(rtorrent, "episode", f"d.custom.set=targetdir,{done}")
    job_of(settings_of("Sonarr and Radarr blackhole 1", home, rtorrent.url), "move", home).run()
    eventually(lambda: (done / "episode").exists(), 20)
    assert [path.name for path in done.iterdir()] == ["episode"]
    eventually(lambda: values_of(rtorrent, seeding, "d.is_active") == [1], 20)


def test_complete_items_move_by_label(rtorrent: PrivateRTorrent, home: Path) -> None:
    complete(rtorrent, "labelled", "d.custom1.set=films")
    complete(rtorrent, "plain")
    job_of(settings_of("Move complete items 1", home, rtorrent.url), "move", home).run()
    eventually(lambda: (home / "srv/done/films/labelled").exists(), 20)
    assert (rtorrent.downloads / "plain").exists()
    assert not (rtorrent.downloads / "labelled").exists()


def test_an_item_is_unpacked_then_moved_then_announced(rtorrent: PrivateRTorrent, home: Path) -> None:
    unpack = home / "unpack"
    unpack.write_text('#!/bin/sh\ncase $1 in *broken*) exit 3;; esac\nsleep 0.2; cp "$1/a.rar" "$1/unpacked"\n')
    unpack.chmod(0o755)
    done = home / "rtorrent/done"
    good, broken = (complete_folder(rtorrent, name, done) for name in ("good", "broken"))
    received: list[bytes] = []
    with webhook(received) as url:
        changed = {"/usr/local/bin/unpack": str(unpack), "https://ntfy.example.org/my-torrents": url}
        settings = settings_of("Unpack, then move, then notify 1", home, rtorrent.url, **changed)
        jobs = [job for job in settings.jobs if isinstance(job, CustomSettings) and job.active]
        with bench(home / "config", *jobs, url=rtorrent.url) as made:
            for item, name in ((good, "good"), (broken, "broken")):
                made.publish(TorrentCompleted(at=time.time(), info_hash=item, name=name))
            made.workers.tick("move")
            made.until(lambda: made.waiting() == 0 and received, 60)
            moves = [event for event in made.events() if isinstance(event, TorrentMoved)]
            failures = made.failures()
    assert sorted(path.name for path in (done / "good").iterdir()) == ["a.rar", "unpacked"]
    assert [(move.name, move.old_path, move.new_path) for move in moves] == [
        ("good", str(rtorrent.downloads / "good"), str(done / "good"))
    ]
    assert received == [f"good is in {done}/good".encode()]
    assert (rtorrent.downloads / "broken").exists()
    assert failures[-1] == "not run for broken: job unpack, which runs before it, failed"
    assert set(RTorrent(rtorrent.url).rows("main", ["d.hash=", "d.state="])) == {(good, "1"), (broken, "1")}


def complete_folder(real: PrivateRTorrent, name: str, target: Path) -> str:
    """An item of one archive that seeds, and is to be moved to `target`."""
    data = real.downloads / name
    data.mkdir()
    (data / "a.rar").write_bytes(b"all of it" * 1000)
    metafile = make_metafile(name, content=data, announce="udp://127.0.0.1:1/announce")
    client = RTorrent(real.url)
    client.call("load.raw_start", "", metafile, f'd.custom.set=targetdir,"{target}"')
    columns = ["d.hash=", "d.complete=", "d.is_active=", "d.hashing="]
    eventually(lambda: (info_hash(metafile), "1", "1", "0") in client.rows("main", columns), 20)
    return info_hash(metafile)


@contextmanager
def webhook(received: list[bytes]) -> Generator[str]:
    """The URL of a server that keeps what it receives."""
    _Hook.received = received
    with HTTPServer(("127.0.0.1", 0), _Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Hook(BaseHTTPRequestHandler):
    received: list[bytes]

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_webhook_receives_each_event(home: Path) -> None:
    _Hook.received = []
    with HTTPServer(("127.0.0.1", 0), _Hook) as server:
        listening = threading.Thread(target=server.handle_request)
        listening.start()
        url = {"https://ntfy.example.org/my-torrents": f"http://127.0.0.1:{server.server_port}/"}
        job = job_of(settings_of("Get notified 9", home, "scgi:///nowhere", **url), "notify", home)
        job.run(TorrentCompleted(at=1.0, info_hash="A" * 40, name="some film"))
        listening.join(bound(30))
    assert _Hook.received == [b"TorrentCompleted: some film "]


def test_a_program_receives_the_text_as_one_argument(home: Path) -> None:
    logger = home / "logger"
    logger.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {home}/received\n')
    logger.chmod(0o755)
    settings = settings_of("Get notified 10", home, "scgi:///nowhere", **{"/usr/bin/logger": str(logger)})
    job_of(settings, "mail", home).run(TorrentCompleted(at=1.0, info_hash="A" * 40, name='a "b"; $(touch x)'))
    assert (home / "received").read_text() == '-t|torrents|complete: a "b"; $(touch x)|'


def test_the_job_of_the_page_erases_the_described_items(
    rtorrent: PrivateRTorrent, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "jobs").mkdir()
    (python,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (home / "jobs/cleanup.py").write_text(python)
    item = complete(rtorrent, "old")
    amounts = {"ratio>2 seedtime>2w": "ratio<2"}
    with caplog.at_level(logging.INFO):
        job_of(settings_of("A job of your own 1", home, rtorrent.url, **amounts), "cleanup", home).run()
    assert "would erase old" in caplog.text
    client = RTorrent(rtorrent.url)
    assert client.rows("main", ["d.hash="]) == [(item,)]
    amounts["dry_run   = True"] = "dry_run   = False"
    job_of(settings_of("A job of your own 1", home, rtorrent.url, **amounts), "cleanup", home).run()
    eventually(lambda: client.rows("main", ["d.hash="]) == [])


def test_a_resumed_item_is_started_and_one_with_missing_data_in_a_linked_file_is_not(
    rtorrent: PrivateRTorrent, home: Path
) -> None:
    """All cases are in test_jobs_injected.py."""
    client = RTorrent(rtorrent.url)
    whole, half = rtorrent.downloads / "whole", rtorrent.downloads / "half"
    items: list[str] = []
    for path in (whole, half):
        path.write_bytes(os.urandom(40_000))
        metafile = make_metafile(path.name, content=path, announce="udp://127.0.0.1:1/announce")
        if path == half:
            path.write_bytes(path.read_bytes()[:20_000])
            os.link(half, rtorrent.downloads / "original")
        items.append(item := info_hash(metafile))
        client.call("load.raw", "", metafile, "d.custom1.set=cross-seed")
        eventually(lambda item=item: (item,) in client.rows("main", ["d.hash="]))  # type: ignore[misc]
        client.call("d.check_hash", item)
        states = [("d.hashing", (item,)), ("d.is_hash_checked", (item,))]
        eventually(lambda states=states: client.multicall(states) == [0, 1], 20)  # type: ignore[misc]
        client.call("d.resume", item)
    job_of(settings_of("Items of cross-seed 1", home, rtorrent.url), "injected", home).run()
    assert [client.call("d.state", item) for item in items] == [1, 0]


def test_the_exporter_is_the_one_of_the_page(home: Path) -> None:
    """Its process is tested in tests/processes/test_exporter_process.py."""
    (job,) = (job for job in settings_of("Monitoring 1", home, "scgi:///nowhere").jobs if job.name == "exporter")
    assert (job.active, getattr(job, "port", 0)) == (True, 9135)
