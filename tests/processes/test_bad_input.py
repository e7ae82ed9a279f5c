"""Wrong input gives one clear line and the right exit code, loses nothing, and does not affect other services."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.group import Group, environment, free_port
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.grouping import torque_ini
from tests.waiting import eventually

pytestmark = pytest.mark.process

AWAY = "scgi_url = scgi:///nowhere/rtorrent.sock\n"

QUICK = ("job.queue.start_at_once = 20", "job.queue.downloading_max = 100")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param("job.queue.downloading_mx = 3", ["torque.ini:3", "downloading_max?"], id="a misspelt key"),
        pytest.param(
            "job.queue.active = True\njob.queue.schedule = second=99",
            ["torque.ini:4", "second=99"],
            id="a bad schedule",
        ),
        pytest.param(
            "job.queue.active = True\njob.queue.startable = prio>x", ["torque.ini:4", "`x`", "^"], id="a bad condition"
        ),
        pytest.param(
            f"job.treewatch.active = True\njob.treewatch.path = {__file__}",
            ["torque.ini:4", "is not a folder"],
            id="a watch path that is a file",
        ),
        pytest.param("scgi_url = http://x/", ["torque.ini:2", "scgi://host:port"], id="a wrong scgi_url"),
    ],
)
def test_a_wrong_setting_is_reported_before_the_start(short_folder: Path, lines: str, expected: list[str]) -> None:
    group = Group(short_folder / "conf", f"[TORQUE]\n{'' if 'scgi_url' in lines else AWAY}{lines}\n")
    ended = group.command()
    assert ended.returncode == 78
    assert not ended.stdout
    for words in expected:
        assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert group.command("--status").returncode == 69


def test_all_mistakes_are_reported_together(short_folder: Path) -> None:
    wrong = (
        "job.queue.active = True\njob.queue.downloading_max = many\njob.queue.startable = ]\njob.queue.schedule = x\n"
    )
    ended = Group(short_folder / "conf", "[TORQUE]\n" + AWAY + wrong).command()
    assert ended.returncode == 78
    assert [line for line in range(1, 8) if f"torque.ini:{line}:" in ended.stderr] == [4, 5, 6]


def test_no_configuration_at_all_names_the_way_to_one(short_folder: Path) -> None:
    empty = Group(short_folder / "conf", "")
    (empty.config_dir / "torque.ini").unlink()
    ended = empty.command()
    assert ended.returncode == 78
    assert "pyrotorque init" in ended.stderr


def test_an_unreadable_configuration_is_a_matter_of_permission(short_folder: Path) -> None:
    group = Group(short_folder / "conf", "[TORQUE]\n" + AWAY)
    (group.config_dir / "torque.ini").chmod(0)
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), "check"]
    if not os.geteuid():
        # root may read everything, unless it gives that up.
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--", *command]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert ended.returncode == 78
    assert "torque.ini" in ended.stderr
    assert "ermission denied" in ended.stderr


def test_the_guard_file_decides_who_may_start(short_folder: Path) -> None:
    group = Group(short_folder / "conf", "[TORQUE]\n" + AWAY)
    (group.config_dir / "run" / "pyrotorque").unlink()
    ended = group.command()
    assert ended.returncode == 75
    assert "guard file" in ended.stderr


def test_a_pid_file_with_another_process_is_ignored(short_folder: Path) -> None:
    group = Group(short_folder / "conf", "[TORQUE]\n" + AWAY)
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            (group.config_dir / "run" / "pyrotorque.pid").write_text(f"{other.pid}\n")
            assert group.command("--status").returncode == 69
            assert group.command("--stop").returncode == 69
            with group:
                assert group.command().returncode == 75, "already running"
            assert other.poll() is None, "it still runs"
        finally:
            other.kill()


def test_a_port_in_use_is_logged_once_and_retried(short_folder: Path) -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        exporter = f"job.exporter.active = True\njob.exporter.port = {port}\n"
        with Group(short_folder / "conf", "[TORQUE]\n" + AWAY + exporter) as group:
            eventually(lambda: f"cannot listen on 127.0.0.1:{port}" in group.log("exporter"), 20)
            taken.close()
            eventually(lambda: f"http://127.0.0.1:{port}/metrics" in group.log("exporter"), 20)
            assert group.log("exporter").count("cannot listen") == 1


def a_folder(path: Path) -> None:
    path.mkdir()


BAD_FILES: dict[bytes, Callable[[Path], object]] = {
    b"empty.torrent": lambda path: path.touch(),
    b"truncated.torrent": lambda path: path.write_bytes(make_metafile("half")[:-40]),
    b"zeros.torrent": lambda path: path.write_bytes(bytes(50_000_000)),
    b"folder.torrent": a_folder,
    b"text.torrent": lambda path: path.write_text("<html>not found</html>"),
}
ODD_NAMES = (b"with\nnewline.torrent", b"not-utf8-\xff\xfe.torrent", b"  blanks, and ;commas$.torrent")


def test_bad_files_fail_alone_and_odd_names_load(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    watch = short_folder / "watch"
    watch.mkdir()
    client = RTorrent(rtorrent.url)
    client.call("load.raw", "", make_metafile(b"control \x01\x1b[31m name"), "d.priority.set=0")
    with Group(short_folder / "conf", torque_ini(rtorrent.url, watch, *QUICK)) as group:
        for name, make in BAD_FILES.items():
            make(Path(os.fsdecode(os.fsencode(watch) + b"/" + name)))
        wanted = set[str]()
        for number, name in enumerate(ODD_NAMES):
            metafile = make_metafile(f"odd {number}")
            Path(os.fsdecode(os.fsencode(watch) + b"/" + name)).write_bytes(metafile)
            wanted.add(info_hash(metafile))

        def started() -> bool:
            return wanted <= {row[0] for row in client.rows("main", ["d.hash=", "d.is_active="]) if row[1] == "1"}

        eventually(started, 20, why=group.log("watcher")[-3000:])

        def failed() -> set[str]:
            rows = map(json.loads, group.command("watched", "--state", "failed", "--json").stdout.splitlines())
            return {Path(row["path"]).name for row in rows if row["reason"]}

        eventually(lambda: failed() == {"zeros.torrent", "text.torrent"}, 20, interval=0.2)
        assert group.running()
        # The other half arrives.
        (watch / "truncated.torrent").write_bytes(make_metafile("half"))
        wanted.add(info_hash(make_metafile("half")))
        eventually(started, 20, why=group.log("watcher")[-3000:])
