"""The wheel of 1.0.0 is replaced under a running group: nothing is lost, nothing done twice, no service FATAL."""

import os
import re
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from demo.group import SERVICES, free_port
from demo.http_answers import opened
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import JobFailed, LoadFailed, ServiceStateChanged, StartFailed, TorrentLoaded, TorrentStarted
from pyrotorque.options import read_options
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import QueueSettings
from pyrotorque.store import open_readonly
from pyrotorque.stored_configuration import last_good
from tests.dropping import drop
from tests.grouping import torque_ini
from tests.installed_group import InstalledGroup, build_wheel, lines
from tests.released import WHEEL
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.rtorrent_version("<0.10", reason="an upgrade does not depend on the version of rTorrent"),
    pytest.mark.xdist_group("packaging"),
    pytest.mark.skipif(not WHEEL.exists(), reason="the wheel of 1.0.0 is only in the repository"),
]

CONFIG_PY = """\
from pyrotorque.customfields import field

@field("is_ours", kind="bool", needs=("name",), doc="made by this test")
def is_ours(item):
    return item.name.startswith("upgrade")
"""

COUNT = """\
from pathlib import Path
from pyrotorque.jobs import Job

class Count(Job):
    def run(self):
        Path(self.config.into).write_text(str(len(self.items("is_ours=yes", ["name"]))))
"""

# Each run waits while the file `hold` exists, so that the runs for further events are pending.
NOTE = """\
import time
from pathlib import Path
from pyrotorque.jobs import Job

class Note(Job):
    def run(self, event=None):
        while Path(self.config.hold).exists():
            time.sleep(0.01)
        with open(self.config.into, "a") as file:
            print(event.info_hash, file=file)
"""


class Upgrade:
    """The group, its rTorrent and its watched folder, and the expected state of every metafile written there."""

    def __init__(self, folder: Path, rtorrent: PrivateRTorrent, run_dir: Path | None) -> None:
        self.folder, self.rtorrent, self.port = folder, rtorrent, free_port()
        self.run_dir = run_dir
        self.watch = folder / "watch"
        self.watch.mkdir()
        self.hold, self.noted = folder / "hold", folder / "noted"
        self.recorded, self.counted = folder / "recorded", folder / "counted"
        self.cut_off = 0
        self.wanted: set[str] = set()
        self.group = InstalledGroup(folder / "c", self._torque_ini(), folder / "venv", WHEEL, run_dir=run_dir)
        if run_dir is not None:
            run_dir.mkdir(mode=0o700)
            self.group.layout.guard_file.rename(run_dir / "pyrotorque")
        jobs = folder / "c" / "jobs"
        jobs.mkdir()
        (jobs / "count.py").write_text(COUNT)
        (jobs / "note.py").write_text(NOTE)
        (folder / "c" / "config.py").write_text(CONFIG_PY)

    def _torque_ini(self) -> str:
        return torque_ini(
            self.rtorrent.url,
            self.watch,
            "job.queue.start_at_once = 100",
            "job.queue.downloading_max = 1000",
            "job.queue.startable = is_ignored=0 message= prio>0",
            "job.exporter.active = True",
            f"job.exporter.port = {self.port}",
            "job.count.handler = count:Count",
            "job.count.schedule = second=*",
            f"job.count.into = {self.counted}",
            f"run_dir = {self.run_dir}" if self.run_dir else "",
            "job.note.handler = note:Note",
            "job.note.on = TorrentLoaded",
            f"job.note.hold = {self.hold}",
            f"job.note.into = {self.noted}",
            "job.record.handler = pyrotorque.jobs.command:Command",
            "job.record.on = TorrentStarted",
            "job.record.shell = True",
            f"job.record.command = echo {{{{info_hash}}}} >>{self.recorded}",
        )

    def drop(self, count: int) -> None:
        """Metafiles in new folders of the watched tree."""
        for _ in range(count):
            number = len(self.wanted)
            self.wanted.add(drop(self.watch / f"new{number % 3}" / f"{number}.torrent", f"upgrade {number}"))

    def settle(self) -> None:
        """Wait until all that was dropped is loaded, started, and the jobs have run for it."""
        self.wait("all are loaded and started", lambda: self.started() == self.wanted)
        self.wait("a job has run for each load", lambda: self._once(self.noted))
        self.wait("a command has run for each start", lambda: self._once(self.recorded))
        self.counted.unlink(missing_ok=True)
        self.wait("a job has counted them by a custom field", lambda: lines(self.counted) == {str(len(self.wanted)): 1})

    def _once(self, path: Path) -> bool:
        """Whether there is a line for each item, and a second one at most for the runs that a kill cut off."""
        found = lines(path)
        return found.keys() == self.wanted and sum(found.values()) <= len(self.wanted) + self.cut_off

    def wait(self, what: str, condition: Callable[[], object]) -> None:
        """Wait for the condition; the logs are in the error."""
        try:
            eventually(condition, 40, interval=0.01, why=what)
        except AssertionError as error:
            logs = (f"{name}: {self.group.log(name)[-2000:]}" for name in ("torque", *SERVICES))
            raise AssertionError("\n".join((str(error), *logs))) from error

    def started(self) -> set[str]:
        rows = RTorrent(self.rtorrent.url).rows("main", ["d.hash=", "d.is_active="])
        return {info for info, active in rows if active == "1"}

    def received(self) -> dict[str, float]:
        """How many loads and starts the exporter has received, over all its processes."""
        series = re.compile(r'pyrotorque_events_received_total\{.*"(TorrentLoaded|TorrentStarted)".*\} (\S+)')
        counted: dict[str, float] = {}
        for kind, value in series.findall(self.scrape()):
            counted[kind] = counted.get(kind, 0) + float(value)
        return counted

    def scrape(self) -> str:
        try:
            with opened(f"http://127.0.0.1:{self.port}/metrics") as answer:
                return str(answer.read(), "utf-8")
        except OSError:
            return ""

    def leave_work(self) -> None:
        """Runs wait for an event job, and metafiles for rTorrent."""
        self.hold.touch()
        self.drop(5)
        self.wait("all are started", lambda: self.started() == self.wanted)
        self.wait("a command has run", lambda: lines(self.recorded) == dict.fromkeys(self.wanted, 1))
        self.rtorrent.stop()
        self.drop(5)

    def reconfigure(self) -> None:
        """A service of 1.0.0 has the files checked by the new version, and all follow."""
        torque_ini = self.group.config_dir / "torque.ini"
        torque_ini.write_text(torque_ini.read_text().replace("downloading_max = 1000", "downloading_max = 999"))
        assert self.group.command("ctl", "signal", "HUP", "watcher").returncode == 0
        self.wait("reload", lambda: self._queue_settings().downloading_max == 999)

    def _queue_settings(self) -> QueueSettings:
        settings = last_good(self.group.layout)
        assert settings is not None
        (found,) = settings.active_jobs(QueueSettings)
        return found

    def services_up(self) -> bool:
        """Whether the exporter receives the heartbeats of all services."""
        return all(f'pyrotorque_process_up{{process="{service}"}} 1.0' in self.scrape() for service in SERVICES)

    def has_recorded(self) -> bool:
        """Whether the command for each start has ended: one that is killed would be repeated."""
        with closing(open_readonly(self.group.layout.database("scheduler"))) as db:
            (waiting,) = db.execute("SELECT count(*) FROM event_runs WHERE job = 'record'").fetchone()
        return waiting == 0 and lines(self.recorded) == dict.fromkeys(self.wanted, 1)

    def kill_workers(self) -> None:
        """Kill the processes of all jobs, and of the custom field; returns when others have taken their places, but for
        that of a job without a run: 1.0.0 creates it again for its next one."""
        before = eventually(self._workers, 30)
        for pid in before:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait("new workers", lambda: len(set(self.group.workers()) - before) >= 3)

    def _workers(self) -> set[int]:
        """Three jobs, and the custom field that one of them uses; empty while one is absent."""
        found = set(self.group.workers())
        return found if len(found) == 4 else set()

    def check(self, *, cut_off: int = 0) -> None:
        """Nothing was lost, done twice, or failed, from the first start of 1.0.0 until now; but for `cut_off` runs."""
        group, once = self.group, dict.fromkeys(self.wanted, 1)
        self.wait("all services run", group.running)
        assert Counter(event.info_hash for event in group.events(TorrentLoaded)) == once
        assert Counter(event.info_hash for event in group.events(TorrentStarted)) == once
        assert group.events(LoadFailed) == []
        assert group.events(StartFailed) == []
        # The job that counts items every second fails without rTorrent, and while its modules are replaced.
        failed = [(event.job, event.reason) for event in group.events(JobFailed) if event.job != "count"]
        assert [job for job, _ in failed] == ["note"] * cut_off, failed
        assert "FATAL" not in {event.state for event in group.events(ServiceStateChanged)}
        count = float(len(self.wanted))
        self.wait("counted", lambda: self.received() == {"TorrentLoaded": count, "TorrentStarted": count})
        self._check_files()
        self.check_logs()

    def _check_files(self) -> None:
        layout = self.group.layout
        assert last_good(layout) is not None
        assert read_options(layout).guard_file == str(layout.guard_file)
        for service in SERVICES[:3]:
            with closing(open_readonly(layout.database(service))) as db:
                assert db.execute("SELECT * FROM bus_gaps").fetchall() == [], service

    def check_logs(self) -> None:
        # The supervisord of 1.0.0 writes into torque.log.
        lines = self.group.log("torque") + self.group.log("supervisord")
        ends = re.findall(r"exited: (\S+) \((.*)\)", lines)
        assert {why for _, why in ends} <= {"terminated by SIGKILL; not expected"}, ends
        assert "FATAL" not in lines
        for service in SERVICES:
            # pip replaces one file after the other: a run that begins in between fails, the next one succeeds.
            found = [line for line in self.group.log(service).splitlines() if "scheduler.count:" not in line]
            assert "Traceback" not in "".join(found), self.group.log(service)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def run_dir() -> str:
    """Where the group has its run folder, below the test's folder; empty for below its configuration directory."""
    return ""


@pytest.fixture
def released(rtorrent: PrivateRTorrent, short_folder: Path, run_dir: str) -> Iterator[Upgrade]:
    """A group of 1.0.0 that has worked."""
    made = Upgrade(short_folder, rtorrent, short_folder / run_dir if run_dir else None)
    try:
        made.group.begin()
        # Events from before a job is first `on` them are none of its own.
        made.wait("the scheduler is open", lambda: "jobs:" in made.group.log("scheduler"))
        made.drop(5)
        made.settle()
        yield made
    finally:
        made.group.stop()


@pytest.fixture
def upgrade(released: Upgrade) -> Upgrade:
    """A group of 1.0.0 that has work left."""
    released.leave_work()
    return released


@pytest.mark.parametrize(
    ("order", "run_dir"),
    [("watcher exporter guardian scheduler", ""), ("scheduler guardian exporter watcher", "elsewhere")],
    ids=["guardian third", "guardian second, run_dir elsewhere"],
)
def test_processes_of_both_versions_work_together(upgrade: Upgrade, wheel: Path, order: str, run_dir: str) -> None:
    group = upgrade.group
    supervisord = group.supervisord_pid()
    group.install(wheel)
    assert group.command("status").returncode == 0
    upgrade.rtorrent.start()
    upgrade.reconfigure()
    upgrade.wait("no command runs", upgrade.has_recorded)
    upgrade.kill_workers()
    upgrade.hold.unlink()
    upgrade.settle()
    for service in order.split():
        upgrade.wait("all services run", group.running)
        upgrade.drop(2)
        # A run that ends with the scheduler is repeated, whatever it has done.
        upgrade.cut_off += 2 if service == "scheduler" else 0
        group.kill(service)
        upgrade.settle()
        upgrade.wait("heartbeats", upgrade.services_up)
    upgrade.drop(2)
    assert group.command("--restart").returncode == 0
    upgrade.drop(2)
    upgrade.settle()
    upgrade.check(cut_off=1)
    assert group.supervisord_pid() == supervisord

    # The guard file of this version ends the group as that of 1.0.0 did, whatever the guardian does at that moment.
    assert group.layout.earlier_guard_file.exists()
    guardian = group.pid("guardian")
    group.layout.guard_file.unlink()
    os.kill(guardian, signal.SIGKILL)
    upgrade.wait("the group has ended", lambda: group.command("--status").returncode == 69)
    assert not group.layout.earlier_guard_file.exists()


def test_a_restart_takes_over_all_pending_work(upgrade: Upgrade, wheel: Path) -> None:
    upgrade.group.install(wheel)
    restarted = upgrade.group.command("--restart")
    assert restarted.returncode == 0, restarted.stdout + restarted.stderr
    upgrade.rtorrent.start()
    upgrade.hold.unlink()
    upgrade.drop(2)
    upgrade.settle()
    upgrade.check()


def test_a_newer_state_is_refused_by_1_0_0_with_one_line_and_left_as_it_is(released: Upgrade) -> None:
    group, layout = released.group, released.group.layout
    assert group.command("--stop").returncode == 0
    databases = [layout.database(service) for service in SERVICES]
    for path in databases:
        change_version(path, 1)
    before = [dumped(path) for path in databases]
    released.drop(1)

    # When 1.0.0 is started on what a newer version wrote,
    group.begin()
    refusal = "was written by a newer pyrotorque"
    released.wait("all refuse", lambda: all(refusal in group.log(service) for service in SERVICES))
    released.wait("all services run", group.running)
    assert group.command("--stop").returncode == 0

    # then each service waits, logs that once, and changes nothing,
    for service in SERVICES:
        (line,) = (line for line in group.log(service).splitlines() if refusal in line)
        assert f"{service}.sqlite3" in line
        assert "upgrade again, or move the file away" in line
    released.check_logs()
    assert [dumped(path) for path in databases] == before

    # and a version with this schema continues.
    for path in databases:
        change_version(path, -1)
    group.start()
    released.settle()
    released.check()


def test_a_copy_of_the_stopped_group_leads_back_to_1_0_0(released: Upgrade, wheel: Path) -> None:
    group, copy, newer = released.group, released.folder / "before", released.folder / "newer"
    assert group.command("--stop").returncode == 0
    subprocess.run(["cp", "-a", str(group.config_dir), str(copy)], check=True)
    group.install(wheel)
    group.start()
    released.drop(2)
    released.settle()
    assert group.command("--stop").returncode == 0

    # When the old version and the copy are back, with the metafiles that were loaded since in the watched folder,
    group.install(WHEEL)
    group.config_dir.rename(newer)
    copy.rename(group.config_dir)
    group.begin()
    released.wait("all services run", group.running)
    released.drop(2)

    # then it works as before, and knows the items of the newer version as those of rTorrent.
    released.settle()
    assert [event.kind for event in group.events(LoadFailed)] == ["duplicate"] * 2
    assert not any("newer pyrotorque" in group.log(service) for service in SERVICES)
    released.check_logs()


def change_version(path: Path, by: int) -> None:
    """Count one migration more, or less, than were run."""
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + by}")


def dumped(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [*db.iterdump(), str(db.execute("PRAGMA user_version").fetchone())]
