"""Two groups of deploy/multi, each beside its own rTorrent, under one supervisord, touch nothing of each other."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from demo.group import REPOSITORY, environment, free_port
from demo.http_answers import opened
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.installing import install
from tests.programs import Program
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.xdist_group("deploy"),
    pytest.mark.either_rtorrent(reason="it is about our files: what the groups do in rTorrent is tested with both"),
]

MULTI = REPOSITORY / "deploy" / "multi"
NAMES = ("first", "second")


@dataclass
class Both:
    home: Path
    ports: dict[str, int]
    rtorrents: dict[str, PrivateRTorrent]

    def watched(self, name: str) -> Path:
        return self.home / "rtorrent" / name / "watch"

    def items(self, name: str) -> list[str]:
        return [row[0] for row in RTorrent(self.rtorrents[name].url).rows("main", ["d.hash="])]

    def scraped(self, name: str) -> str:
        with opened(f"http://127.0.0.1:{self.ports[name]}/metrics", 20) as answer:
            return str(answer.read(), "utf-8")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = environment() | {"HOME": str(self.home)}
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    def runs(self, name: str) -> bool:
        command = str(self.home / ".local/bin/pyrotorque")
        return self.command(command, "--config-dir", str(self.home / f".pyroscope-{name}"), "--status").returncode == 0

    def ctl(self, *words: str) -> str:
        conf = str(MULTI / "supervisord.conf")
        return self.command(sys.executable, "-m", "supervisor.supervisorctl", "-c", conf, *words).stdout


@pytest.fixture
def both(rtorrent_program: Program, short_folder: Path) -> Iterator[Both]:
    install(short_folder)
    made = Both(short_folder, {name: free_port() for name in NAMES}, {})
    for name in NAMES:
        made.rtorrents[name] = PrivateRTorrent(short_folder / "rtorrent" / name).start()
        made.watched(name).mkdir()
        config = short_folder / f".pyroscope-{name}"
        config.mkdir()
        example = (MULTI / name / "torque.ini").read_text()
        (config / "torque.ini").write_text(re.sub(r"(exporter\.port +=) \d+", rf"\1 {made.ports[name]}", example))
    outer = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(MULTI / "supervisord.conf")],
        env=environment() | {"HOME": str(short_folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=short_folder,
    )
    yield made
    outer.send_signal(signal.SIGTERM)
    outer.wait()
    for rtorrent in made.rtorrents.values():
        rtorrent.kill()


def each(holds: Callable[[str], object], timeout: float) -> None:
    for name in NAMES:
        eventually(partial(holds, name), timeout=timeout)


def test_each_group_serves_its_own_rtorrent_and_outlives_the_other(both: Both) -> None:
    each(lambda name: "rtorrent_up 1" in scraped_or_nothing(both, name), 60)
    each(lambda name: "RUNNING" in both.ctl("status", name), 20)
    metafiles = {name: make_metafile(f"of the {name}") for name in NAMES}
    for name in NAMES:
        (both.watched(name) / "new.torrent").write_bytes(metafiles[name])
    each(lambda name: both.items(name) == [info_hash(metafiles[name])], 30)
    each(lambda name: re.search(r"^pyrotorque_queue_starts_total\S* 1", both.scraped(name), re.MULTILINE), 30)

    assert "stopped" in both.ctl("stop", "first")
    assert not both.runs("first")
    assert both.runs("second")
    late = make_metafile("after the end of the first")
    for name in NAMES:
        (both.watched(name) / "late.torrent").write_bytes(late)
    eventually(lambda: info_hash(late) in both.items("second"), timeout=30)
    assert info_hash(late) not in both.items("first")


def scraped_or_nothing(both: Both, name: str) -> str:
    try:
        return both.scraped(name)
    except OSError:
        return ""


def test_the_examples_differ_in_all_that_two_groups_cannot_share() -> None:
    first, second = ((MULTI / name / "torque.ini").read_text() for name in NAMES)
    for setting in ("rtorrent_rc", "job.treewatch.path", "job.exporter.port"):
        found = [re.findall(rf"^{re.escape(setting)} += (.+)$", text, re.MULTILINE) for text in (first, second)]
        assert found[0] != found[1]
        assert all(len(each) == 1 for each in found)


def test_the_programs_name_the_directories_of_the_examples() -> None:
    conf = (MULTI / "supervisord.conf").read_text()
    assert re.findall(r"^\[program:(\w+)\]", conf, re.MULTILINE) == list(NAMES)
    assert re.findall(r"--config-dir %\(ENV_HOME\)s/\.pyroscope-(\w+)", conf) == list(NAMES)
    assert os.path.isdir(MULTI / "first")
