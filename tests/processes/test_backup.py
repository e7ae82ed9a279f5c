"""A backup of a group at work, restored in another home or over newer state: nothing is lost, and nothing twice."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chaos.counters import totals_and_events
from demo.group import SERVICES, Group, environment, free_port
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import TorrentCompleted, TorrentErased, TorrentLoaded, TorrentStarted, decode
from pyrotorque.layout import Layout
from pyrotorque.outbox import stored_events
from pyrotorque.rtorrent import RTorrent
from pyrotorque.store import rows_of_other
from pyrotorque_control.backup.manifest import JOURNAL, KEPT_STATE, REPLACED_STATE, STAGING, STAYING_STATE
from tests.docs_blocks import blocks
from tests.installed_group import lines
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.either_rtorrent(reason="it is about files of our own: loads and starts are tested with both"),
]

INI = """\
[TORQUE]
scgi_url = scgi://{home}/rt/rtorrent.sock
job.queue.active = True
job.queue.schedule = second=*
job.queue.downloading_max = 3
job.treewatch.active = True
job.treewatch.path = {home}/watch
job.treewatch.load_mode = start
job.treewatch.queued = True
job.note.handler = pyrotorque.jobs.command:Command
job.note.active = True
job.note.on = TorrentLoaded
job.note.command = sh {home}/note.sh {{{{info_hash}}}}
job.exporter.active = True
job.exporter.port = {port}
"""


class RestoredGroup(Group):
    """A group whose configuration directory is restored instead of written here."""

    def __init__(self, config_dir: Path) -> None:
        self.config_dir = config_dir
        self._first_on_path = None
        self._within = ()


class Home:
    """A home folder with an rTorrent, a watched folder and a group; each of them is started by the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.watch = folder / "watch"
        self.rtorrent = PrivateRTorrent(folder / "rt")
        self.config = folder / "config"
        self.layout = Layout.below(self.config)
        self.group: Group = RestoredGroup(self.config)

    def configure(self) -> "Home":
        self.watch.mkdir(parents=True)
        (self.folder / "note.sh").write_text('echo "$1" >> "${0%/*}/noted"\n')
        self.group = Group(self.config, INI.format(home=self.folder, port=free_port()))
        return self

    def permit(self) -> None:
        self.layout.guard_file.parent.mkdir(exist_ok=True)
        self.layout.guard_file.touch()

    def drop(self, *names: str) -> None:
        for name in names:
            part = self.watch / f".{name}"
            part.write_bytes(make_metafile(name))
            part.rename(self.watch / f"{name}.torrent")

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        ended = self.group.command(*words)
        assert ended.returncode == code, f"{words}: {ended.returncode} {ended.stdout} {ended.stderr}"
        return ended

    def states(self) -> dict[str, str]:
        """The state of each metafile by its name."""
        rows = rows_of_other(self.layout.database("watcher"), "SELECT path, state FROM metafiles WHERE gone = 0")
        return {Path(os.fsdecode(path)).stem: state for path, state in rows}

    def wait_for(self, state: str, *names: str, also: tuple[str, ...] = ()) -> None:
        def reached() -> bool:
            found = self.states()
            return all(found.get(name) in (state, *also) for name in names)

        eventually(reached, 60, why=f"{names} are {state}: {self.states()}")

    def items(self) -> list[str]:
        rtorrent = RTorrent(self.rtorrent.url)
        hashes = rtorrent.call("download_list", "")
        assert isinstance(hashes, list)
        return sorted(map(str, hashes))

    def events(self, service: str, kind: type[Any]) -> list[Any]:
        found = [decode(body).event for body in stored_events(self.layout.database(service))]
        return [event for event in found if isinstance(event, kind)]

    def gaps(self, service: str) -> list[str]:
        rows = rows_of_other(self.layout.database(service), "SELECT source, reason FROM bus_gaps")
        return [source for source, reason in rows if "restored from a backup" in reason]


@pytest.fixture
def homes(short_folder: Path) -> Iterator[tuple[Home, Home]]:
    with ExitStack() as stack:
        made = Home(short_folder / "a").configure(), Home(short_folder / "b")
        for home in made:
            stack.callback(home.rtorrent.kill)
            stack.callback(home.group.stop)
        yield made


def names(first: int, last: int) -> list[str]:
    return [f"item{number}" for number in range(first, last)]


def hashes(wanted: list[str]) -> list[str]:
    return sorted(info_hash(make_metafile(name)) for name in wanted)


def assert_consistent(home: Home) -> None:
    """After the group was stopped: each item was published once, counters equal events, and so does the exporter."""
    loaded = Counter(event.info_hash for event in home.events("watcher", TorrentLoaded))
    assert [found for found, count in loaded.items() if count > 1] == []
    for service in ("watcher", "scheduler"):
        totals, events = totals_and_events(home.layout.database(service))
        assert totals == events, service
    query = "SELECT count FROM event_counts WHERE source = 'watcher' AND type = 'TorrentLoaded'"
    assert rows_of_other(home.layout.database("exporter"), query) == [(len(loaded),)]


def test_a_backup_of_a_group_at_work_is_restored_in_another_home(homes: tuple[Home, Home]) -> None:
    """Backups are made while metafiles are loaded and services killed; each is restored, the last one is started."""
    old, new = homes
    old.rtorrent.start()
    old.group.start()
    chance = random.Random(15)
    archives: list[Path] = []
    for round_ in range(4):
        old.drop(*names(round_ * 15, round_ * 15 + 15))
        victim = old.group.pid(chance.choice(["watcher", "scheduler", "exporter"]))
        if victim:
            os.kill(victim, signal.SIGKILL)
        archives.append(old.folder.parent / f"{round_}.tar.gz")
        old.run("backup", str(archives[-1]))
    old.group.stop()
    old.rtorrent.kill()
    everything = names(0, 60)
    new.folder.mkdir()
    shutil.copytree(old.watch, new.watch)
    shutil.copy(old.folder / "note.sh", new.folder)
    noted = lines(old.folder / "noted")
    old.folder.rename(old.folder.with_name("gone"))
    moves = ("--session", str(new.rtorrent.session), "--move", f"{old.folder}={new.folder}")
    for archive in archives:
        found = json.loads(new.run("restore", str(archive), *moves, "--replace", "--json").stdout)
        assert found["mentioned"] == []
    new.rtorrent.start()
    new.permit()
    new.group.start()
    new.wait_for("loaded", *everything, also=("duplicate",))
    assert new.items() == hashes(everything)
    paths = RTorrent(new.rtorrent.url).call("d.multicall2", "", "main", "d.directory_base=", "d.tied_to_file=")
    assert str(old.folder) not in str(paths)
    assert str(new.watch) in str(paths)
    new.drop("later")
    new.wait_for("loaded", "later")
    later = info_hash(make_metafile("later"))
    query = "SELECT 1 FROM event_counts WHERE source = 'watcher' AND type = 'TorrentLoaded' AND count > 0"
    assert later in new.items()
    eventually(lambda: rows_of_other(new.layout.database("exporter"), query), 30)
    eventually(lambda: "watcher" in new.gaps("scheduler"), 30)
    eventually(lambda: {"watcher", "scheduler", "guardian"} <= set(new.gaps("exporter")), 30)
    loaded = {info_hash(make_metafile(name)) for name, state in new.states().items() if state == "loaded"}
    eventually(lambda: loaded <= set(lines(new.folder / "noted") + noted), 30, why="the job ran for each")
    new.group.stop()
    assert max(lines(new.folder / "noted").values()) == 1
    assert_consistent(new)
    assert new.events("scheduler", TorrentErased) == []


def test_an_older_backup_over_newer_state_goes_back_to_it(homes: tuple[Home, Home]) -> None:
    home, _ = homes
    home.rtorrent.start()
    home.group.start()
    home.drop(*names(0, 5))
    home.wait_for("loaded", *names(0, 5))
    archive = home.folder / "one.tar.gz"
    home.run("backup", str(archive))
    home.drop(*names(5, 10))
    home.wait_for("loaded", *names(5, 10))
    RTorrent(home.rtorrent.url).call("d.erase", hashes(["item0"])[0])
    home.group.stop()
    home.rtorrent.stop()
    (home.config / "later.ini").touch()
    before = sorted(str(path) for path in home.config.rglob("*"))
    session = ("--session", str(home.rtorrent.session))
    assert "--replace" in home.run("restore", str(archive), *session, code=64).stderr
    home.run("restore", str(archive), *session, "--replace", "--dry-run")
    assert sorted(str(path) for path in home.config.rglob("*")) == before
    home.run("restore", str(archive), *session, "--replace")
    home.rtorrent.start()
    home.group.start()
    # The session has none of the later ones: their metafiles are new.
    home.wait_for("loaded", *names(1, 10))
    # rTorrent removed the metafile of the erased item, which is in the session again.
    assert home.items() == hashes(names(0, 10))
    home.group.stop()
    assert_consistent(home)
    aside = next(home.config.glob("before-restore-*"))
    assert {"torque.ini", "later.ini"} <= {path.name for path in aside.iterdir()}
    assert not (home.config / "later.ini").exists()
    assert len(list(next(home.rtorrent.session.glob("before-restore-*")).glob("*.torrent"))) == 9


def test_a_dry_run_verifies_a_backup_while_everything_runs(homes: tuple[Home, Home]) -> None:
    home, _ = homes
    home.rtorrent.start()
    home.group.start()
    home.drop(*names(0, 5))
    home.wait_for("loaded", *names(0, 5))
    archive = home.folder / "one.tar.gz"
    home.run("backup", str(archive))
    pids = {service: home.group.pid(service) for service in SERVICES}
    session = ("--session", str(home.rtorrent.session), "--replace")
    ended = home.run("restore", str(archive), *session, "--dry-run")
    assert "complete, made by pyrotorque" in ended.stdout
    assert f"would be restored to {home.config}" in ended.stdout
    blocked = [line for line in ended.stdout.splitlines() if line.startswith("a restore is not possible now: ")]
    assert ["the group in" in line for line in blocked] == [True, False]
    assert "rTorrent uses the session" in blocked[1]
    found = json.loads(home.run("restore", str(archive), *session, "--dry-run", "--json").stdout)
    assert (found["dry_run"], len(found["blocked_by"])) == (True, 2)
    home.run("restore", str(archive), *session, code=75)
    damaged = home.folder / "damaged.tar.gz"
    damaged.write_bytes(archive.read_bytes()[:-100])
    home.run("restore", str(damaged), *session, "--dry-run", code=74)
    for folder in (home.config, home.config / "state", home.rtorrent.session):
        assert not [path.name for path in folder.iterdir() if "restore" in path.name], "nothing is left"
    assert {service: home.group.pid(service) for service in SERVICES} == pids
    home.drop(*names(5, 7))
    home.wait_for("loaded", *names(5, 7))
    assert home.items() == hashes(names(0, 7))


def test_without_its_session_newer_metafiles_are_not_loaded_again(homes: tuple[Home, Home]) -> None:
    """rTorrent runs on: what it has or had is not loaded a second time, also what was erased."""
    home, _ = homes
    home.rtorrent.start()
    home.group.start()
    home.drop(*names(0, 3))
    home.wait_for("loaded", *names(0, 3))
    archive = home.folder / "one.tar.gz"
    home.run("backup", str(archive), "--no-session")
    home.drop(*names(3, 6))
    home.wait_for("loaded", *names(3, 6))
    erased = hashes(["item4"])[0]
    # Otherwise rTorrent removes the metafile, too.
    RTorrent(home.rtorrent.url).call("d.tied_to_file.set", erased, "")
    RTorrent(home.rtorrent.url).call("d.erase", erased)
    home.group.stop()
    home.run("restore", str(archive), "--replace")
    home.permit()
    home.group.start()
    home.wait_for("baseline", *names(3, 6), also=("duplicate",))
    home.drop("later")
    home.wait_for("loaded", "later")
    assert erased not in home.items()
    assert home.items() == sorted({*hashes(names(0, 6)), *hashes(["later"])} - {erased})
    home.group.stop()
    assert_consistent(home)


def test_nothing_is_restored_under_what_runs(homes: tuple[Home, Home]) -> None:
    home, other = homes
    home.rtorrent.start()
    home.group.start()
    archive = home.folder / "one.tar.gz"
    home.run("backup", str(archive))
    known = {*KEPT_STATE, *REPLACED_STATE, *STAYING_STATE}
    assert set(os.listdir(home.layout.state_dir)) <= known
    assert "--stop" in home.run("restore", str(archive), "--no-session", "--replace", code=75).stderr
    home.group.stop()
    session = ("--session", str(home.rtorrent.session))
    assert "stop it first" in home.run("restore", str(archive), *session, "--replace", code=75).stderr
    assert "--session DIR" in other.run("restore", str(archive), code=64).stderr
    assert not other.config.exists()
    home.rtorrent.kill()  # its lock stays
    home.run("restore", str(archive), *session, "--replace")
    home.rtorrent.start()
    home.group.start()


def test_a_damaged_archive_changes_nothing(homes: tuple[Home, Home]) -> None:
    home, _ = homes
    home.rtorrent.start()
    home.group.start()
    archive = home.folder / "one.tar.gz"
    home.run("backup", str(archive))
    home.group.stop()
    home.rtorrent.stop()
    before = {path: path.read_bytes() for path in sorted(home.folder.rglob("*")) if path.is_file()}
    archive.write_bytes(archive.read_bytes()[:-100])
    ended = home.run("restore", str(archive), "--session", str(home.rtorrent.session), "--replace", code=74)
    assert "truncated" in ended.stderr
    archive.write_bytes(before[archive])
    assert {path: path.read_bytes() for path in sorted(home.folder.rglob("*")) if path.is_file()} == before


def test_another_rtorrent_is_not_part_of_a_backup(homes: tuple[Home, Home]) -> None:
    home, other = homes
    home.rtorrent.start()
    home.group.start()
    home.drop(*names(0, 3))
    home.wait_for("loaded", *names(0, 3))
    archive = home.folder / "one.tar.gz"
    home.run("backup", str(archive))
    home.group.stop()
    home.rtorrent.stop()
    # Stopped: the session is found where it was.
    stopped = json.loads(home.run("backup", str(home.folder), "--json").stdout)
    assert stopped["session"]["items"] == 3
    other.rtorrent.start()
    home.rtorrent.socket.unlink(missing_ok=True)
    home.rtorrent.socket.symlink_to(other.rtorrent.socket)
    assert "session" in home.run("backup", str(home.folder / "two.tar.gz"), code=75).stderr
    assert not (home.folder / "two.tar.gz").exists()


def test_only_the_newest_backups_are_kept(homes: tuple[Home, Home]) -> None:
    home, _ = homes
    folder = home.folder / "backups"
    folder.mkdir()
    home.layout.prepare()
    home.run("backup", str(folder / "mine.tar.gz"), "--no-session")
    for day in range(1, 5):
        shutil.copy(folder / "mine.tar.gz", folder / f"pyrotorque-2026010{day}-000000.tar.gz")
    home.run("backup", str(folder), "--keep", "2", "--no-session")
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == 3
    assert left[:2] == ["mine.tar.gz", "pyrotorque-20260104-000000.tar.gz"]
    # The clock was set back: the one that was just written stays.
    shutil.copy(folder / "mine.tar.gz", folder / "pyrotorque-29990101-000000.tar.gz")
    home.run("backup", str(folder), "--keep", "1", "--no-session")
    kept = [path.name for path in folder.iterdir()]
    assert len(kept) == 2
    assert "pyrotorque-29990101-000000.tar.gz" not in kept
    home.run("backup", str(folder / "new.tar.gz"), "--keep", "2", "--no-session", code=64)


def test_backups_of_other_groups_and_other_files_stay(homes: tuple[Home, Home]) -> None:
    """Two groups may have one folder for their backups."""
    folder = homes[0].folder / "backups"
    folder.mkdir()
    homes[1].configure()
    # The first file of the archive, whose header has the mark of the group.
    (homes[0].layout.config_dir / ("a" * 150)).touch()
    for home in homes:
        home.layout.prepare()
        home.run("backup", str(folder), "--no-session")
    for name, content in (("1", b""), ("2", b"no archive"), ("3", next(folder.iterdir()).read_bytes()[:60])):
        (folder / f"pyrotorque-2026010{name}-000000.tar.gz").write_bytes(content)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for home in homes:
        home.run("backup", str(folder), "--keep", "1", "--no-session")
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(after) == len(before) == 5
    unchanged = before.items() & after.items()
    assert {name for name, _ in unchanged} == {f"pyrotorque-2026010{name}-000000.tar.gz" for name in "123"}


def test_the_job_of_the_page_makes_a_backup(homes: tuple[Home, Home]) -> None:
    home, _ = homes
    (text,) = [block.text for block in blocks("ini") if block.page == "docs/backup.md"]
    folder = home.folder / "backups"
    folder.mkdir()
    command = f"{sys.executable} -m pyrotorque_control --config-dir {home.config} backup {folder}"
    assert "= pyrotorque backup ~/backups" in text
    text = text.replace("pyrotorque backup ~/backups", command) + "job.backup.environment = PYTHONPATH\n"
    with (home.config / "torque.ini").open("a") as ini:
        ini.write(text)
    home.rtorrent.start()
    home.group.start()
    home.drop("a")
    home.wait_for("loaded", "a")
    # The running group keeps its folders, although the file was changed.
    ini_text = (home.config / "torque.ini").read_text()
    (home.config / "torque.ini").write_text(f"[TORQUE]\nstate_dir = {home.folder}/elsewhere\n" + ini_text[9:])
    home.run("--run-once", "backup")
    (archive,) = folder.iterdir()
    listed = json.loads(home.run("restore", str(archive), "--list", "--json").stdout)
    assert listed["session"]["items"] == 1
    assert listed["left_out"] == []
    assert "state/watcher.sqlite3" in listed["files"]


def files_of(home: Home) -> dict[str, bytes]:
    """Configuration, state and session, without locks and what an unfinished restore has unpacked."""
    found = [*home.config.rglob("*"), *home.rtorrent.session.rglob("*")]
    return {
        str(path): path.read_bytes()
        for path in found
        if path.is_file() and path.suffix != ".lock" and STAGING not in path.parts
    }


def test_a_restore_that_is_killed_at_any_moment_leaves_the_old_files(homes: tuple[Home, Home]) -> None:
    home, _ = homes
    home.rtorrent.start()
    home.group.start()
    home.drop(*names(0, 20))
    home.wait_for("loaded", *names(0, 20))
    archive = home.folder / "one.tar.gz"
    home.run("backup", str(archive))
    home.group.stop()
    home.rtorrent.stop()
    (home.config / "later.ini").write_text("later")
    old, journal = files_of(home), home.config / JOURNAL
    words = ["restore", str(archive), "--session", str(home.rtorrent.session), "--replace"]
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(home.config), *words]
    # Unit tests interrupt the swap after each of its steps.
    for round_ in range(12):
        restoring = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
        sign = home.config / STAGING if round_ < 6 else journal
        eventually(lambda: restoring.poll() is not None or sign.exists(), 60, interval=0)  # noqa: B023
        restoring.kill()
        if restoring.wait() == 0:
            break  # it was faster
        if journal.exists():
            assert "--undo" in home.run(code=75).stderr
            home.run("restore", "--undo")
        assert files_of(home) == old


def test_what_completed_since_the_backup_completes_again(homes: tuple[Home, Home]) -> None:
    home, _ = homes
    made = home.folder / "film"
    made.write_bytes(random.Random(1).randbytes(200_000))
    metafile = make_metafile("film", content=made)
    film = info_hash(metafile)
    home.rtorrent.start()
    home.group.start()
    (home.watch / "film.torrent").write_bytes(metafile)
    eventually(lambda: home.events("scheduler", TorrentStarted), 60)
    home.wait_for("loaded", "film")
    archive = home.folder / "one.tar.gz"
    home.run("backup", str(archive))
    shutil.copy(made, home.rtorrent.downloads)
    RTorrent(home.rtorrent.url).call("d.check_hash", film)
    eventually(lambda: home.events("scheduler", TorrentCompleted), 60)
    home.group.stop()
    home.rtorrent.stop()
    home.run("restore", str(archive), "--session", str(home.rtorrent.session), "--replace")
    assert home.events("scheduler", TorrentCompleted) == []
    logged = len(home.group.log("torque"))
    home.rtorrent.start()
    home.group.start()
    RTorrent(home.rtorrent.url).call("d.check_hash", film)
    eventually(lambda: home.events("scheduler", TorrentCompleted), 60)
    assert [event.info_hash for event in home.events("scheduler", TorrentCompleted)] == [film]
    # The session is the known one: nothing was held, or recorded without an event.
    assert "another rTorrent" not in home.group.log("torque")[logged:]
    assert "without events" not in home.group.log("torque")[logged:]
